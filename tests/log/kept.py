"""A store over a table in memory that a test may look into."""

from __future__ import annotations

from datetime import timedelta

from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from tests.log.doubles import Stopped
from tests.log.memory_table import LogInMemory, MemoryTable

__all__ = ["BIG", "LATER", "Kept", "stopped"]

LATER = timedelta(hours=26)
BIG = "x" * 900_000


class Kept:
    """A store over a table that a test may look into."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.table = MemoryTable(page=7)
        self.store = ChatStore(LogInMemory(self.table, self.clock))

    def swept(self) -> None:
        while self.store.sweep(limit=3).more:
            pass

    def rows(self) -> list[tuple[str, str]]:
        """The rows that are left, but for the hours that lists have been kept for, and the tenants' names."""
        names = [(pk, sk) for pk, rows in self.table.rows.items() for sk in rows]
        return [
            (pk, sk)
            for pk, sk in names
            if pk not in ("N", "X") and not (pk.startswith("A#") and pk.count("#") == 1)
        ]

    def text(self) -> str:
        """All that the table holds."""
        return repr([rows for rows in self.table.rows.items() if rows[1]])


def stopped(kept: Kept) -> ChatStore:
    table = Stopped()
    table.rows = kept.table.rows
    return ChatStore(LogInMemory(table, kept.clock))
