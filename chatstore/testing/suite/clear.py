"""Removing all messages."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.errors import ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, whole

__all__ = ["Clear"]


class Clear:
    """`ChatStore.clear`."""

    def test_keeps_the_thread_and_its_properties(self, store: ChatStore, clock: ManualClock) -> None:
        store.create_thread("t", topic="x", owner="ada", metadata={"a": 1})
        store.append("t", say("one"), say("two"))
        before = store.get_thread("t")
        clock.advance(timedelta(minutes=5))
        cleared = store.clear("t")
        assert cleared.existed is True
        assert cleared.etag == store.read("t").etag
        assert whole(store, "t") == []
        assert store.get_thread("t") == before

    def test_an_unknown_thread_has_nothing_to_clear(self, store: ChatStore) -> None:
        cleared = store.clear("t")
        assert (cleared.existed, cleared.etag, bool(cleared)) == (False, None, False)
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")

    def test_an_empty_thread_can_be_cleared(self, store: ChatStore) -> None:
        store.create_thread("t")
        assert store.clear("t").existed is True
        assert store.clear("t").etag == store.read("t").etag

    def test_new_messages_are_new(self, store: ChatStore) -> None:
        old = store.append("t", say("old")).messages[0]
        store.clear("t")
        [new] = store.append("t", say("new")).messages
        assert contents(whole(store, "t")) == ["new"]
        assert new.id != old.id
