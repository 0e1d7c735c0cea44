"""A clock that follows a server's is as near to it as it says, whatever the machine's own clock does."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatstore.blocking import run
from chatstore.clocks import FURTHEST, ServerClock, followed, present, time_to_remove
from chatstore.contract import system_clock
from chatstore.errors import ClockUncertain
from chatstore.models import from_micros, to_micros

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
TEN = to_micros(datetime(2026, 3, 1, 10, tzinfo=UTC))
WIDTH = 3 * SECOND
DRIFT = 200 / 1_000_000
ROUNDING = 50
"""Microseconds that the world's whole numbers may be off."""


class World:
    """A server's time, a machine's clock that runs `fast` and is `off`, and how long it has been running."""

    def __init__(self, off: int = 0, fast: float = 0.0) -> None:
        self.true = TEN
        self.off = float(off)
        self.fast = fast
        self.running = 0.0
        self.clock = ServerClock(lambda: round(self.true + self.off), lambda: round(self.running))

    def wait(self, micros: int) -> None:
        self.true += micros
        self.running += micros * (1 + self.fast)
        self.off += micros * self.fast

    def suspend(self, micros: int) -> None:
        self.true += micros

    def answer(self, there: int = 0, back: int = 0, server: int = 0) -> None:
        """A round trip to a server whose clock is off by `server`."""
        asked = self.clock.monotonic()
        self.wait(there)
        date = format_datetime(from_micros(self.true + server), usegmt=True)
        self.wait(back)
        self.clock.heard(date, asked)

    @property
    def error(self) -> int:
        return abs(self.clock() - self.true)


class Event(NamedTuple):
    wait: int
    there: int
    back: int
    server: int
    step: int
    suspended: int


small = st.integers(0, 2 * SECOND)
events = st.builds(
    Event,
    wait=st.integers(0, 10 * MINUTE),
    there=small,
    back=small,
    server=st.integers(-SECOND, SECOND - 1),
    step=st.just(0) | st.integers(-SECOND, SECOND) | st.integers(-10 * DAY, 10 * DAY),
    suspended=st.just(0) | st.integers(0, DAY),
)


@given(
    off=st.integers(-10 * DAY, 10 * DAY) | st.integers(-5 * SECOND, 5 * SECOND),
    fast=st.floats(-DRIFT, DRIFT),
    happens=st.lists(events, min_size=1, max_size=12),
)
def test_after_an_answer_it_is_as_near_as_the_trip_was_quick(
    off: int, fast: float, happens: list[Event]
) -> None:
    world = World(off, fast)
    for event in happens:
        world.wait(event.wait)
        world.off += event.step
        world.suspend(event.suspended)
        world.answer(event.there, event.back, event.server)
        assert world.error <= WIDTH + event.there + event.back + ROUNDING


@given(
    off=st.integers(-10 * DAY, 10 * DAY),
    fast=st.floats(-DRIFT, DRIFT),
    happens=st.lists(events.map(lambda one: one._replace(step=0, suspended=0)), min_size=1, max_size=12),
)
def test_between_answers_it_keeps_what_the_quickest_said_but_for_the_drift(
    off: int, fast: float, happens: list[Event]
) -> None:
    world = World(off, fast)
    quickest = 10 * MINUTE
    for event in happens:
        world.answer(event.there, event.back, event.server)
        quickest = min(quickest, event.there + event.back)
        offset = world.clock.offset
        assert offset is not None
        assert offset.low - ROUNDING <= -world.off <= offset.high + ROUNDING
        world.wait(event.wait)
        drifted = 2 * DRIFT * sum(one.wait + one.there + one.back for one in happens)
        assert world.error <= WIDTH + quickest + drifted + ROUNDING * len(happens)


@given(off=st.integers(-SECOND + 1, SECOND - 1), happens=st.lists(events, max_size=12))
def test_a_clock_that_is_right_to_the_second_is_used_as_it_is(off: int, happens: list[Event]) -> None:
    world = World(off)
    for event in happens:
        world.wait(event.wait)
        world.suspend(event.suspended)
        world.answer(event.there, event.back)
        assert world.clock() == world.true + off


def test_before_an_answer_it_is_the_machine_s() -> None:
    world = World(off=-3 * DAY)
    assert world.clock() == world.true - 3 * DAY
    assert world.clock.offset is None


