"""A transaction on a connection, as the engine sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from chatstore.backends.postgres.dialects import Spoken
from chatstore.backends.postgres.links import Link
from chatstore.engines.sql import Row

__all__ = ["Statements"]


class Statements:
    """Runs the engine's statements on a connection."""

    __slots__ = ("_link", "_spoken")

    held = " FOR UPDATE"

    def __init__(self, link: Link, spoken: Spoken) -> None:
        self._link = link
        self._spoken = spoken

    async def one(self, sql: str, *parameters: object) -> Row | None:
        rows, _ = await self._link.fetch(self._spoken.translated(sql), parameters)
        return rows[0] if rows else None

    async def all(self, sql: str, *parameters: object) -> Sequence[Row]:
        rows, _ = await self._link.fetch(self._spoken.translated(sql), parameters)
        return rows

    async def until(self, sql: str, *parameters: object, most: int, size: Callable[[Row], int]) -> list[Row]:
        """What is sized is the column `text`, which the database measures without reading it."""
        del size
        limited = (
            "SELECT * FROM (SELECT found.*, row_number() OVER () AS number_, "
            "sum(octet_length(text)) OVER (ROWS UNBOUNDED PRECEDING) - octet_length(text) AS before_ "
            f"FROM ({sql}) found) measured WHERE number_ <= 2 OR before_ <= CAST(? AS bigint) "
            "ORDER BY number_"
        )
        return [row[:-2] for row in await self.all(limited, *parameters, most)]

    async def run(self, sql: str, *parameters: object) -> int:
        _, count = await self._link.fetch(self._spoken.translated(sql), parameters)
        return count

    async def remove(self, sql: str, *parameters: object) -> int:
        return await self.run(sql, *parameters)

    async def remove_some(self, table: str, keys: str, where: str, *parameters: object, limit: int) -> int:
        """Rows that somebody else has just removed do not count: each is held before it is removed.

        They are found once, whatever the planner believes about how many there are.
        """
        if self._spoken.dialect.places:
            some = f"SELECT ctid FROM {table} WHERE {where} LIMIT ? FOR UPDATE"
            return await self.run(f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({some}))", *parameters, limit)
        some = f"SELECT {keys} FROM {table} WHERE {where} LIMIT ? FOR UPDATE"
        return await self.run(f"DELETE FROM {table} WHERE ({keys}) IN ({some})", *parameters, limit)

    async def many(self, sql: str, rows: Iterable[Row]) -> None:
        sent = list(rows)
        if len(sent) == 1:
            await self._link.fetch(self._spoken.translated(sql), sent[0])
        elif sent:
            await self._link.many(self._spoken.translated(sql), sent)
