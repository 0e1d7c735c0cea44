"""Taking out the newest message."""

from __future__ import annotations

import pytest

from chatstore.contract import Capability
from chatstore.errors import ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.samples import contents, say, whole

__all__ = ["Pop"]


@needs(Capability.INDEX)
class Pop:
    """`ChatStore.pop`."""

    def test_takes_from_the_end_until_there_is_none(self, store: ChatStore) -> None:
        a, b, c = store.append("t", say("a"), say("b"), say("c")).messages
        assert [store.pop("t") for _ in range(5)] == [c, b, a, None, None]
        assert whole(store, "t") == []
        assert store.get_thread("t").id == "t"

    def test_an_empty_thread_gives_none_and_an_unknown_one_is_not_found(self, store: ChatStore) -> None:
        store.create_thread("t")
        assert store.pop("t") is None
        with pytest.raises(ThreadNotFound):
            store.pop("u")

    def test_what_is_appended_next_comes_after_the_rest(self, store: ChatStore) -> None:
        store.append("t", say("a"), say("b"))
        popped = store.pop("t")
        assert popped is not None
        store.append("t", say("c"))
        assert contents(whole(store, "t")) == ["a", "c"]
        assert [message.id for message in whole(store, "t")].count(popped.id) == 0
        assert [message.content for message in (store.pop("t"), store.pop("t")) if message] == ["c", "a"]
