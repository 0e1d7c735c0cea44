"""A driver for the fenced engine: a group of rows under a condition. Here the storage is a dictionary."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from chatstore.contract import Capability, Clock
from chatstore.engines.fenced import Dialect, Driver, FencedBackend
from chatstore.engines.fenced.port import Entity, Op, Overtaken, Properties, Range, Slice

__all__ = ["FencedInMemory", "MemoryDriver", "MemoryGroups"]


class MemoryGroups:
    """Rows by partition and name, shared by as many drivers as there are processes."""

    def __init__(self) -> None:
        self.rows: Mapping[tuple[str, str], Entity] = {}
        self.versions: Mapping[tuple[str, str], int] = {}

    def apply(self, partition: str, ops: Sequence[Op]) -> list[str | None]:
        """All of `ops`, or none and Overtaken."""
        rows, versions, etags = dict(self.rows), dict(self.versions), list[str | None]()
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
            # A row that comes again is another: no etag comes twice.
            versions[key] = versions.get(key, 0) + 1
            rows[key] = Entity(*key, {**kept, **op.properties}, f"e{versions[key]}")
            etags.append(rows[key].etag)
        self.rows, self.versions = rows, versions
        return etags


class MemoryDriver:
    """One process's way to the rows. A page holds at most `size` of them."""

    def __init__(self, groups: MemoryGroups, size: int = 1000) -> None:
        self.groups = groups
        self.size = size

    async def create(self) -> None:
        """It is there."""

    async def get(self, partition: str, row: str) -> Entity | None:
        return self.groups.rows.get((partition, row))

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
            for (partition, row), entity in self.groups.rows.items()
            if low <= partition < high
            and (rows is None or rows[0] <= row < rows[1])
            and (before is None or str(entity.properties.get("x", "~")) < before)
            and (token is None or [partition, row] >= token)  # type: ignore[operator]
        ]
        found.sort(key=lambda entity: (entity.partition, entity.row))
        most = min(top, self.size)
        following = found[most] if len(found) > most else None
        return Slice(found[:most], None if following is None else [following.partition, following.row])

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        return self.groups.apply(partition, ops)

    @contextlib.asynccontextmanager
    async def turn(self, partition: str) -> AsyncIterator[None]:
        yield

    async def pause(self, seconds: float) -> None:
        """Nobody else is on the way."""

    async def close(self) -> None:
        """Nothing is open."""


class FencedInMemory(FencedBackend):
    """The whole contract over such a driver."""

    name = "fenced"
    capabilities = FencedBackend.capabilities - {Capability.DURABLE, Capability.SHARED, Capability.COST}

    def __init__(self, driver: Driver, clock: Clock) -> None:
        super().__init__(driver, Dialect(ordered=True, group_bytes=1_000_000), clock)
