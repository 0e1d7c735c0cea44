"""The time of a server, measured at its answers, so that nothing is removed by a machine's wrong clock.

Several processes write to one table, each with a clock of its own. So only the server's clock decides what
is old enough to be removed. Every answer over HTTP says the server's time.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from chatstore.contract import Clock, system_clock
from chatstore.errors import ClockUncertain
from chatstore.models import to_micros
from chatstore.wire import micros_of

__all__ = ["FURTHEST", "Offset", "ServerClock", "followed", "present", "time_to_remove"]

FURTHEST: Final = timedelta(minutes=15)
"""How far a machine's clock may be from the server's for what is old to be removed."""

_SECOND: Final = 1_000_000
_EARLY, _LATE = _SECOND, 2 * _SECOND
"""A ``Date`` is cut to whole seconds, and a service's machines may differ by one more in both directions."""
_DRIFT_PER_MILLION: Final = 200
_STEP: Final = _SECOND // 10
"""What the machine's two clocks may come apart, beside their drift, before one of them was set."""
_FRESH: Final = 60 * _SECOND
_WIDEST: Final = 60 * _SECOND
_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"


def _monotonic() -> int:
    return time.monotonic_ns() // 1000


class Offset(NamedTuple):
    """By how much the server's clock is ahead of the machine's: between `low` and `high` microseconds."""

    low: int
    high: int
    own: int
    """When it was measured, by the machine's clock."""
    at: int
    """When it was measured, by the monotonic clock."""

    @property
    def correction(self) -> int:
        """The least that makes the machine's clock agree; zero if it does."""
        return max(self.low, min(self.high, 0))

    @property
    def width(self) -> int:
        """How far a time that is corrected may be from the server's."""
        return self.high - self.low

    def drifted(self, at: int) -> int:
        """By how much the two may have come apart until `at`."""
        return (at - self.at) * _DRIFT_PER_MILLION // 1_000_000

    def was_set(self, own: int, at: int) -> bool:
        """Whether the machine's clock was set since, or its monotonic one stood still, as in a suspension."""
        return abs((own - self.own) - (at - self.at)) > _STEP + self.drifted(at)


class ServerClock:
    """A clock that starts from the machine's `own` and is corrected by what a server's answers say.

    If the machine's clock agrees with all answers, it is used unchanged. From the first answer on, the
    time differs from the server's by at most three seconds plus the duration of the quickest recent round
    trip. After the machine's clock is set, this holds again from the next answer on. One clock belongs to
    one client.

    `own` gives microseconds since 1970, UTC; `monotonic` microseconds since any time, for durations.
    Threads may use it at once: what they share is replaced whole, and each measurement is good by itself.
    """

    def __init__(self, own: Clock = system_clock, monotonic: Clock = _monotonic) -> None:
        self.monotonic = monotonic
        self._own = own
        self._offset: Offset | None = None

    def __call__(self) -> int:
        """The server's time in microseconds since 1970, UTC, as far as it is known."""
        offset, own = self._offset, self._own()
        if offset is None or offset.low <= 0 <= offset.high:
            return own
        passed = self.monotonic() - offset.at
        if offset.low <= own - offset.own - passed <= offset.high:
            return own  # It was put right since the last answer.
        return own + offset.correction

    @property
    def offset(self) -> Offset | None:
        """What is known of the server's clock; None before its first answer."""
        return self._offset

    def heard(self, date: str | None, asked: int) -> None:
        """Take the ``Date`` of an answer whose request was sent when `monotonic` gave `asked`.

        One that is missing or in another form than HTTP's is ignored.
        """
        stamped = None if date is None else _parsed(date)
        if stamped is not None:
            self.told(stamped, asked)

    def told(self, stamped: int, asked: int) -> None:
        """Take the server's time in microseconds, from an answer to what was asked at that time."""
        # In this order a pause between the two makes the measurement wider, not wrong.
        own = self._own()
        at = self.monotonic()
        low, high = stamped - _EARLY - own, stamped + _LATE - own + at - asked
        known = self._offset
        if known is not None and not known.was_set(own, at):
            drifted = known.drifted(at)
            both = max(low, known.low - drifted), min(high, known.high + drifted)
            if both[0] <= both[1]:
                low, high = both
        self._offset = Offset(low, high, own, at)

    @property
    def is_fresh(self) -> bool:
        """Whether an answer within the last minute said what time it is, and no clock was set since."""
        own, at, offset = self._own(), self.monotonic(), self._offset
        return offset is not None and at - offset.at <= _FRESH and not offset.was_set(own, at)

    def require_certain(self) -> None:
        """Raise ClockUncertain if the server's time is not known, or the machine's clock is far from it."""
        offset = self._offset
        if offset is None or not self.is_fresh:
            raise ClockUncertain(
                "nothing is removed, because no answer of the storage told the time: let every proxy in "
                "front of the storage keep the header Date in its answers"
            )
        if offset.width > _WIDEST:
            raise ClockUncertain(
                "nothing is removed, because the storage took so long to answer that its time is known "
                f"only to {offset.width // _SECOND} seconds: try again, or from a machine nearer to it"
            )
        if abs(offset.correction) > micros_of(FURTHEST):
            apart = timedelta(minutes=round(abs(offset.low + offset.high) / (120 * _SECOND)))
            raise ClockUncertain(
                f"nothing is removed, because this machine's clock is {apart} "
                f"{'behind' if offset.correction > 0 else 'ahead of'} the storage's, and may be at most "
                f"{FURTHEST} off: set it, and keep it with NTP"
            )


def followed(clock: Clock) -> Clock:
    """The clock of a client whose answers have dates: a `ServerClock`, unless the caller brought another."""
    return ServerClock() if clock is system_clock else clock


async def present(clock: Clock, ask: Callable[[], Awaitable[object]]) -> int:
    """The present by `clock`; `ask` makes the server answer, which is done where it has not answered yet."""
    if isinstance(clock, ServerClock) and clock.offset is None:
        await ask()
    return clock()


async def time_to_remove(clock: Clock, ask: Callable[[], Awaitable[object]]) -> int:
    """The present by which things may be removed for their age alone; `ask` makes the server answer.

    A clock that the caller brought is trusted. Raises ClockUncertain where a `ServerClock` is not certain.
    """
    if isinstance(clock, ServerClock):
        if not clock.is_fresh:
            await ask()
        clock.require_certain()
    return clock()


@functools.lru_cache(maxsize=16)  # the answers of one second say the same
def _parsed(date: str) -> int | None:
    """``Sun, 06 Nov 1994 08:49:37 GMT`` in microseconds since 1970; None for any other form."""
    month, rest = divmod(_MONTHS.find(date[8:11]), 3)
    if len(date) != 29 or not date.endswith(" GMT") or rest:
        return None
    try:
        day, year = int(date[5:7]), int(date[12:16])
        hour, minute, second = int(date[17:19]), int(date[20:22]), int(date[23:25])
        return to_micros(datetime(year, month + 1, day, hour, minute, min(second, 59), tzinfo=UTC))
    except ValueError:
        return None
