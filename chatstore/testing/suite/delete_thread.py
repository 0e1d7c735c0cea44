"""Deleting threads."""

from __future__ import annotations

import pytest

from chatstore.errors import ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.samples import contents, say, whole

__all__ = ["DeleteThread"]


class DeleteThread:
    """`ChatStore.delete_thread`."""

    def test_says_whether_it_was_there(self, store: ChatStore) -> None:
        store.create_thread("t")
        assert store.delete_thread("t").existed is True
        assert store.delete_thread("t").existed is False
        assert store.delete_thread("never").existed is False

    def test_nothing_of_it_is_left(self, store: ChatStore) -> None:
        id = store.append("t", say("hello")).messages[0].id
        assert id is not None
        store.delete_thread("t")
        assert whole(store, "t") == []
        for gone in (lambda: store.get_thread("t"), lambda: store.get_message("t", id)):
            with pytest.raises(ThreadNotFound):
                gone()

    def test_a_thread_of_the_same_id_starts_anew(self, store: ChatStore) -> None:
        old = store.append("t", say("one"), say("two"), owner="ada")
        store.delete_thread("t")
        new = store.append("t", say("three"))
        assert contents(whole(store, "t")) == ["three"]
        assert store.get_thread("t").owner is None
        assert new.etag != old.etag
        assert new.messages[0].id not in {message.id for message in old.messages}

    def test_others_stay(self, store: ChatStore) -> None:
        for id in ("t", "t2", "T", ""):
            store.append(id, say(id))
        store.delete_thread("t")
        assert [contents(whole(store, id)) for id in ("t", "t2", "T", "")] == [[], ["t2"], ["T"], [""]]
