"""Connections in the two colours: one suspends, one blocks, and everything above knows neither.

Each is in autocommit mode, and a transaction is what its statements say. A call that takes longer than its
time ends with an error, whatever the server or the network do; its connection is then not used again.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.adapt import AdaptersMap
from psycopg.generators import execute
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrBinaryDumper, StrDumper

from chatstore.backends.postgres.address import Address
from chatstore.backends.postgres.exchange import OFTEN, Exchange, Result, noted
from chatstore.backends.postgres.texts import written

__all__ = ["AsyncLink", "BlockingLink", "Link"]

R = TypeVar("R")
Aside: TypeAlias = Callable[[Callable[[], "psycopg.Connection[Any]"]], "Awaitable[psycopg.Connection[Any]]"]
"""Waits for a call that blocks, beside the event loop."""

_adapters = AdaptersMap(psycopg.adapters)
# A statement is prepared for types, so these do not go by how large a number is or whether a text is there.
_adapters.register_dumper(int, Int8BinaryDumper)
_adapters.register_dumper(str, StrBinaryDumper)
_adapters.register_dumper(str, StrDumper)


_IDLE = int(TransactionStatus.IDLE)

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

    async def fetch(self, sql: bytes, parameters: Sequence[Any] = (), seconds: float | None = None) -> Result:
        """Run one statement, in one trip; it may take so many `seconds` in place of the usual ones."""

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


class _Link:
    def __init__(self, connection: _Blocking | _Async) -> None:
        self._bare = connection
        self._exchange = Exchange(connection.pgconn)
        self._process = os.getpid()
        self._poll = select.poll()
        self._poll.register(connection.pgconn.socket, select.POLLIN)

    def prepare(self, on: bool) -> None:
        if self._exchange.prepares is not on:
            self._exchange.prepares = on
            self._bare.prepare_threshold = OFTEN if on else None

    def is_idle(self) -> bool:
        # Of a connection that is lost the status is not known.
        return self._bare.pgconn.transaction_status == _IDLE and not self._exchange.is_worn

    def is_alive(self) -> bool:
        # A server that says something unasked says that it ends.
        return not self._poll.poll(0)

    async def fetch(self, sql: bytes, parameters: Sequence[Any] = (), seconds: float | None = None) -> Result:
        exchange, seconds = self._exchange, seconds or self._bare.seconds
        known = exchange.known(sql)
        if exchange.is_to_prepare(known):
            exchange.send_to_prepare(sql, parameters)
            exchange.prepared(known, await self._answer(seconds))
        went = exchange.send(known, sql, parameters)
        return exchange.received(known, await self._answer(seconds), went)

    async def _answer(self, seconds: float) -> PGresult:
        """What the server answers to what was sent. Raises psycopg.OperationalError where it takes longer."""
        raise NotImplementedError

    def close(self) -> None:
        if self._process == os.getpid():
            self._bare.pgconn.finish()
        else:
            _inherited.append(self._bare)


class BlockingLink(_Link):
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

    async def _answer(self, seconds: float) -> PGresult:
        pgconn = self._connection.pgconn
        if pgconn.flush():
            # Not all was sent at once: psycopg goes on with that, and waits.
            return cast("PGresult", self._connection.wait(execute(pgconn), timeout=seconds)[-1])
        # It would wait for this, too, but takes 4 µs more for it than a poll that was made before.
        until, answer = time.monotonic() + seconds, None
        try:
            while True:
                while pgconn.is_busy():
                    if not self._poll.poll(1000 * max(until - time.monotonic(), 0)):
                        raise psycopg.OperationalError("no answer came in time")
                    pgconn.consume_input()
                following = pgconn.get_result()
                if following is None:
                    return cast("PGresult", answer)
                answer = following
        except psycopg.OperationalError:
            # What a server says before it ends tells more than its end.
            if answer is None or answer.status != ExecStatus.FATAL_ERROR:
                raise
            return answer

    async def many(self, sql: bytes, rows: Iterable[Sequence[Any]]) -> None:
        with psycopg.RawCursor(self._connection) as cursor:
            cursor.executemany(sql, map(written, rows))
        noted(len(sql), 0)


class AsyncLink(_Link):
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

    async def _answer(self, seconds: float) -> PGresult:
        pgconn = self._connection.pgconn
        return cast("PGresult", (await self._connection.wait(execute(pgconn), timeout=seconds))[-1])

    async def many(self, sql: bytes, rows: Iterable[Sequence[Any]]) -> None:
        async with psycopg.AsyncRawCursor(self._connection) as cursor:
            await cursor.executemany(sql, map(written, rows))
        noted(len(sql), 0)
