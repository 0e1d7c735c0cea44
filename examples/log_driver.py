"""A driver for the log engine: one put of one row, if none is there. Here the storage is a dictionary."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from chatstore.contract import Capability
from chatstore.engines.log import Key, LogBackend, Row, Rows, Table

__all__ = ["LogInMemory", "MemoryTable"]


class MemoryTable(Table):
    """Partitions of rows in the order of their sort keys. A query gives out at most `page` rows."""

    def __init__(self, page: int = 1000) -> None:
        self.rows: dict[str, dict[str, Row]] = {}
        self.page = page

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        there = self.row(key_of(row)) or (None if free is None else self.row(free))
        if there is None:
            self._put(row)
        return there

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
        present = self.rows.get(pk, {})
        names = sorted(present)
        names = names[bisect_left(names, low) : bisect_right(names, high)]
        if newest:
            names.reverse()
        if after is not None:
            names = [name for name in names if (name < after if newest else name > after)]
        most = min(limit, self.page)
        return Rows([dict(present[name]) for name in names[:most]], len(names) > most)

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        return [row for key in keys if (row := self.row(key)) is not None]

    async def swap(self, row: Row, version: int | None) -> bool:
        present = self.row(key_of(row))
        if (None if present is None else present["v"]) != version:
            return False
        self._put(row)
        return True

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        for row in puts:
            self._put(row)
        for key in deletes:
            self.rows.get(key.pk, {}).pop(key.sk, None)

    async def remove(self, row: Row) -> bool:
        there = self.row(key_of(row))
        if there is None or (there["v"], there.get("s")) != (row["v"], row.get("s")):
            return False
        del self.rows[str(row["pk"])][str(row["sk"])]
        return True

    async def ping(self) -> None:
        return None

    async def pause(self, seconds: float) -> None:
        return None

    async def close(self) -> None:
        return None

    def row(self, key: Key) -> Row | None:
        """A copy of the row of that key."""
        row = self.rows.get(key.pk, {}).get(key.sk)
        return None if row is None else dict(row)

    def _put(self, row: Row) -> None:
        self.rows.setdefault(str(row["pk"]), {})[str(row["sk"])] = dict(row)


class LogInMemory(LogBackend):
    """The whole contract over such a table."""

    name = "log"
    capabilities = frozenset(Capability) - {
        Capability.DURABLE,
        Capability.SHARED,
        Capability.COST,
        Capability.COUNT,
        Capability.SEARCH,
    }


def key_of(row: Row) -> Key:
    """The key of a row."""
    return Key(str(row["pk"]), str(row["sk"]))
