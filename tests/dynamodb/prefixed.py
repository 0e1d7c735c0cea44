"""Many tests in one table: each sees only the partitions whose names begin with its own prefix."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore.engines.log import Key, Row, Rows, Table


class Prefixed(Table):
    """Another table, with a prefix to every partition."""

    def __init__(self, table: Table, prefix: str) -> None:
        self._table = table
        self._prefix = prefix

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
        found = await self._table.query(
            self._prefix + pk, low, high, limit=limit, newest=newest, after=after, stale=stale
        )
        return Rows([self._bare(row) for row in found.rows], found.more)

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        return [self._bare(row) for row in await self._table.get([self._key(key) for key in keys])]

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        there = await self._table.put_new(self._row(row), free=None if free is None else self._key(free))
        return None if there is None else self._bare(there)

    async def swap(self, row: Row, version: int | None) -> bool:
        return await self._table.swap(self._row(row), version)

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        await self._table.write([self._row(row) for row in puts], [self._key(key) for key in deletes])

    async def remove(self, row: Row) -> bool:
        return await self._table.remove(self._row(row))

    async def ping(self) -> None:
        await self._table.ping()

    async def pause(self, seconds: float) -> None:
        await self._table.pause(seconds)

    async def close(self) -> None:
        await self._table.close()

    def _key(self, key: Key) -> Key:
        return Key(self._prefix + key.pk, key.sk)

    def _row(self, row: Row) -> Row:
        return {**row, "pk": self._prefix + str(row["pk"])}

    def _bare(self, row: Row) -> Row:
        return {**row, "pk": str(row["pk"]).removeprefix(self._prefix)}
