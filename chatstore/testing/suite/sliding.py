"""Expiry that counts from the last append."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidArgument, ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs, supported
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, whole

__all__ = ["Sliding", "SlidingArguments"]

HOUR = timedelta(hours=1)


@needs(Capability.EXPIRY)
class Sliding:
    """`ttl` with ``sliding=True``."""

    def test_it_counts_from_the_last_append(self, store: ChatStore, clock: ManualClock) -> None:
        store.create_thread("made", ttl=8 * HOUR, sliding=True)
        store.append("t", say(0), ttl=8 * HOUR, sliding=True)
        assert store.get_thread("t").sliding == 8 * HOUR
        etag, expires = store.get_thread("t").etag, store.get_thread("t").expires_at
        for number in range(1, 20):
            clock.advance(5 * HOUR)
            store.append("t", say(number))
            expires = store.get_thread("t").expires_at
            assert expires is not None
            assert clock.now + 8 * HOUR <= expires <= clock.now + 10 * HOUR
        clock.advance(HOUR / 2)
        store.append("t", say(20))
        assert store.get_thread("t").expires_at == expires, "which is renewed once in a while"
        assert store.get_thread("t").etag == etag
        clock.advance(8 * HOUR - timedelta(seconds=1))
        assert len(whole(store, "t")) == 21
        clock.advance(2 * HOUR + timedelta(seconds=2))
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")
        assert whole(store, "t") == []
        with pytest.raises(ThreadNotFound):
            store.get_thread("made")

    def test_sweeps_wait_for_it(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say(0), ttl=8 * HOUR, sliding=True)
        for number in range(1, 12):
            clock.advance(7 * HOUR)
            store.append("t", say(number))
            with supported(store, Capability.SWEEP):
                while store.sweep().more:
                    pass
            assert len(whole(store, "t")) == number + 1

    def test_it_begins_and_ends_with_an_update(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say(0), ttl=HOUR)
        assert store.get_thread("t").sliding is None
        store.append("t", say(1), patch={"ttl": 4 * HOUR, "sliding": True})
        clock.advance(3 * HOUR)
        store.append("t", say(2))
        clock.advance(3 * HOUR)
        assert contents(whole(store, "t")) == [0, 1, 2]
        fixed = store.update_thread("t", ttl=2 * HOUR)
        assert (fixed.sliding, fixed.expires_at) == (None, clock.now + 2 * HOUR)
        store.append("t", say(3))
        clock.advance(2 * HOUR)
        assert whole(store, "t") == []

    def test_whatever_adds_messages_renews(self, store: ChatStore, clock: ManualClock) -> None:
        [first] = store.append("t", say(0), ttl=4 * HOUR, sliding=True).messages
        clock.advance(3 * HOUR)
        store.replace_all("t", [say(0), say(1)])
        clock.advance(3 * HOUR)
        with supported(store, Capability.INSERT):
            store.insert("t", say("between"), after=first.id)
            clock.advance(3 * HOUR)
            assert contents(whole(store, "t")) == [0, "between", 1]
        store.replace_all("t", [say("other")])
        clock.advance(3 * HOUR)
        assert contents(whole(store, "t")) == ["other"]
        with supported(store, Capability.FORK):
            copy = store.fork("t", "copy")
            assert copy.sliding == 4 * HOUR
            assert copy.expires_at is not None
            assert copy.expires_at >= clock.now + 4 * HOUR

    @needs(Capability.INSERT)
    def test_what_does_not_slide_expires_when_it_would_have(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        [first] = store.append("t", say(0), ttl=HOUR).messages
        expires = store.get_thread("t").expires_at
        clock.advance(HOUR / 2)
        store.insert("t", say(1), before=first.id)
        store.append("t", say(2))
        assert store.get_thread("t").expires_at == expires


class SlidingArguments:
    """What goes with `sliding`."""

    def test_it_needs_a_ttl(self, store: ChatStore) -> None:
        for attempt in (
            lambda: store.create_thread("t", sliding=True),
            lambda: store.append("t", say(0), sliding=True),
            lambda: store.update_thread("t", sliding=True),
        ):
            with pytest.raises(InvalidArgument):
                attempt()
