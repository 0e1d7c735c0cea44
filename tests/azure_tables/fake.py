"""The rows in memory of the examples, with a table's limits; they can be copied and compared."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from chatstore.engines.fenced.port import Op
from examples.fenced_driver import MemoryDriver, MemoryGroups

__all__ = ["FakeDriver", "FakeTable", "Killed", "Mortal"]

_MOST = 100
_PROPERTY = 64 * 1024


class FakeTable(MemoryGroups):
    """What the service keeps: shared by as many drivers as there are processes."""

    def copy(self) -> FakeTable:
        """Another with the same rows."""
        return copy.copy(self)

    def key(self) -> object:
        """Equal where the same is there, and was as often written."""
        return frozenset(self.versions.items()), frozenset(
            (key, entity.etag, frozenset(entity.properties.items())) for key, entity in self.rows.items()
        )

    def apply(self, partition: str, ops: Sequence[Op]) -> list[str | None]:
        """All of `ops` or none."""
        assert 1 <= len(ops) <= _MOST, "a group has at most a hundred operations"
        assert len({op.row for op in ops}) == len(ops), "a row appears once in a group"
        for op in ops:
            for value in op.properties.values():
                length = len(value) if isinstance(value, bytes) else len(value.encode("utf-16-le"))
                assert length <= _PROPERTY, "a property has at most 64 KiB, as UTF-16 if it is text"
        return super().apply(partition, ops)


class FakeDriver(MemoryDriver):
    """One process's way to a table."""

    def __init__(self, table: FakeTable, *, page: int = 1000) -> None:
        super().__init__(table, page)
        self.table = table


class Killed(BaseException):
    """A process ends."""


class Mortal(FakeDriver):
    """Ends where a thread's header is to be written."""

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        if partition.startswith("T-"):
            raise Killed
        return await super().submit(partition, ops)
