"""The table in memory of the examples, which can be copied and compared."""

from __future__ import annotations

from chatstore.engines.log import Rows
from examples.log_driver import LogInMemory
from examples.log_driver import MemoryTable as Kept

__all__ = ["Killed", "LogInMemory", "MemoryTable"]


class Killed(BaseException):
    """The process is gone, which a table's double raises in the middle of a call."""


class MemoryTable(Kept):
    """Explorers go on from copies of it."""

    async def query(self, pk: str, low: str, high: str, *, limit: int, newest: bool = False,
                    after: str | None = None, stale: bool = False) -> Rows:  # fmt: skip
        # DynamoDB refuses to go on behind a row that is outside of the range.
        assert after is None or low <= after <= high
        return await super().query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)

    def copy(self) -> MemoryTable:
        """Another table with the same rows."""
        copied = type(self)(self.page)
        copied.rows = {pk: dict(rows) for pk, rows in self.rows.items()}
        return copied

    def key(self) -> object:
        """Equal where threads, and what says when to sweep them, have the same rows."""
        those = ((pk, rows) for pk, rows in self.rows.items() if pk.startswith(("T#", "X")))
        return frozenset(
            (pk, sk, row.get("v"), row.get("s"), row.get("b"))
            for pk, rows in those
            for sk, row in rows.items()
        )
