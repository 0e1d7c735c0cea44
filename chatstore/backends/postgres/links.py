"""Connections in the two colours: one suspends, one blocks, and everything above knows neither.

Each is in autocommit mode, and a transaction is what its statements say. A call that takes longer than its
time ends with an error, whatever the server or the network do; its connection is then not used again.
"""

from __future__ import annotations

import os
import select
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.adapt import AdaptersMap
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrBinaryDumper, StrDumper

from chatstore.backends.postgres.address import Address
from chatstore.backends.postgres.texts import ESCAPE, read, written
from chatstore.metering import spent

__all__ = ["AsyncLink", "BlockingLink", "Link", "Result"]

R = TypeVar("R")
C = TypeVar("C")
Aside: TypeAlias = Callable[[Callable[[], "psycopg.Connection[Any]"]], "Awaitable[psycopg.Connection[Any]]"]
"""Waits for a call that blocks, beside the event loop."""
Result: TypeAlias = tuple[Sequence[tuple[Any, ...]], int]
"""The rows of a statement, and how many it met."""

_adapters = AdaptersMap(psycopg.adapters)
# A statement is prepared for types, so these do not go by how large a number is or whether a text is there.
_adapters.register_dumper(int, Int8BinaryDumper)
_adapters.register_dumper(str, StrBinaryDumper)
_adapters.register_dumper(str, StrDumper)


_CURSORS, _SMALL = 32, 32 * 1024
_OFTEN = 3
"""A statement is prepared when it comes for more than that many times on a connection."""

_inherited: list[object] = []
"""What a fork brought along: connections of the parent, which are not to be closed here in any way."""


class _Blocking(psycopg.Connection[Any]):
    seconds = 0.0

    def __del__(self, *_: Any) -> None:
        """Whoever ends without closing the store is not told so: libpq closes what is of this process."""

    def wait(self, gen: PQGen[R], interval: float = 0.0, timeout: float | None = None) -> R:
        return waiting.wait(
            gen, self.pgconn.socket, interval=interval or 0.1, timeout=timeout or self.seconds
        )


class _Async(psycopg.AsyncConnection[Any]):
    seconds = 0.0

    def __del__(self, *_: Any) -> None:
        """As above."""

    async def wait(
        self,
        gen: PQGen[R],
        interval: float = 0.0,
        timeout: float | None = None,  # noqa: ASYNC109 - as it is called by psycopg
    ) -> R:
        return await waiting.wait_async(
            gen, self.pgconn.socket, interval=interval or 0.1, timeout=timeout or self.seconds
        )


def _taken(connection: psycopg.Connection[Any]) -> _Blocking:
    """A connection that somebody else made, as one of ours."""
    connection.__class__ = _Blocking
    return cast("_Blocking", connection)


