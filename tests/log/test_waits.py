"""How often a sweep waits for the storage, where calls that it makes side by side are one wait."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from chatstore.engines.log import Key, Row, Rows
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.log.memory_table import LogInMemory, MemoryTable

T = TypeVar("T")


class Waiting(MemoryTable):
    """Counts waits: `own` are those in which calls were for one thread each, `calls` how many those were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.own: set[int] = set()
        self.calls = 0

    def _waited(self, *, own: bool) -> None:
        self.now += 1
        if own:
            self.own.add(self.now)
            self.calls += 1

    async def query(self, pk: str, low: str, high: str, *, limit: int, newest: bool = False,
                    after: str | None = None, stale: bool = False) -> Rows:  # fmt: skip
        self._waited(own=pk.startswith("T#"))
        return await super().query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        self._waited(own=False)
        return await super().get(keys)

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self._waited(own=True)
        return await super().put_new(row, free=free)

    async def swap(self, row: Row, version: int | None) -> bool:
        self._waited(own=row["sk"] != "!")
        return await super().swap(row, version)

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        if puts or deletes:
            self._waited(own=False)
        await super().write(puts, deletes)

    async def remove(self, row: Row) -> bool:
        self._waited(own=True)
        return await super().remove(row)

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        began = latest = self.now
        results = []
        for call in calls:
            self.now = began
            results.append(await call())
            latest = max(latest, self.now)
        self.now = latest
        return results

    def swept(self, store: ChatStore) -> tuple[int, int]:
        """How often a sweep waits for calls that are for one thread, and how many those are."""
        self.now, self.calls = 0, 0
        self.own.clear()
        store.sweep()
        return len(self.own), self.calls


@pytest.mark.parametrize("threads", [1, 25])
def test_an_expired_thread_of_ten_turns_is_removed_in_eight_round_trips(threads: int) -> None:
    table, clock = Waiting(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    clock.advance(timedelta(minutes=70 - clock.now.minute))
    for number in range(threads):
        for _ in range(10):
            store.append(f"t{number}", say("a", "b"), owner=f"o{number}", ttl=timedelta(days=7))
    clock.advance(timedelta(hours=3))
    store.sweep()
    visits = []
    for wait in (timedelta(days=7), timedelta(hours=25), timedelta(hours=1)):
        clock.advance(wait)
        waits, calls = table.swept(store)
        visits.append((waits, calls / threads))
    # Others are made once for all threads of a step: the notes of next visits, what lists them, the seals.
    assert visits == [(3, 3), (5, 18), (0, 0)]
    assert not [pk for pk, rows in table.rows.items() if rows and pk.startswith(("T#", "L#", "A#default#"))]
