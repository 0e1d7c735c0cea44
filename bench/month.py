"""``python -m bench.month [TURNS]``: a month of turns that expire after a week, on DynamoDB's engine.

The store's own code runs on a table in memory, by a clock that is moved. Threads take ten turns, some hours
apart, and one owner a day is erased. Every hour a sweep runs as it is deployed: for its time at most, with so
many milliseconds for each call, of which the processor's part is shared by calls that are made side by side.
For each week it prints what is stored, what sweeps left undone, and the units that a turn has cost; then how
long sweeps would take with 100 million turns, and the bill beside that of `bench.aws_costs`.

Exits with 1 where storage grows after the first week, a sweep leaves anything undone, sweeps of 100 million
turns would not end in time, or the bill is more than 5 % off.
"""

from __future__ import annotations

import base64
import gc
import heapq
import random
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from bench import aws_costs
from chatstore import ChatStore
from chatstore.engines.log import Key, Row, Rows
from chatstore.engines.log.known import LONGEST
from chatstore.testing import ManualClock
from examples.log_driver import LogInMemory, MemoryTable, key_of

T = TypeVar("T")

DAYS, TTL, TURNS = 28, timedelta(days=7), 10
CALL_SECONDS, PROCESSOR_SECONDS = 0.006, 0.0015
"""How long a call takes, and how much of that is the processor's, which works on one at a time."""
SIDE_BY_SIDE = 8
SWEEP_SECONDS = 890
"""What the deployed sweep's function leaves it of its time."""
MANY_TURNS = 100_000_000
TOLERANCE = 0.05
COMPARED = "writes", "reads", "storage", "function"
ITEM_BYTES = 100
"""What a row is billed for beyond its names and values."""


