"""A table in memory, to run the log on where no server is wanted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from chatstore.contract import Capability
from chatstore.engines.log import Key, LogBackend, Row, Rows, Table


class MemoryTable(Table):
    """Rows in a dictionary. A query ends after `page` rows, as a store's ends after a megabyte."""

    def __init__(self, page: int = 1000) -> None:
        self.rows: dict[str, dict[str, Row]] = {}
        self._page = page

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
        most = min(limit, self._page)
        return Rows([dict(present[name]) for name in names[:most]], len(names) > most)

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        return [row for key in keys if (row := self._row(key)) is not None]

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        there = self._row(_key(row)) or (None if free is None else self._row(free))
        if there is None:
            self._put(row)
        return there

    async def swap(self, row: Row, version: int | None) -> bool:
        present = self._row(_key(row))
        if (None if present is None else present["v"]) != version:
            return False
        self._put(row)
        return True

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        for row in puts:
            self._put(row)
        for key in deletes:
            self.rows.get(key.pk, {}).pop(key.sk, None)

    def copy(self) -> MemoryTable:
        """Another table with the same rows."""
        copied = type(self)(self._page)
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

    def _row(self, key: Key) -> Row | None:
        row = self.rows.get(key.pk, {}).get(key.sk)
        return None if row is None else dict(row)

    def _put(self, row: Row) -> None:
        self.rows.setdefault(str(row["pk"]), {})[str(row["sk"])] = dict(row)

    async def remove(self, row: Row) -> None:
        there = self._row(_key(row))
        if there is not None and (there["v"], there.get("s")) == (row["v"], row.get("s")):
            del self.rows[str(row["pk"])][str(row["sk"])]

    async def ping(self) -> None:
        return None

    async def pause(self, seconds: float) -> None:
        return None

    async def close(self) -> None:
        return None


class LogInMemory(LogBackend):
    """The log over such a table."""

    name = "log"
    capabilities = frozenset(Capability) - {Capability.DURABLE, Capability.SHARED, Capability.COST}


def _key(row: Row) -> Key:
    return Key(str(row["pk"]), str(row["sk"]))
