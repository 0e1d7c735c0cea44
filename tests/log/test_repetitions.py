"""A repetition finds its first try, whatever lies above that in the thread's rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

import chatstore
from chatstore import ChatStore
from chatstore.testing.samples import contents, say, whole
from tests.log.memory_table import Killed, LogInMemory
from tests.log.test_applying import DAY, World, killed, world

__all__ = ["world"]

MINUTE = timedelta(minutes=1)


def staged_for_nothing(world: World) -> None:
    """A writer that was killed before its slot leaves another history, which is older than the request."""
    world.other.append("t", say("a"))
    world.meddled.before_put = killed
    with pytest.raises(Killed):
        ChatStore(LogInMemory(world.meddled, world.clock)).replace_all("t", [say("never")])


def ended(world: World) -> None:
    """A seal leads back to where all threads begin: what is there is younger."""
    world.other.append("t", say("a"))
    world.other.delete_thread("t")
    world.swept(DAY)


def put_between(world: World) -> None:
    """A row that was put between others has no sums."""


def then_replaced(world: World) -> None:
    world.other.replace_all("t", [say("b")])


def then_inserted(world: World) -> None:
    last = world.other.append("t", say("b")).messages[0]
    world.other.insert("t", say("i"), before=last.id)


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        (staged_for_nothing, then_replaced, ["b"]),
        (ended, then_replaced, ["b"]),
        (put_between, then_inserted, ["r", "i", "b"]),
    ],
)
def test_a_request_that_tells_its_time_is_found(
    world: World, before: Callable[[World], None], after: Callable[[World], object], left: list[str]
) -> None:
    before(world)
    world.clock.advance(MINUTE)
    request = chatstore.uuid7(world.clock() // 1000)
    first = world.other.append("t", say("r"), request_id=request)
    world.clock.advance(MINUTE)
    after(world)
    assert world.cold().append("t", say("r"), request_id=request) == first
    assert contents(whole(world.cold(), "t")) == left


def test_a_cold_repetition_tells_how_many_messages_its_history_found_there(world: World) -> None:
    world.other.append("t", say("a"), say("b"))
    request = chatstore.uuid7(world.clock() // 1000)
    history = [say("a"), say("b"), say("c")]
    first = world.other.replace_all("t", history, request_id=request)
    assert first.kept == 2
    world.other.append("t", say("d"))
    assert world.cold().replace_all("t", history, request_id=request) == first


def test_a_request_is_looked_for_from_when_it_was_first_sent(world: World) -> None:
    request = chatstore.RequestId("opaque", world.clock.now)
    first = world.other.append("t", say("r"), request_id=request)
    world.other.append("t", say("b"))
    world.clock.advance(timedelta(hours=1))
    assert world.cold().append("t", say("r"), request_id=request) == first
    assert contents(whole(world.cold(), "t")) == ["r", "b"]
