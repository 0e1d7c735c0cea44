"""A table in memory behind the backend's port."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncIterator, Mapping, Sequence

from chatstore.backends.azure_tables.port import Entity, Op, Overtaken, Properties, Range, Slice

_MOST = 100
_PROPERTY = 64 * 1024


class FakeTable:
    """What the service keeps: shared by as many drivers as there are processes."""

    def __init__(self) -> None:
        self.rows: Mapping[tuple[str, str], Entity] = {}
        self._versions: Mapping[tuple[str, str], int] = {}

    def copy(self) -> FakeTable:
        """Another with the same rows."""
        return copy.copy(self)

    def key(self) -> object:
        """Equal where the same is there, and was as often written."""
        return frozenset(self._versions.items()), frozenset(
            (key, entity.etag, frozenset(entity.properties.items())) for key, entity in self.rows.items()
        )

    def apply(self, partition: str, ops: Sequence[Op]) -> list[str | None]:
        """All of `ops` or none."""
        assert 1 <= len(ops) <= _MOST, "a group has at most a hundred operations"
        assert len({op.row for op in ops}) == len(ops), "a row appears once in a group"
        rows, versions, etags = dict(self.rows), dict(self._versions), list[str | None]()
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
            for value in op.properties.values():
                length = len(value) if isinstance(value, bytes) else len(value.encode("utf-16-le"))
                assert length <= _PROPERTY, "a property has at most 64 KiB, as UTF-16 if it is text"
            kept: Properties = {}
            if found is not None and op.kind in {"merge", "touch"}:
                kept = found.properties
            # A row that comes again is another: no etag comes twice.
            versions[key] = versions.get(key, 0) + 1
            rows[key] = Entity(*key, {**kept, **op.properties}, f"e{versions[key]}")
            etags.append(rows[key].etag)
        self.rows, self._versions = rows, versions
        return etags


class FakeDriver:
    """One process's way to a table."""

    def __init__(self, table: FakeTable, *, page: int = 1000) -> None:
        self.table = table
        self._page = page

    async def create(self) -> None:
        """It is there."""

    async def get(self, partition: str, row: str) -> Entity | None:
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
        low, high = (partitions, f"{partitions}\0") if isinstance(partitions, str) else partitions
        found = [
            entity
            for (partition, row), entity in self.table.rows.items()
            if low <= partition < high
            and (rows is None or rows[0] <= row < rows[1])
            and (before is None or str(entity.properties.get("x", "~")) < before)
            and (token is None or [partition, row] >= token)  # type: ignore[operator]
        ]
        found.sort(key=lambda entity: (entity.partition, entity.row))
        most = min(top, self._page)
        following = found[most] if len(found) > most else None
        return Slice(found[:most], None if following is None else [following.partition, following.row])

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        return self.table.apply(partition, ops)

    @contextlib.asynccontextmanager
    async def turn(self, partition: str) -> AsyncIterator[None]:
        yield

    async def pause(self, seconds: float) -> None:
        """Nobody else is on the way."""

    async def close(self) -> None:
        """Nothing is open."""
