"""``python -m bench lists``: the load at which a list of threads fills its partition of DynamoDB.

The store's own code runs on a table in memory, by a clock of its own: threads of one tenant take a turn a
minute each, past a full hour. Units are counted by partition and minute, and the busiest minute of each
kind is set against what a partition takes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from chatstore.engines.log.port import Key, Row, Rows
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from tests.log.memory_table import LogInMemory, MemoryTable

__all__ = ["main"]

WRITES_A_SECOND, READS_A_SECOND = 1000, 3000
THREADS, MINUTES = 3000, 4
SAY = {"role": "user", "content": "and what else?"}
KINDS = {
    "owner": "one owner's list",
    "hour": "the tenant's list of an hour",
    "visits": "the table's list of visits of an hour",
}


class Counted(MemoryTable):
    """Counts units by partition, and write units by minute too."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock
        self.writes: Counter[tuple[str, int]] = Counter()
        self.reads: Counter[str] = Counter()

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        minute = self.clock() // 60_000_000
        for pk in [str(row["pk"]) for row in puts] + [key.pk for key in deletes]:
            self.writes[pk, minute] += 1
        await super().write(puts, deletes)

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self.writes[str(row["pk"]), self.clock() // 60_000_000] += 1
        return await super().put_new(row, free=free)

    async def query(
        self, pk: str, low: str, high: str, *, limit: int, newest: bool = False, after: str | None = None,
        stale: bool = False,
    ) -> Rows:  # fmt: skip
        found = await super().query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)
        self.reads[pk] += max(1, -(-sum(map(_size, found.rows)) // 4096))
        return found

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        for key in keys:
            self.reads[key.pk] += 1
        return await super().get(keys)


def _size(row: Row) -> int:
    return sum(len(name) + (8 if isinstance(value, int) else len(value)) for name, value in row.items())


def _kind(pk: str) -> str | None:
    if pk.startswith("L#"):
        return "owner"
    if pk.startswith("A#") and pk.count("#") == 2:
        return "hour"
    if pk.startswith("X#"):
        return "visits"
    return None


def simulated(*, one_owner: bool, edits: bool) -> tuple[Counter[str], Counted, ChatStore]:
    """The write units of the busiest minute of each kind of partition."""
    clock = ManualClock()
    clock.advance(timedelta(microseconds=-clock() % 3_600_000_000) - timedelta(minutes=MINUTES / 2))
    table = Counted(clock)
    store = ChatStore(LogInMemory(table, clock))
    chance = random.Random(7)
    for thread in range(THREADS):
        store.append(f"t{thread}", SAY, owner="one" if one_owner else f"owner {thread}")
    clock.advance(timedelta(minutes=1))
    table.writes.clear()
    # Each thread has its second of the minute, by chance, as people do.
    seconds = [chance.randrange(60) for _ in range(THREADS)]
    for _ in range(60 * MINUTES):
        clock.advance(timedelta(seconds=1))
        now = clock() // 1_000_000 % 60
        for thread in range(THREADS):
            if seconds[thread] == now:
                [stored] = store.append(f"t{thread}", SAY).messages
                if edits:
                    store.replace_message(f"t{thread}", stored.id or "", SAY)
    busiest: Counter[str] = Counter()
    for (pk, _), count in table.writes.items():
        kind = _kind(pk)
        if kind is not None:
            busiest[kind] = max(busiest[kind], count)
    return busiest, table, store


def main() -> None:
    print(f"{THREADS:,} threads of a tenant, a turn a minute each, past a full hour")
    print("write units a second in the busiest minute, and how many active threads fill the partition\n")
    for name, one_owner, edits in (
        ("an owner each", False, False),
        ("one owner", True, False),
        ("an owner each, each turn edited", False, True),
    ):
        busiest, table, store = simulated(one_owner=one_owner, edits=edits)
        print(name)
        for kind, text in KINDS.items():
            if busiest[kind] * 2 > THREADS:
                a_second = busiest[kind] / 60
                print(f"  {text:38}{a_second:>7.2f}{THREADS * WRITES_A_SECOND / a_second:>14,.0f}")
        table.reads.clear()
        page = store.list_threads(limit=20, owner="one" if one_owner else None)
        assert len(page) == 20
        parts: Counter[str] = Counter()
        for pk, count in table.reads.items():
            parts[_kind(pk) or "hours"] += count
        listed = parts["owner" if one_owner else "hour"]
        print(
            f"  a page of 20: {sum(parts.values()):,} read units, {listed:,} of them of the list's partition,"
            f" which takes {READS_A_SECOND / listed:,.0f} pages a second\n"
        )
