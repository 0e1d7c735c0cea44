"""How much a sweep or an erasure removed, and how much more may go in this step."""

from __future__ import annotations

from collections.abc import AsyncIterator

from chatstore.engines.fenced.port import Entity

__all__ = ["Count", "Full", "batches"]


class Full(Exception):
    """As much was removed as was asked for."""


class Count:
    """What was removed, and how much more may be; with `living`, messages count in those epochs only."""

    def __init__(self, limit: int | None = None) -> None:
        self.left = limit
        self.living: set[str] | None = None
        self.threads = self.messages = self.requests = 0

    def check(self) -> None:
        """Raise Full if nothing more may be done."""
        if self.left is not None and self.left <= 0:
            raise Full

    def charge(self, rows: int) -> None:
        """Count the removal of `rows`, or what takes as long; may be more than there is left."""
        if self.left is not None:
            self.left -= rows


async def batches(rows: AsyncIterator[Entity], most: int, count: Count) -> AsyncIterator[list[Entity]]:
    """`rows` as they come, some at a time, for as long as they may go. Raises Full for one more."""
    batch: list[Entity] = []
    async for row in rows:
        count.check()
        count.charge(1)
        batch.append(row)
        if len(batch) == most or count.left == 0:
            yield batch
            batch = []
    if batch:
        yield batch
