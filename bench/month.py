"""``python -m bench.month [TURNS]``: a month of turns that expire after a week, on DynamoDB's engine.

The store's own code runs on a table in memory, by a clock that is moved. Threads take ten turns, some hours
apart, and one owner a day is erased. Every hour a sweep runs as it is deployed: for its time at most, with so
many milliseconds for each call, and calls that are made side by side counted as such. For each week it
prints what is stored, what the last sweep left undone, and the units that a turn has cost; at the end, those
that `bench.aws_costs` reckons with.
"""

from __future__ import annotations

import base64
import heapq
import random
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from bench import aws_costs
from chatstore import ChatStore
from chatstore.engines.log import Key, Row, Rows
from chatstore.testing import ManualClock
from examples.log_driver import LogInMemory, MemoryTable, key_of

T = TypeVar("T")

DAYS, TTL, TURNS = 28, timedelta(days=7), 10
CALL_SECONDS = 0.006
SIDE_BY_SIDE = 8
SWEEP_SECONDS = 840


class Priced(MemoryTable):
    """Counts units and calls by who makes them, and how long calls take where each takes `CALL_SECONDS`."""

    def __init__(self) -> None:
        super().__init__()
        self.units: Counter[str] = Counter()
        self.busy = 0.0
        self.who = "turns"

    def _called(self, reads: float = 0, writes: float = 0) -> None:
        self.busy += CALL_SECONDS
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
            self.busy += CALL_SECONDS * ((len(puts) + len(deletes) - 1) // 25)
        await super().write(puts, deletes)

    async def remove(self, row: Row) -> None:
        self._called(writes=_kilobytes(self.row(key_of(row))))
        await super().remove(row)

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        began, lanes, results = self.busy, [self.busy] * SIDE_BY_SIDE, []
        for call in calls:
            self.busy = heapq.heappop(lanes)
            results.append(await call())
            heapq.heappush(lanes, self.busy)
        self.busy = max(lanes) if calls else began
        return results

    def stored(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.rows.values()))

    def due(self, now: int) -> int:
        """Visits whose time has come."""
        return sum(
            int(sk.partition("#")[0]) <= now
            for pk, rows in self.rows.items() if pk.startswith("X#")
            for sk in rows
        )  # fmt: skip


def main(turns: int = 100_000) -> None:
    """Print the table."""
    clock, table = ManualClock(), Priced()
    store = ChatStore(LogInMemory(table, clock))
    chance, hours = random.Random(1), DAYS * 24
    load = Load(turns / hours, chance)
    done, longest, before = 0, 0.0, (0, Counter[str]())
    week, units = 0, Counter[str]()
    print(f"{turns:,} turns in {DAYS} days that live for {TTL.days}; a sweep takes {SWEEP_SECONDS} s at most")
    print(
        f"{'day':>4}{'rows':>12}{'visits due':>12}{'longest sweep':>15}   write units a turn, and its expiry"
    )
    for hour in range(hours):
        table.who = "turns"
        for thread in load.hour(hour):
            store.append(thread, *_turn(chance), owner=f"o{hash(thread) % 1000}", ttl=TTL)
            store.read(thread, last=20)
            done += 1
        if hour % 24 == 5:
            table.who = "erasures"
            store.erase(f"o{chance.randrange(1000)}")
        clock.advance(timedelta(hours=1))
        longest = max(longest, _swept(store, table))
        if (hour + 1) % (24 * 7) == 0:
            week, units = done - before[0], table.units - before[1]
            print(
                f"{(hour + 1) // 24:>4}{table.stored():>12,}{table.due(clock()):>12,}{longest:>13,.0f} s"
                f"{units['turns wru'] / week:>15.2f}{units['sweeps wru'] / week:>12.2f}"
            )
            before = done, table.units.copy()
    print(f"read units a turn: {units['turns rru'] / week:.2f}, its expiry {units['sweeps rru'] / week:.2f}")
    turn = aws_costs.EXPIRING
    print(f"bench.aws_costs reckons with {turn.write_units:.2f} write and {turn.read_units:.2f} read units")


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
            due.append((f"t{self._begun}", TURNS))
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


def _swept(store: ChatStore, table: Priced) -> float:
    """Sweep as long as there is time; how many seconds it took."""
    table.who, began = "sweeps", table.busy
    while store.sweep(limit=64).more and table.busy - began < SWEEP_SECONDS:
        pass
    return table.busy - began


def _size(row: Row) -> int:
    values = (value if isinstance(value, bytes) else str(value) for value in row.values())
    return sum(map(len, row)) + sum(map(len, values))


def _kilobytes(row: Row | None) -> int:
    return 1 if row is None else max(1, -(-_size(row) // 1024))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
