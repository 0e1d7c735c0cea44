"""The first result of a request goes with what it shows, whenever that comes to expire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from chatstore.contract import Capability
from chatstore.errors import RequestExpired
from chatstore.ids import uuid7
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, whole

__all__ = ["Remembered"]

MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def showing(
    store: ChatStore, clock: ManualClock, thread: str, ttl: timedelta | None
) -> list[Callable[[], object]]:
    """Requests about a new thread, each done once, whose results show what they did not bring."""
    patch, message, delete, replace, fork = (uuid7(clock() // 1000) for _ in range(5))
    store.create_thread(thread, topic="a secret", ttl=ttl)
    ids = [
        store.append(thread, say(name), metadata={"said": "a secret"}).messages[0].id or "" for name in "abc"
    ]
    calls: list[Callable[[], object]] = [
        lambda: store.update_thread(thread, metadata={"a": 1}, request_id=patch),
        lambda: store.update_message(thread, ids[0], metadata={"a": 1}, request_id=message),
        lambda: store.delete_message(thread, ids[1], request_id=delete),
        lambda: store.replace_message(thread, ids[2], say("x"), request_id=replace),
    ]
    if Capability.FORK in store.backend.capabilities:
        store.append(f"source of {thread}", say("a secret"), ttl=ttl)
        calls.append(lambda: store.fork(f"source of {thread}", f"copy of {thread}", request_id=fork))
    for call in calls:
        call()
    return calls


def shorten(store: ChatStore, thread: str, ttl: timedelta) -> None:
    """Give a thread, and the copy beside it, another time to live."""
    store.update_thread(thread, ttl=ttl)
    if Capability.FORK in store.backend.capabilities:
        store.append(f"copy of {thread}", say("b"), patch={"ttl": ttl})


def shows_nothing(calls: list[Callable[[], object]]) -> None:
    """A repetition of any of `calls` is told that what it showed has expired."""
    for call in calls:
        with pytest.raises(RequestExpired):
            call()


@needs(Capability.EXPIRY, Capability.REQUESTS, Capability.EDIT)
class Remembered:
    """Repetitions about threads whose time to live was changed after the request."""

    def test_a_life_that_was_made_shorter(self, store: ChatStore, clock: ManualClock) -> None:
        """Neither before a sweep nor after it, nor where another thread of that id has begun."""
        swept, begun = showing(store, clock, "t", HOUR), showing(store, clock, "u", None)
        first = [call() for call in swept + begun]
        for thread in "tu":
            shorten(store, thread, MINUTE)
        clock.advance(MINUTE - MICROSECOND)
        assert [call() for call in swept + begun] == first
        clock.advance(MICROSECOND)
        shows_nothing(swept + begun)
        store.append("u", say("a new life"))
        shows_nothing(begun)
        if Capability.SWEEP in store.backend.capabilities:
            while store.sweep().more:
                pass
            shows_nothing(swept + begun)
        store.append("t", say("a new life"))
        clock.advance(HOUR)
        shows_nothing(swept + begun)
        assert contents(whole(store, "t")) == contents(whole(store, "u")) == ["a new life"]

    def test_a_life_that_was_made_longer(self, store: ChatStore, clock: ManualClock) -> None:
        calls = showing(store, clock, "t", MINUTE)
        first = [call() for call in calls]
        shorten(store, "t", HOUR)
        clock.advance(HOUR - MICROSECOND)
        assert [call() for call in calls] == first
        clock.advance(MICROSECOND)
        shows_nothing(calls)

    def test_a_deletion_does_not_make_it_longer(self, store: ChatStore, clock: ManualClock) -> None:
        calls = showing(store, clock, "t", HOUR)[:4]
        first = [call() for call in calls]
        shorten(store, "t", MINUTE)
        store.delete_thread("t")
        store.append("t", say("a new life"))
        assert [call() for call in calls] == first
        clock.advance(MINUTE)
        shows_nothing(calls)
        assert contents(whole(store, "t")) == ["a new life"]

    def test_a_life_that_was_made_endless(self, store: ChatStore, clock: ManualClock) -> None:
        """Also once the thread, which did not expire, was deleted."""
        calls = showing(store, clock, "t", MINUTE)[:4]
        first = [call() for call in calls]
        store.update_thread("t", ttl=None)
        store.delete_thread("t")
        clock.advance(HOUR)
        assert [call() for call in calls] == first

    def test_another_thread_of_that_id_has_a_life_of_its_own(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        calls = showing(store, clock, "t", None)[:4]
        first = [call() for call in calls]
        store.delete_thread("t")
        clock.advance(MINUTE)
        store.append("t", say("a new life"), ttl=HOUR)
        another = uuid7(clock() // 1000)
        again = store.update_thread("t", topic="another", request_id=another)
        assert [call() for call in calls] == first
        store.update_thread("t", ttl=MINUTE)
        assert store.update_thread("t", topic="another", request_id=another) == again
        assert [call() for call in calls] == first