class Link(Protocol):
    """A connection."""

    async def fetch(self, sql: bytes, parameters: Sequence[Any] = ()) -> Result:
        """Run one statement, in one trip."""

    async def many(self, sql: bytes, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each of `rows`, in one trip."""

    def prepare(self, on: bool) -> None:
        """Have statements that come often prepared from now on, or none."""

    def is_idle(self) -> bool:
        """Whether it is in no transaction, and in order as far as is known."""

    def is_alive(self) -> bool:
        """Whether nothing was heard of its end, where it is idle. Asks nobody."""

    def close(self) -> None:
        """Give it back; may be called in any state."""


class _Link(Generic[C]):
    def __init__(self, connection: _Blocking | _Async) -> None:
        self._bare = connection
        self._cursors: dict[bytes, C] = {}
        """Of statements that came lately: one that is used again knows already how values are written."""
        self._process = os.getpid()
        self._poll = select.poll()
        self._poll.register(connection.pgconn.socket, select.POLLIN)

    def prepare(self, on: bool) -> None:
        self._bare.prepare_threshold = _OFTEN if on else None

    def is_idle(self) -> bool:
        pgconn = self._bare.pgconn
        return pgconn.status == ConnStatus.OK and pgconn.transaction_status == TransactionStatus.IDLE

    def is_alive(self) -> bool:
        # A server that says something unasked says that it ends.
        return not self._poll.poll(0)

    def _keep(self, sql: bytes, cursor: C, received: int) -> None:
        """Keep a cursor for the next time, unless it holds much: it holds its last answer."""
        if received <= _SMALL:
            if len(self._cursors) >= _CURSORS:
                self._cursors.clear()
            self._cursors[sql] = cursor

    def close(self) -> None:
        self._cursors.clear()
        if self._process == os.getpid():
            self._bare.pgconn.finish()
        else:
            _inherited.append(self._bare)


class BlockingLink(_Link["psycopg.Cursor[Any]"]):
    """For blocking callers: never suspends."""

    def __init__(self, connection: _Blocking) -> None:
        super().__init__(connection)
        self._connection = connection

    @classmethod
    async def connect(cls, address: Address, seconds: float) -> BlockingLink:
        if address.dial is None:
            connection = _Blocking.connect(address.conninfo, autocommit=True, context=_adapters)
        else:
            connection = _taken(address.dial(_adapters))
        connection.seconds = seconds
        return cls(connection)

    async def fetch(self, sql: bytes, parameters: Sequence[Any] = ()) -> Result:
        cursor = self._cursors.pop(sql, None) or self._connection.cursor()
        cursor.execute(sql, written(parameters), binary=True)
        rows, received = _received(cursor.fetchall()) if _has_rows(cursor) else ([], 0)
        self._keep(sql, cursor, received)
        _spent(sql, parameters, received)
        return rows, cursor.rowcount

    async def many(self, sql: bytes, rows: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(sql, map(written, rows))
        _spent(sql, (), 0)


class AsyncLink(_Link["psycopg.AsyncCursor[Any]"]):
    """For event loops."""

    def __init__(self, connection: _Async) -> None:
        super().__init__(connection)
        self._connection = connection

    @classmethod
    async def connect(cls, address: Address, seconds: float, aside: Aside) -> AsyncLink:
        if address.dial is None:
            connection = await _Async.connect(address.conninfo, autocommit=True, context=_adapters)
        else:
            dialled = _taken(await aside(partial(address.dial, _adapters)))
            connection = _Async(dialled.pgconn)
            await connection.set_autocommit(True)
            connection._adapters = AdaptersMap(_adapters)
        connection.seconds = seconds
        return cls(connection)

    async def fetch(self, sql: bytes, parameters: Sequence[Any] = ()) -> Result:
        cursor = self._cursors.pop(sql, None) or self._connection.cursor()
        await cursor.execute(sql, written(parameters), binary=True)
        rows, received = _received(await cursor.fetchall()) if _has_rows(cursor) else ([], 0)
        self._keep(sql, cursor, received)
        _spent(sql, parameters, received)
        return rows, cursor.rowcount

    async def many(self, sql: bytes, rows: Iterable[Sequence[Any]]) -> None:
        async with self._connection.cursor() as cursor:
            await cursor.executemany(sql, map(written, rows))
        _spent(sql, (), 0)


def _has_rows(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> bool:
    # Not by the cursor's description, which is made for every column anew.
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


def _received(rows: list[tuple[Any, ...]]) -> tuple[Sequence[tuple[Any, ...]], int]:
    """The rows as they were before they were sent, and about how long they are."""
    text = "".join([value for row in rows for value in row if type(value) is str])
    return read(rows) if ESCAPE in text else rows, len(text) + 8 * len(rows)


def _spent(sql: bytes, parameters: Sequence[Any], received: int) -> None:
    """Note a trip, and about how many bytes of values it carried."""
    spent("postgresql", {"bytes_sent": len(sql) + _size(parameters), "bytes_received": received})


def _size(values: Iterable[Any]) -> int:
    """About how long values are; what is no text counts as eight bytes."""
    size = 0
    for value in values:
        kind = type(value)
        size += len(value) if kind is str else _size(value) if kind is list else 8
    return size
