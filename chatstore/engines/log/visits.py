"""When threads are to be visited, so that what is dead by then is removed: lists of them, by the hour.

A visit is noted before what it is for is written. Whoever is killed between the two leaves a visit that finds
nothing, and never something that nobody comes for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from chatstore.contract import Clock
from chatstore.engines.log import layout
from chatstore.engines.log.known import LONGEST
from chatstore.engines.log.port import Key, Row, Table

__all__ = ["NONE", "Planned", "Visit", "Visits", "Written", "hour_of", "key_of"]

_REMEMBERED = 10_000


class Visit(NamedTuple):
    """A thread's partition that is to be visited, when, and the row that says so.

    `closed` is the epoch whose seal is all that is thought to be left there.
    """

    row: Key
    at: int
    pk: str
    closed: str | None = None


class Planned(NamedTuple):
    """The rows that note a visit, and those that lead to its hour; none where another visit comes first."""

    rows: Sequence[Row]
    hours: Sequence[Row]


NONE = Planned((), ())


class Written:
    """What this process has written of rows that are the same for all who write them: once is enough."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._keys: dict[Key, None] = {}

    async def put(self, rows: Sequence[Row], *, once: Sequence[Row], gone: Sequence[Key] = ()) -> None:
        """Write of `once` what this process has not yet written, and `rows`; delete `gone`.

        What leads to others comes first: where the call is done in part, all that is written is found.
        """
        new = {key_of(row): row for row in once if key_of(row) not in self._keys}
        if rows or new or gone:
            await self._table.write([*new.values(), *rows], gone)
        self._keys.update(dict.fromkeys(new))
        _shorten(self._keys)


class Visits:
    """Notes visits, and finds those that are due."""

    def __init__(self, table: Table, clock: Clock, written: Written) -> None:
        self._table = table
        self._clock = clock
        self._written = written
        self._planned: dict[str, int] = {}

    async def schedule(self, pk: str, at: int) -> None:
        """Note that a thread is to be visited once `at` has passed; one trip, none where that is noted."""
        await self.schedule_all({pk: at})

    async def schedule_all(
        self, wanted: Mapping[str, int], closed: Mapping[str, str] | None = None, once: Sequence[Row] = ()
    ) -> None:
        """Note visits to several threads; a trip for every 25 that are not yet noted.

        `closed` names the epoch whose seal is all that a visit is for. Nothing else relies on such a visit.
        Rows of `once` are written before, where this process has not done so.
        """
        planned = {pk: self.plan(pk, at, (closed or {}).get(pk)) for pk, at in wanted.items()}
        rows = [row for one in planned.values() for row in one.rows]
        hours = [row for one in planned.values() for row in one.hours]
        await self._written.put(rows, once=[*once, *hours])
        for pk, one in planned.items():
            if closed is None or pk not in closed:
                self.remember(pk, one)

    def plan(self, pk: str, at: int, closed: str | None = None) -> Planned:
        """What is to be written so that a thread is visited once `at` has passed.

        Who slept may come with a time that is past: its hour may be off the list already, so it is noted now.
        """
        at = max(at, self._clock())
        known = self._planned.get(pk, 0)
        if self._clock() + LONGEST < known <= at:
            # Whoever makes that visit plans the next, also one whose clock is ahead.
            return NONE
        hour = layout.hour_name(hour_of(at))
        row: Row = {"pk": layout.visit_bucket(hour), "sk": f"{at:017d}#{layout.digest(pk)}", "of": pk}
        if closed is not None:
            row["s"] = closed
        return Planned([row], [{"pk": layout.VISITS, "sk": hour}])

    def remember(self, pk: str, planned: Planned) -> None:
        """Remember that `planned` was written."""
        for row in planned.rows:
            self._planned[pk] = _due(row)
        _shorten(self._planned)

    async def due(self, now: int, most: int) -> AsyncIterator[Sequence[Visit]]:
        """Visits that are due, the oldest first, up to `most` at a time: of one hour, each to another thread.

        An hour goes off the list once whoever asks for more is done with its visits.
        """
        async for hour_row in self._table.all(layout.VISITS, " ", layout.hour_name(hour_of(now))):
            hour = str(hour_row["sk"])
            together: dict[str, Visit] = {}
            async for row in self._table.all(layout.visit_bucket(hour), " ", f"{now:017d}~"):
                closed = str(row["s"]) if "s" in row else None
                visit = Visit(key_of(row), _due(row), str(row["of"]), closed)
                if len(together) == most or visit.pk in together:
                    yield list(together.values())
                    together = {}
                together[visit.pk] = visit
            if together:
                yield list(together.values())
            if int(hour) < hour_of(now - layout.HOUR):
                # Over for long enough that nobody writes to it any more.
                await self._table.write([], [Key(layout.VISITS, hour)])

    async def take_off(self, visits: Sequence[Key]) -> None:
        """Take visits off the list."""
        await self._table.write([], visits)


def hour_of(micros: int) -> int:
    """The hour in which a time is, counted from 1970."""
    return micros // layout.HOUR


def key_of(row: Row) -> Key:
    """What names a row."""
    return Key(str(row["pk"]), str(row["sk"]))


def _due(visit: Row) -> int:
    return int(str(visit["sk"]).partition("#")[0])


def _shorten(known: dict[Any, Any]) -> None:
    """Forget the oldest tenth of what is too much; other threads may be adding to it."""
    if len(known) > _REMEMBERED:
        for key in list(known)[: len(known) - _REMEMBERED * 9 // 10]:
            known.pop(key, None)
