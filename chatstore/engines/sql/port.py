"""The port that a database driver fills: transactions, and the few statements within one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

__all__ = ["Caller", "Driver", "Row", "Small", "Transaction", "Work"]

Row: TypeAlias = tuple[Any, ...]
T = TypeVar("T")


class Transaction(Protocol):
    """One transaction as a backend sees it. Parameters are marked ``?``."""

    held: str
    """What ends a SELECT of threads that nobody else is to change until the transaction ends.

    Empty where no other write goes beside it.
    """

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

    async def remove(self, sql: str, *parameters: object) -> int:
        """Execute a change that takes content away, and so is owed a `Driver.scrub`; how many rows it met."""

    async def remove_some(self, table: str, keys: str, where: str, *parameters: object, limit: int) -> int:
        """Remove at most `limit` rows of `table` where a condition holds; how many.

        `keys` are the columns that name a row. Fewer than `limit` were found only where there are no more.
        """

    async def many(self, sql: str, rows: Iterable[Row]) -> None:
        """Execute a change for each of `rows`."""


Work: TypeAlias = Callable[[Transaction], Coroutine[Any, Any, T]]


Caller: TypeAlias = tuple[str, str | None]
"""For whom work is done: a tenant, and the owner to whose threads it is confined if it is."""


class Small(NamedTuple):
    """Names `what` is read, and tells the `size` of a result, about, in bytes."""

    what: Hashable
    size: Callable[[Any], int]


class Driver(Protocol):
    """Runs work in transactions: all of it is committed, or none if it raises.

    Work that met another transaction may be done again, so it changes nothing but the database.

    Where work waits, callers take turns: who asks for much keeps nobody waiting for all of it.
    """

    async def write(self, work: Work[T], caller: Caller, *, short: bool = False) -> T:
        """A transaction that sees every earlier one.

        No other write goes beside it, or none to the threads that it holds. `short` work writes little, and
        may share its transaction with other such work: it is committed with them, and undone alone if it
        raises.
        """

    async def read(self, work: Work[T], caller: Caller, small: Small | None = None) -> T:
        """A transaction that sees one state of the database throughout.

        With `small` it reads a few rows: a driver may do again at once what was small a moment ago.
        """

    async def ping(self) -> None:
        """Raise Unavailable where the database does not take writes."""

    async def aside(self, call: Callable[[], T], caller: Caller) -> T:
        """What `call` gives, beside what must not wait for it."""

    async def rest(self, seconds: float) -> None:
        """Leave others their turn for so long, between two steps of long work."""

    async def scrub(self, caller: Caller) -> None:
        """Leave nothing readable of what was removed, where the database keeps it in free space.

        Where nothing was removed since the last time, there is nothing to do.
        """

    async def close(self) -> None:
        """Give back connections and threads."""
