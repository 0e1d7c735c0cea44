"""A table whose calls are lost, answered in vain, late and doubled, as those over a wire are."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from chatstore.engines.log import Key, Row, Rows, Table
from chatstore.errors import Unavailable

T = TypeVar("T")
Call = Callable[[], Awaitable[object]]

_LONGEST_DELAY = 60
_LONGEST_STORM = 30
_STORMS = 0.1


class FaultyTable(Table):
    """Another table; `share` of the calls have a fault, and some of these come in storms."""

    def __init__(self, table: Table, chance: random.Random, share: float = 0.15) -> None:
        self.faults: Counter[str] = Counter()
        self._table = table
        self._chance = chance
        self._share = share
        self._storm = 0
        self._late: list[tuple[int, Call]] = []

    async def query(
        self,
        pk: str,
        low: str,
        high: str,
        *,
        limit: int,
        newest: bool = False,
        after: str | None = None,
        stale: bool = False,
    ) -> Rows:
        return await self._asked(
            lambda: self._table.query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)
        )

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        return await self._asked(lambda: self._table.get(keys))

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        return await self._sent(lambda: self._table.put_new(row, free=free))

    async def swap(self, row: Row, version: int | None) -> bool:
        return await self._sent(lambda: self._table.swap(row, version))

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        for row in puts:
            await self._sent(lambda row=row: self._table.write([row]), once=True)  # type: ignore[misc]
        for key in deletes:
            await self._sent(lambda key=key: self._table.write([], [key]), once=True)  # type: ignore[misc]

    async def remove(self, row: Row) -> bool:
        return await self._sent(lambda: self._table.remove(row))

    async def ping(self) -> None:
        await self._asked(self._table.ping)

    async def pause(self, seconds: float) -> None:
        return None

    async def close(self) -> None:
        await self._table.close()

    async def _asked(self, call: Callable[[], Awaitable[T]]) -> T:
        await self._arrive()
        if self._fails():
            self.faults["lost"] += 1
            raise Unavailable("no answer")
        return await call()

    async def _sent(self, call: Callable[[], Awaitable[T]], *, once: bool = False) -> T:
        await self._arrive()
        if not self._fails():
            return await call()
        fates = ["lost", "answer lost", "late", *([] if once else ["twice", "twice, once late"])]
        fate = self._chance.choice(fates)
        self.faults[fate] += 1
        if fate.startswith("twice"):
            answer = await call()
            if fate == "twice":
                return await call()
            self._delay(call)
            return answer
        if fate == "answer lost":
            await call()
        if fate == "late":
            self._delay(call)
        raise Unavailable("no answer")

    def _delay(self, call: Call) -> None:
        self._late.append((self._chance.randint(1, _LONGEST_DELAY), call))

    def _fails(self) -> bool:
        if self._storm:
            self._storm -= 1
            return True
        if self._chance.random() >= self._share:
            return False
        if self._chance.random() < _STORMS:
            self._storm = self._chance.randint(1, _LONGEST_STORM)
        return True

    async def _arrive(self) -> None:
        late = [(left - 1, call) for left, call in self._late]
        self._late = [(left, call) for left, call in late if left > 0]
        for left, call in late:
            if left <= 0:
                await call()
