"""What a request of a thread was answered, is told again by what its own thread's life says of expiry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

import chatstore
from chatstore.store import ChatStore
from chatstore.testing.samples import say
from tests.log.kept import LATER, Kept
from tests.log.memory_table import LogInMemory


def lived(kept: Kept, *, ttl: timedelta | None) -> None:
    """A thread that is deleted before it expires, if it does."""
    kept.store.append("t", say("of a life before"), ttl=ttl)
    kept.store.delete_thread("t")


def anew(kept: Kept) -> ChatStore:
    """Of a process that remembers nothing."""
    return ChatStore(LogInMemory(kept.table, kept.clock))


def popped(kept: Kept, request: str) -> object:
    return anew(kept).pop("t", request_id=request)


def created(kept: Kept, request: str) -> object:
    return anew(kept).create_thread("t", topic="of this life", request_id=request)


def test_what_expired_is_shown_to_nobody_although_a_thread_without_an_end_came_between(kept: Kept) -> None:
    request = chatstore.uuid7(kept.clock() // 1000)
    kept.store.append("t", say("brief"), ttl=60)
    kept.store.pop("t", request_id=request)
    kept.store.delete_thread("t")
    lived(kept, ttl=None)
    kept.clock.advance(timedelta(minutes=2))
    with pytest.raises(chatstore.RequestExpired):
        anew(kept).pop("t", request_id=request)


@pytest.mark.parametrize(("ends", "waits"), [(False, timedelta(0)), (False, LATER), (True, LATER)])
@pytest.mark.parametrize("call", [popped, created])
def test_the_end_of_a_life_before_hides_nothing_of_this_one(
    kept: Kept, call: Callable[[Kept, str], object], waits: timedelta, ends: bool
) -> None:
    lived(kept, ttl=timedelta(minutes=1))
    kept.clock.advance(waits)
    request = chatstore.uuid7(kept.clock() // 1000)
    if call is popped:
        kept.store.append("t", say("of this life"))
    first = call(kept, request)
    if ends:
        kept.store.delete_thread("t")
    kept.clock.advance(timedelta(minutes=2))
    assert call(kept, request) == first


def test_an_erasure_finds_what_is_left_of_a_later_life_when_a_sweep_took_the_one_before(kept: Kept) -> None:
    for text in ("of the first life", "of the second life"):
        kept.store.append("t", say(text), owner="ada")
        kept.store.delete_thread("t")
        kept.clock.advance(timedelta(hours=20))
        kept.swept()
    kept.clock.advance(timedelta(hours=2))
    kept.swept()
    assert "first life" not in kept.text()
    assert "second life" in kept.text()
    kept.store.erase("ada")
    assert "second life" not in kept.text()


def test_the_end_of_a_life_that_expired_hides_nothing_of_the_one_that_began_behind_it(kept: Kept) -> None:
    kept.store.append("t", say("brief"), ttl=60)
    kept.clock.advance(timedelta(minutes=2))
    request = chatstore.uuid7(kept.clock() // 1000)
    first = created(kept, request)
    assert created(kept, request) == first
