"""The statements of one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any, TypeAlias, TypeVar

from chatstore.blocking import run
from chatstore.engines.sql import Row, Work

__all__ = ["Outcome", "Statements"]

T = TypeVar("T")

Outcome: TypeAlias = tuple[Any, Exception | None]
"""What a piece of work gave, or the error that undid it."""


class Statements:
    """A transaction on a connection; its coroutines never suspend."""

    __slots__ = ("_connection", "removed")

    held = ""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.removed = False

    async def one(self, sql: str, *parameters: object) -> Row | None:
        rows = self._connection.execute(sql, parameters).fetchall()
        return rows[0] if rows else None

    async def all(self, sql: str, *parameters: object) -> Sequence[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    async def until(self, sql: str, *parameters: object, most: int, size: Callable[[Row], int]) -> list[Row]:
        rows: list[Row] = []
        held = 0
        # SQLite finds a row when it is asked for it.
        with closing(self._connection.execute(sql, parameters)) as found:
            for row in found:
                rows.append(row)
                held += size(row)
                if held > most and len(rows) > 1:
                    break
        return rows

    async def run(self, sql: str, *parameters: object) -> int:
        return self._connection.execute(sql, parameters).rowcount

    async def remove(self, sql: str, *parameters: object) -> int:
        removed = await self.run(sql, *parameters)
        self.removed = self.removed or removed > 0
        return removed

    async def remove_some(self, table: str, keys: str, where: str, *parameters: object, limit: int) -> int:
        some = f"SELECT {keys} FROM {table} WHERE {where} LIMIT ?"
        return await self.remove(f"DELETE FROM {table} WHERE ({keys}) IN ({some})", *parameters, limit)

    async def many(self, sql: str, rows: Iterable[Row]) -> None:
        self._connection.executemany(sql, rows)

    def apart(self, work: Work[T]) -> Outcome:
        """What `work` gives, or the error that it raises, which undoes it alone.

        Raises an error that undid the whole transaction.
        """
        self._connection.execute("SAVEPOINT apart")
        try:
            result = run(work(self))
        except Exception as error:
            # Others share the transaction, and none of them shares its errors.
            if not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO apart")
            self._connection.execute("RELEASE apart")
            return None, error
        self._connection.execute("RELEASE apart")
        return result, None
