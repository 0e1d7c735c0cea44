"""The port that a database driver fills: transactions, and the few statements within one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

__all__ = ["Driver", "Row", "Transaction", "Work"]

Row: TypeAlias = tuple[Any, ...]
T = TypeVar("T")


class Transaction(Protocol):
    """One transaction as a backend sees it. Parameters are marked ``?``."""

    async def one(self, sql: str, *parameters: object) -> Row | None:
        """The first row, None where there is none."""

    async def all(self, sql: str, *parameters: object) -> Sequence[Row]:
        """Every row."""

    async def until(self, sql: str, *parameters: object, most: int, size: Callable[[Row], int]) -> list[Row]:
        """The first two rows, and those that follow while the sizes of all are `most` at most, and one more.

        What follows is not read.
        """

    async def run(self, sql: str, *parameters: object) -> int:
        """Execute a change; how many rows it met."""

    async def many(self, sql: str, rows: Iterable[Row]) -> None:
        """Execute a change for each of `rows`."""


Work: TypeAlias = Callable[[Transaction], Coroutine[Any, Any, T]]


class Driver(Protocol):
    """Runs work in transactions: all of it is committed, or none if it raises."""

    async def write(self, work: Work[T]) -> T:
        """A transaction that sees every earlier one and lets no other write beside it."""

    async def read(self, work: Work[T], small: Hashable = None) -> T:
        """A transaction that sees one state of the database throughout.

        `small` names what reads a few rows: a driver may do again at once what was quick a moment ago.
        """

    async def scrub(self) -> None:
        """Leave nothing readable of what has been deleted, where the database keeps it in free space."""

    async def close(self) -> None:
        """Give back connections and threads."""