def test_a_machine_that_is_put_right_is_followed_at_once() -> None:
    world = World(off=3 * DAY)
    world.answer()
    world.wait(MINUTE)
    world.off = 0
    assert world.error == 0


@pytest.mark.parametrize("off", [0, 3 * DAY, -3 * DAY])
def test_a_machine_that_was_suspended_still_knows_the_time(off: int) -> None:
    world = World(off)
    world.answer()
    world.suspend(5 * HOUR)
    assert world.error <= WIDTH
    assert not world.clock.is_fresh


@given(date=st.none() | st.text(max_size=40) | st.text("SunMarGT :,0123456789-", min_size=29, max_size=29))
@example("Sun, 30 Feb 2026 10:00:00 GMT")
@example("Sun, 01 arA 2026 10:00:00 GMT")
@example("Sun, 01 Mar 2026 10:00:00 CET")
@example("Sunday, 01-Mar-26 10:00:00 GMT")
def test_what_is_no_date_is_ignored(date: str | None) -> None:
    world = World(off=3 * DAY)
    with contextlib.suppress(ClockUncertain):
        world.clock.heard(date, 0)
        world.clock.require_certain()
        raise AssertionError(f"{date} was taken for a date")
    world.answer()
    assert world.error <= WIDTH


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - made aware below
def test_every_date_is_understood(naive: datetime) -> None:
    at = naive.replace(microsecond=0, tzinfo=UTC)
    clock = ServerClock(lambda: to_micros(at), lambda: 0)
    clock.heard(format_datetime(at, usegmt=True), 0)
    offset = clock.offset
    assert offset is not None
    assert (offset.low, offset.high) == (-SECOND, 2 * SECOND)


@given(off=st.integers(-2 * DAY, 2 * DAY), trip=st.integers(0, 2 * MINUTE), wait=st.integers(0, 3 * MINUTE))
def test_it_is_certain_only_of_what_was_just_heard_and_is_near(off: int, trip: int, wait: int) -> None:
    world = World(off)
    with pytest.raises(ClockUncertain, match="no answer"):
        world.clock.require_certain()
    world.answer(back=trip)
    world.wait(wait)
    furthest, uncertain = to_micros(from_micros(0) + FURTHEST), WIDTH + trip
    near, far = abs(off) <= furthest, abs(off) > furthest + uncertain
    if wait <= MINUTE and uncertain <= MINUTE and near:
        world.clock.require_certain()
    elif wait > MINUTE or uncertain > MINUTE or far:
        with pytest.raises(ClockUncertain) as raised:
            world.clock.require_certain()
        if wait <= MINUTE and uncertain <= MINUTE:
            assert ("ahead of" if off > 0 else "behind") in str(raised.value)


def test_a_clock_that_was_set_is_not_certain() -> None:
    for step in (-MINUTE, MINUTE):
        world = World()
        world.answer()
        world.clock.require_certain()
        world.off += step
        with pytest.raises(ClockUncertain):
            world.clock.require_certain()


def test_what_removes_asks_where_nothing_was_heard_lately() -> None:
    world = World(off=10 * MINUTE)
    asked = []

    async def ask() -> None:
        asked.append(world.true)
        world.answer()

    assert abs(run(time_to_remove(world.clock, ask)) - world.true) <= WIDTH
    assert abs(run(time_to_remove(world.clock, ask)) - world.true) <= WIDTH
    assert len(asked) == 1
    world.wait(2 * MINUTE)
    run(present(world.clock, ask))
    assert len(asked) == 1
    run(time_to_remove(world.clock, ask))
    assert len(asked) == 2


def test_a_server_that_says_no_time_is_not_believed() -> None:
    async def ask() -> None:
        """Answer without a date."""

    with pytest.raises(ClockUncertain, match="Date"):
        run(time_to_remove(World().clock, ask))


def test_a_clock_that_was_given_is_trusted_and_asks_nobody() -> None:
    async def ask() -> None:
        raise AssertionError

    assert run(time_to_remove(lambda: 7, ask)) == run(present(lambda: 7, ask)) == 7
    given_clock = ServerClock()
    assert followed(given_clock) is given_clock
    assert isinstance(followed(system_clock), ServerClock)
    assert timedelta(minutes=15) == FURTHEST
