"""Reading a thread's properties."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.errors import NotFound, ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import say

__all__ = ["GetThread"]


class GetThread:
    """`ChatStore.get_thread`."""

    def test_an_unknown_thread_is_not_found(self, store: ChatStore) -> None:
        with pytest.raises(ThreadNotFound) as missing:
            store.get_thread("no\nsuch")
        assert missing.value.thread_id == "no\nsuch"
        assert isinstance(missing.value, (NotFound, LookupError))

    def test_reading_changes_nothing(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("hello"))
        before = store.get_thread("t")
        clock.advance(timedelta(hours=1))
        store.read("t")
        assert store.get_thread("t") == before

    def test_messages_move_the_activity_and_nothing_else(self, store: ChatStore, clock: ManualClock) -> None:
        before = store.create_thread("t", topic="x", metadata={"a": 1})
        clock.advance(timedelta(hours=1))
        store.append("t", say("hello"))
        after = store.get_thread("t")
        # A backend may keep the activity to the minute.
        assert abs(after.active_at - clock.now) < timedelta(minutes=1)
        assert (after.etag, after.created_at, after.topic) == (before.etag, before.created_at, "x")
