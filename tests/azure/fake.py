"""A table in memory behind the backend's port, one step a call."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType

from chatstore.backends.azure_tables.port import Again, Entity, Op, Overtaken, Properties, Range, Slice
from tests.schedules.explorer import Fate

_NONE: Mapping[tuple[str, str], Entity] = MappingProxyType({})
_MOST = 100


class FakeTable:
    """What the service keeps: shared by as many drivers as there are processes."""

    def __init__(self, rows: Mapping[tuple[str, str], Entity] = _NONE) -> None:
        self.rows = dict(rows)
        self.etags = itertools.count(len(self.rows) * 100)

    def apply(self, partition: str, ops: Sequence[Op]) -> list[str | None]:
        """All of `ops` or none."""
        assert 1 <= len(ops) <= _MOST, "a group has at most a hundred operations"
        assert len({op.row for op in ops}) == len(ops), "a row appears once in a group"
        rows, etags = dict(self.rows), list[str | None]()
        for op in ops:
            key = partition, op.row
            found = rows.get(key)
            if op.kind == "insert" and found is not None:
                raise Overtaken
            there = found is not None and op.etag in (None, found.etag)
            if op.kind in {"merge", "replace", "delete"} and not there:
                raise Overtaken
            if op.kind == "delete":
                del rows[key]
                etags.append(None)
                continue
            kept: Properties = {}
            if found is not None and op.kind in {"merge", "touch"}:
                kept = found.properties
            rows[key] = Entity(*key, {**kept, **op.properties}, f"e{next(self.etags)}")
            etags.append(rows[key].etag)
        self.rows = rows
        return etags


async def _at_once(call: str) -> Fate:
    """No step to wait for."""
    return Fate.MADE


class FakeDriver:
    """One process's way to a table; `step` is awaited before each call takes place."""

    def __init__(
        self, table: FakeTable, step: Callable[[str], Awaitable[Fate]] = _at_once, *, page: int = 1000
    ) -> None:
        self.table = table
        self._step = step
        self._page = page

    async def get(self, partition: str, row: str) -> Entity | None:
        await self._arrive(f"get {row}")
        return self.table.rows.get((partition, row))

    async def page(
        self,
        partitions: str | Range,
        rows: Range | None,
        top: int,
        token: object | None,
        before: str | None = None,
        *,
        bodies: bool = True,
    ) -> Slice:
        if not str(partitions).startswith("X-"):
            # Nobody but the sweep reads notes: to look for them at another moment changes nothing.
            await self._arrive(f"page {rows}")
        low, high = (partitions, f"{partitions}\0") if isinstance(partitions, str) else partitions
        found = [
            entity
            for (partition, row), entity in sorted(self.table.rows.items())
            if low <= partition < high
            and (rows is None or rows[0] <= row < rows[1])
            and (before is None or str(entity.properties.get("x", "~")) < before)
            and (token is None or [partition, row] >= token)  # type: ignore[operator]
        ]
        most = min(top, self._page)
        following = found[most] if len(found) > most else None
        return Slice(found[:most], None if following is None else [following.partition, following.row])

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        fate = await self._arrive(f"{' and '.join(f'{op.kind} {op.row}' for op in ops)} in {partition[:9]}")
        etags = self.table.apply(partition, ops)
        if fate is Fate.ANSWER_LOST:
            raise Again
        return etags

    @contextlib.asynccontextmanager
    async def turn(self, partition: str) -> AsyncIterator[None]:
        yield

    async def pause(self, seconds: float) -> None:
        """Whoever waits lets others go first, which every schedule does anyway."""

    async def close(self) -> None:
        """Nothing is open."""

    async def _arrive(self, call: str) -> Fate:
        fate = await self._step(call)
        if fate is Fate.LOST:
            raise Again
        return fate
