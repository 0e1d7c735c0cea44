"""The table behind its driver: calls are tried again, large changes go in groups."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from chatstore.batching import batches
from chatstore.engines.fenced.port import (
    Again,
    BeingDeleted,
    Driver,
    Entity,
    NoTable,
    Op,
    Overtaken,
    Range,
    Slice,
)
from chatstore.errors import Unavailable
from chatstore.metering import retried

__all__ = ["Dialect", "Table"]

T = TypeVar("T")

_TRIES = 9
_TRIES_TO_CREATE = 40
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 5.0
_PAGE = 1000
_FAILED = (Again, NoTable)
_OPERATION_BYTES = 500


class Dialect(NamedTuple):
    """What tells storages apart."""

    ordered: bool
    """Whether pages have rows in the order of their partitions and names."""

    group_bytes: int
    """The most that one group holds: its properties, and 500 bytes for each row. One row always fits."""

    group_rows: int = 100
    """The most rows of one group."""


class Table:
    """Calls through `driver`, tried again with growing, jittered pauses where the table does not answer.

    Whoever finds no table makes it.
    """

    def __init__(self, driver: Driver, dialect: Dialect) -> None:
        self.driver = driver
        self.dialect = dialect

    async def create(self) -> None:
        """Make the table if it is not there; waits for the end of one that is being deleted.

        Raises Unavailable where the storage does not answer in time.
        """
        for number, pause in enumerate(_pauses(_TRIES_TO_CREATE), 1):
            try:
                return await self.driver.create()
            except Again as error:
                ends = number >= _TRIES and not isinstance(error, BeingDeleted)
                await self._wait(error, None if ends else pause)
        raise AssertionError("the last try returns or raises")

    async def exists(self) -> bool:
        """Whether the table is there; it is not made."""

        async def ask() -> bool:
            try:
                await self.driver.get("ping", "ping")
            except NoTable:
                return False
            return True

        return await self._try(ask)

    async def get(self, partition: str, row: str) -> Entity | None:
        """One row; None where there is none."""
        try:
            return await self.driver.get(partition, row)
        except _FAILED as error:
            return await self._try(lambda: self.driver.get(partition, row), error)

    async def page(
        self,
        partitions: str | Range,
        rows: Range | None,
        top: int = _PAGE,
        token: object | None = None,
        before: str | None = None,
        *,
        bodies: bool = True,
    ) -> Slice:
        """One page of a query, perhaps an empty one."""
        top = min(top, _PAGE)
        try:
            return await self.driver.page(partitions, rows, top, token, before, bodies=bodies)
        except _FAILED as error:
            return await self._try(
                lambda: self.driver.page(partitions, rows, top, token, before, bodies=bodies), error
            )

    async def scan(
        self,
        partitions: str | Range,
        rows: Range | None = None,
        top: int = _PAGE,
        before: str | None = None,
        *,
        bodies: bool = True,
    ) -> AsyncIterator[Entity]:
        """Every row of a query, page by page of `top`, in the order of the table's choice."""
        token: object | None = None
        while True:
            page = await self.page(partitions, rows, top, token, before, bodies=bodies)
            for entity in (*page.entities, *page.rest):
                yield entity
            token = page.token
            if token is None:
                return

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        """Apply all of `ops` or none. Raises Overtaken where a condition does not hold.

        Not for changes that no condition guards and that do more when they are applied twice.
        """
        # Most calls are answered, and what trying again needs takes as long as much of the rest.
        try:
            return await self.driver.submit(partition, ops)
        except _FAILED as error:
            return await self._submit_again(partition, ops, error)

    async def _submit_again(
        self, partition: str, ops: Sequence[Op], failed: Again | NoTable
    ) -> Sequence[str | None]:
        lost = isinstance(failed, Again)

        async def once() -> Sequence[str | None]:
            nonlocal lost
            try:
                return await self.driver.submit(partition, ops)
            except Overtaken as overtaken:
                raise Overtaken(perhaps=lost) from overtaken
            except Again:
                # Sent again as it is: what guards it lets only one of the two take place.
                lost = True
                raise

        return await self._try(once, failed)

    async def submit_all(self, partition: str, ops: Sequence[Op]) -> None:
        """Apply `ops`, which nobody looks at yet, in as many groups as they need."""
        for group in self._groups(ops):
            await self.submit(partition, group)

    def fits(self, ops: Sequence[Op]) -> bool:
        """Whether one group takes them."""
        if len(ops) <= 1:
            return True
        return len(ops) <= self.dialect.group_rows and sum(map(_weight, ops)) <= self.dialect.group_bytes

    async def pause(self, seconds: float) -> None:
        """Wait for about so long."""
        await self.driver.pause(seconds * random.uniform(0.5, 1))  # noqa: S311 - spreads writers

    def _groups(self, ops: Sequence[Op]) -> Iterator[list[Op]]:
        return batches(ops, _weight, most=self.dialect.group_rows, size_most=self.dialect.group_bytes)

    async def _try(self, call: Callable[[], Awaitable[T]], failed: Again | NoTable | None = None) -> T:
        """What `call` gives in the end; the first try may have `failed` already."""
        for pause in _PAUSES:
            try:
                try:
                    if failed is not None:
                        first, failed = failed, None
                        raise first
                    return await call()
                except NoTable as error:
                    # It may take a while to be found when it is made.
                    await self.driver.create()
                    raise Again from error.__cause__
            except Again as error:
                await self._wait(error, pause)
        raise AssertionError("the last try returns or raises")

    async def _wait(self, error: Again, pause: float | None) -> None:
        if pause is None:
            cause = error.__cause__ or error
            # What it says may quote what was sent, or how its client was made.
            raise Unavailable(f"the table does not answer ({type(cause).__name__})") from cause
        retried()
        await self.pause(max(pause, min(error.seconds, _LONGEST_PAUSE)))


def _weight(op: Op) -> int:
    return _OPERATION_BYTES + sum(map(len, op.properties.values()))


def _pauses(tries: int) -> Iterator[float | None]:
    """How long to wait after each of `tries` that failed; None after the last."""
    pause = _FIRST_PAUSE
    for _ in range(tries - 1):
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE)
    yield None


_PAUSES = tuple(_pauses(_TRIES))
