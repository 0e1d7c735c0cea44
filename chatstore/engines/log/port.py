"""What the log asks of a key-value store: single rows, ordered within a partition, put on a condition."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, TypeAlias, TypeVar

__all__ = ["Key", "Row", "Rows", "Table"]

T = TypeVar("T")

Row: TypeAlias = dict[str, str | int | bytes]
"""A row: its partition ``pk``, its sort key ``sk``, a version ``v`` where it is swapped, what marks it ``s``,
a body ``b``."""


class Key(NamedTuple):
    """Names a row."""

    pk: str
    sk: str


class Rows(NamedTuple):
    """Rows in the order that was asked for, and whether there may be more behind them."""

    rows: list[Row]
    more: bool


class Table(ABC):
    """A table of a key-value store; each call is one round trip and raises StorageError when it fails.

    A write that raises Unavailable may have happened, or may happen later. Reads see every write
    that was acknowledged before, but for a query that is told that it may be `stale`.
    """

    atomic_pairs: bool = True
    """Whether `put_new` can have a second condition, which a fork needs."""

    @abstractmethod
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
        """Rows with `low` <= sk <= `high`, ascending or from the `newest`, behind the sk `after`.

        There are none where `low` is the greater: storages that refuse such a range are not to be asked.
        """

    async def all(
        self, pk: str, low: str, high: str, *, newest: bool = False, page: int = 1000
    ) -> AsyncIterator[Row]:
        """The rows that `query` gives, one by one, however many; a trip for each `page` or less of them."""
        after = None
        while True:
            found = await self.query(pk, low, high, limit=page, newest=newest, after=after)
            for row in found.rows:
                yield row
            if not found.more or not found.rows:
                return
            after = str(found.rows[-1]["sk"])

    @abstractmethod
    async def get(self, keys: Sequence[Key]) -> list[Row]:
        """Those of the rows that are there, in any order; takes a trip for every hundred."""

    @abstractmethod
    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        """Put a row where there is none, and none at `free`, in one step.

        Returns None when that was done, otherwise the row that is in the way, in either place.
        """

    @abstractmethod
    async def swap(self, row: Row, version: int | None) -> bool:
        """Put a row in place of the one of that version, or where there is none; whether that was done."""

    @abstractmethod
    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        """Put and delete rows without a condition, each on its own, in order; takes a trip for every 25.

        What was not answered is not tried again: it may arrive later, but only once.
        """

    @abstractmethod
    async def remove(self, row: Row) -> bool:
        """Delete a row if its ``v``, and its ``s`` if it has one, are those; whether this call did.

        Otherwise it does nothing. Where an answer was lost it may say that it did not.
        """

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """Make calls of which none waits for another; their results in order.

        Where the storage's client can, some are under way side by side. All are made; then, if any raised an
        Exception, the first of those is raised.
        """
        results: list[T] = []
        failed: Exception | None = None
        for call in calls:
            try:
                results.append(await call())
            except Exception as error:  # noqa: BLE001 - it is raised below, when the others were made
                failed = failed or error
        if failed is not None:
            raise failed
        return results

    @abstractmethod
    async def ping(self) -> None:
        """Ask for a sign of life."""

    @abstractmethod
    async def pause(self, seconds: float) -> None:
        """Wait."""

    def turn(self, pk: str) -> AbstractAsyncContextManager[None]:  # noqa: ARG002 - where nobody waits
        """Wait, not long, while others of this process write to the partition; nothing relies on it."""
        return contextlib.nullcontext()

    @abstractmethod
    async def close(self) -> None:
        """Give back what is held; the next call opens it again."""