class Priced(MemoryTable):
    """Counts units and calls by who makes them, and how long calls take where each takes `CALL_SECONDS`."""

    def __init__(self) -> None:
        super().__init__()
        self.units: Counter[str] = Counter()
        self.busy = 0.0
        self.calls = 0
        self.who = "turns"

    def _called(self, reads: float = 0, writes: float = 0) -> None:
        self.busy += CALL_SECONDS
        self.calls += 1
        self.units[f"{self.who} rru"] += reads  # type: ignore[assignment]
        self.units[f"{self.who} wru"] += writes  # type: ignore[assignment]

    async def query(
        self, pk: str, low: str, high: str, *, limit: int, newest: bool = False, after: str | None = None,
        stale: bool = False,
    ) -> Rows:  # fmt: skip
        found = await super().query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)
        self._called(reads=max(1, -(-sum(map(_size, found.rows)) // 4096)))
        return found

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        found = await super().get(keys)
        if keys:
            self._called(reads=sum(-(-_size(row) // 4096) for row in found) + len(keys) - len(found))
        return found

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self._called(writes=_kilobytes(row) * (1 if free is None else 2))
        return await super().put_new(row, free=free)

    async def swap(self, row: Row, version: int | None) -> bool:
        self._called(writes=max(_kilobytes(row), _kilobytes(self.row(key_of(row)))))
        return await super().swap(row, version)

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        if puts or deletes:
            gone = sum(_kilobytes(self.row(key)) for key in deletes)
            self._called(writes=sum(map(_kilobytes, puts)) + gone)
            more = (len(puts) + len(deletes) - 1) // 25
            self.busy += CALL_SECONDS * more
            self.calls += more
        await super().write(puts, deletes)

    async def remove(self, row: Row) -> bool:
        self._called(writes=_kilobytes(self.row(key_of(row))))
        return await super().remove(row)

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        began, lanes, results = self.busy, [self.busy] * SIDE_BY_SIDE, []
        before = self.calls
        for call in calls:
            self.busy = heapq.heappop(lanes)
            results.append(await call())
            heapq.heappush(lanes, self.busy)
        self.busy = max(*lanes, began + (self.calls - before) * PROCESSOR_SECONDS)
        return results

    def stored(self) -> tuple[int, int]:
        """How many rows there are, and what they hold in bytes as they are billed."""
        sizes = [_size(row) + ITEM_BYTES for rows in self.rows.values() for row in rows.values()]
        return len(sizes), sum(sizes)

    def due(self, now: int) -> int:
        """Visits whose time has come, and for which nobody can still be on the way."""
        return sum(
            int(sk.partition("#")[0]) <= now - LONGEST
            for pk, rows in self.rows.items() if pk.startswith("X#")
            for sk in rows
        )  # fmt: skip


class Units(NamedTuple):
    """For each turn."""

    writes: float
    reads: float


class Week(NamedTuple):
    """What a week came to: rows and bytes at its end, what a turn and its expiry took, how sweeps went.

    `seconds` of sweeping are for each turn.
    """

    rows: int
    stored_bytes: int
    due: int
    turn: Units
    expiry: Units
    seconds: float
    longest: float
    unfinished: int


def main(turns: int = 100_000) -> None:
    """Print the table."""
    # Nothing of what is played is garbage in circles, and to look for it among all rows takes long.
    gc.disable()
    print(f"{turns:,} turns in {DAYS} days that live for {TTL.days}; a sweep takes {SWEEP_SECONDS} s at most")
    print(
        f"{'day':>4}{'rows':>12}{'visits due':>12}{'longest sweep':>15}   write units a turn, and its expiry"
    )
    weeks = []
    for number, week in enumerate(played(turns), 1):
        print(
            f"{number * 7:>4}{week.rows:>12,}{week.due:>12,}{week.longest:>13,.1f} s"
            f"{week.turn.writes:>15.2f}{week.expiry.writes:>12.2f}",
            flush=True,
        )
        weeks.append(week)
    faults = list(found(turns, weeks))
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


def played(turns: int) -> Iterator[Week]:
    """The weeks of the month."""
    clock, table = ManualClock(), Priced()
    store = ChatStore(LogInMemory(table, clock))
    chance, hours = random.Random(1), DAYS * 24
    load = Load(turns / hours, chance)
    done, before, swept, unfinished = 0, Counter[str](), list[float](), 0
    for hour in range(hours):
        table.who = "turns"
        for thread in load.hour(hour):
            store.append(thread, *_turn(chance), owner=f"o{int(thread[1:]) % 1000}", ttl=TTL)
            store.read(thread, last=20)
            done += 1
        if hour % 24 == 5:
            table.who = "erasures"
            store.erase(f"o{chance.randrange(1000)}")
        clock.advance(timedelta(hours=1))
        seconds, more = _swept(store, table)
        swept.append(seconds)
        unfinished += more
        if (hour + 1) % (24 * 7) == 0:
            units = table.units - before
            turn, expiry = (
                Units(units[f"{who} wru"] / done, units[f"{who} rru"] / done) for who in ("turns", "sweeps")
            )
            took = sum(swept) / done, max(swept)
            yield Week(*table.stored(), table.due(clock()), turn, expiry, *took, unfinished)
            done, before, swept = 0, table.units.copy(), []


def found(turns: int, weeks: Sequence[Week]) -> Iterator[str]:
    """What of a month is not as it should be; prints what it was compared with."""
    last = weeks[-1]
    rows = [week.rows for week in weeks[1:]]
    if max(rows) > min(rows) * (1 + TOLERANCE):
        yield f"storage is not flat after the first week: {rows} rows"
    if last.unfinished or any(week.due for week in weeks):
        yield f"{last.unfinished} sweeps ended with more to do"
    seconds = last.seconds * MANY_TURNS / (DAYS * 24)
    print(f"a sweep with {MANY_TURNS:,} turns a month: {seconds:,.0f} s of {SWEEP_SECONDS}, every hour")
    if seconds > SWEEP_SECONDS:
        yield "sweeps would fall behind"
    measured = aws_costs.EXPIRING._replace(
        write_units=last.turn.writes + last.expiry.writes,
        read_units=last.turn.reads + last.expiry.reads,
        stored_bytes=last.stored_bytes / turns,
        sweep_seconds=last.seconds,
    )
    bills = [aws_costs.month(turns, turn, aws_costs.Prices()) for turn in (measured, aws_costs.EXPIRING)]
    print(f"a turn: {last.turn}, its expiry: {last.expiry}, {measured.stored_bytes:.0f} bytes stored")
    print(f"{'dollars':10}{'played':>12}{'bench.aws_costs':>18}")
    for name in COMPARED:
        print(f"{name:10}{bills[0][name]:>12,.3f}{bills[1][name]:>18,.3f}")
    played, said = (sum(bill[name] for name in COMPARED) for bill in bills)
    off = played / said - 1
    print(f"{'in all':10}{played:>12,.3f}{said:>18,.3f}   {off:+.1%}")
    if abs(off) > TOLERANCE:
        yield f"the bill is {off:+.1%} off"


class Load:
    """Which threads take a turn in an hour: each takes ten, some hours apart."""

    def __init__(self, each_hour: float, chance: random.Random) -> None:
        self._each_hour, self._chance = each_hour, chance
        self._begun = 0
        self._waiting: dict[int, list[tuple[str, int]]] = {}

    def hour(self, hour: int) -> list[str]:
        """Their ids; hours are asked for one after another."""
        due = self._waiting.pop(hour, [])
        while len(due) < int(self._each_hour * (hour + 1)) - int(self._each_hour * hour):
            # The first ones have come some way, so that not all that there are begin and end together.
            left = self._chance.randint(1, TURNS) if hour < TURNS else TURNS
            due.append((f"t{self._begun}", left))
            self._begun += 1
        for thread, left in due:
            if left > 1:
                later = hour + 1 + self._chance.choice((0, 0, 0, 1, 2, 9))
                self._waiting.setdefault(later, []).append((thread, left - 1))
        return [thread for thread, _ in due]


def _turn(chance: random.Random) -> list[dict[str, str]]:
    """A turn of usual length: an item of one write unit, or in 45 of 100 cases of two."""
    length = 1200 if chance.random() < aws_costs.ITEM - 1 else 400
    answer = base64.b64encode(chance.randbytes(length)).decode()
    return [{"role": "user", "content": "and by train?"}, {"role": "assistant", "content": answer}]


def _swept(store: ChatStore, table: Priced) -> tuple[float, bool]:
    """Sweep as long as there is time; how many seconds it took, and whether there is more to do."""
    table.who, began, more = "sweeps", table.busy, True
    while more and table.busy - began < SWEEP_SECONDS:
        more = store.sweep(limit=200).more
    return table.busy - began, more


def _size(row: Row) -> int:
    values = (value if isinstance(value, bytes) else str(value) for value in row.values())
    return sum(map(len, row)) + sum(map(len, values))


def _kilobytes(row: Row | None) -> int:
    return 1 if row is None else max(1, -(-_size(row) // 1024))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
