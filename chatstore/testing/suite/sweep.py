"""Removing what has expired."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidArgument
from chatstore.ids import uuid7
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, state, whole

__all__ = ["Sweep"]

MINUTE = timedelta(minutes=1)


def sweep(store: ChatStore, limit: int = 1000) -> tuple[int, int, int]:
    """Sweep until there is no more; how many threads, messages and requests went."""
    totals = 0, 0, 0
    for _ in range(1000):
        swept = store.sweep(limit=limit)
        totals = totals[0] + swept.threads, totals[1] + swept.messages, totals[2] + swept.requests
        if not swept.more:
            return totals
    raise AssertionError("a sweep does not come to its end")


@needs(Capability.SWEEP)
class Sweep:
    """`ChatStore.sweep`."""

    def test_nothing_is_expired(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        before = state(store, "t")
        assert sweep(store)[:2] == (0, 0)
        assert state(store, "t") == before

    @needs(Capability.EXPIRY)
    @pytest.mark.parametrize("limit", [1, 7, 1000])
    def test_removes_what_is_expired_and_nothing_else(
        self, store: ChatStore, clock: ManualClock, limit: int
    ) -> None:
        for number in range(4):
            store.append(f"t{number}", say("a"), say("b"), ttl=MINUTE)
            store.append("kept", say(number), expires_in=MINUTE if number % 2 else None)
        store.for_tenant("other").append("t0", say("a"), ttl=MINUTE)
        clock.advance(MINUTE)
        before = state(store, "kept")
        # A backend may have removed messages earlier, in passing.
        assert sweep(store, limit)[0] == 5
        assert state(store, "kept") == before
        assert contents(whole(store, "kept")) == [0, 2]
        assert sweep(store) == (0, 0, 0)

    @needs(Capability.EXPIRY)
    def test_cursors_stay_good(self, store: ChatStore, clock: ManualClock) -> None:
        for number in range(6):
            store.append("t", say(number), expires_in=MINUTE if number % 2 else None)
        first, newest = store.read("t", limit=2), store.read("t", last=3)
        clock.advance(MINUTE)
        sweep(store)
        assert contents(store.read("t", after=first.next)) == [2, 4]
        assert contents(store.read("t", before=newest.next)) == [0, 2]
        store.append("t", say(6), if_match=store.read("t").etag)

    @needs(Capability.REQUESTS)
    def test_requests_are_kept_for_their_window(self, store: ChatStore, clock: ManualClock) -> None:
        id = uuid7(clock() // 1000)
        first = store.append("t", say("a"), request_id=id)
        clock.advance(store.backend.request_window - MINUTE)
        sweep(store)
        assert store.append("t", say("a"), request_id=id) == first
        assert contents(whole(store, "t")) == ["a"]

    @needs(Capability.EXPIRY)
    def test_an_id_is_free_after_a_sweep(self, store: ChatStore, clock: ManualClock) -> None:
        old = store.append("t", say("a"), ttl=MINUTE).messages[0]
        clock.advance(MINUTE)
        sweep(store)
        new = store.append("t", say("b")).messages[0]
        assert contents(whole(store, "t")) == ["b"]
        assert new.id != old.id

    def test_takes_a_positive_limit(self, store: ChatStore) -> None:
        for limit in (0, -1, 1.5, True, "1"):
            with pytest.raises(InvalidArgument):
                store.sweep(limit=limit)  # type: ignore[arg-type]
        store.sweep(limit=1)
