"""Transactions on pooled connections, done again where that is safe."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeAlias, TypeVar

import psycopg

from chatstore.backends.postgres.address import Address
from chatstore.backends.postgres.connectors import Connector
from chatstore.backends.postgres.dialects import Spoken
from chatstore.backends.postgres.faults import (
    MET,
    MOVED,
    UNPREPARED,
    NotConnected,
    is_lost,
    may_come_back,
    translated,
)
from chatstore.backends.postgres.links import AsyncLink, BlockingLink, Link
from chatstore.backends.postgres.nodes import Nodes
from chatstore.backends.postgres.pool import Pool
from chatstore.backends.postgres.schema import require_version
from chatstore.backends.postgres.statements import Statements
from chatstore.engines.sql import Caller, Small, Work
from chatstore.errors import StorageError, Unavailable
from chatstore.fair_threads import FairThreads

__all__ = ["AsyncDriver", "BlockingDriver", "PostgresDriver"]

T = TypeVar("T")

Home: TypeAlias = tuple[int, asyncio.AbstractEventLoop | None]
"""Where connections are good: a process, and a loop of it if they are asynchronous."""

_TRIES = 20
_CONNECTS, _CONNECT_PAUSE = 8, 0.25
_WRITE = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_VACUUM_SECONDS = 86_400
_TABLES = ("threads", "messages", "requests")


class _Again(Exception):
    """Nothing was done, and trying again may help."""


class PostgresDriver:
    """Fills the engine's port; a subclass says in which colour."""

    def __init__(
        self,
        address: Address,
        spoken: Spoken,
        *,
        most: int,
        seconds: float,
        prepared: bool = True,
        vacuum: str = "ON",
        reading: Address | None = None,
        nodes: Nodes | None = None,
        connector: Connector | None = None,
    ) -> None:
        self.address = address
        self.spoken = spoken
        self.prepared = prepared
        self._most = most
        self._seconds = seconds
        self._vacuum = vacuum if spoken.dialect.vacuum else "OFF"
        self._reading = reading
        self._nodes = nodes
        self._connector = connector
        self._pools: dict[tuple[Home, Address], Pool] = {}

    # The engine's port

    async def write(self, work: Work[T], caller: Caller, *, short: bool = False) -> T:  # noqa: ARG002 - writes go beside each other
        return await self._transaction(work, caller, _WRITE, self.address)

    async def read(self, work: Work[T], caller: Caller, small: Small | None = None) -> T:  # noqa: ARG002 - all reads are alike
        return await self._transaction(work, caller, _READ, self._reading or self.address)

    async def once(self, work: Work[T], caller: Caller, *, writes: bool = False, twice: bool = True) -> T:
        """`work` of one statement, which is its own transaction, in one trip.

        With `twice` it may be done a second time where nobody knows whether it was done.
        """
        place = self.address if writes else self._reading or self.address

        async def attempt(link: Link) -> T:
            try:
                return await work(self._statements(link))
            except psycopg.Error as error:
                if is_lost(error):
                    link.close()
                self._judge(error, place, unsettled=is_lost(error) and not twice)
                raise

        return await self._repeated(attempt, caller, place)

    async def ping(self) -> None:
        async def ask(tx: Any) -> bool:
            row = await tx.one("SELECT current_setting('transaction_read_only')")
            return bool(row[0] == "off")

        if not await self.once(ask, ("", None), writes=True):
            raise Unavailable(f"{self.address.place} takes no writes: it is a replica, or set to read only")

    async def aside(self, call: Callable[[], T], caller: Caller) -> T:
        raise NotImplementedError

    async def rest(self, seconds: float) -> None:
        raise NotImplementedError

    async def scrub(self, caller: Caller) -> None:
        """Have the space of what was removed given up, however long that takes.

        Raises StorageError where the role may not, or not for so long.
        """
        if self._vacuum == "OFF":
            return
        tables = ", ".join(f"{self.spoken.schema}.{table}" for table in _TABLES)
        how = "FULL" if self._vacuum == "FULL" else "INDEX_CLEANUP ON"

        async def vacuum(link: Link) -> bool:
            [row], _ = await link.fetch(_MAY_VACUUM.format(schema=self.spoken.schema).encode())
            if row[0]:
                await link.fetch(f"VACUUM ({how}) {tables}".encode(), seconds=_VACUUM_SECONDS)
            return bool(row[0])

        try:
            may = await self._repeated(self._judged(vacuum), caller, self.address)
        except Unavailable as error:
            if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise
            raise _not_vacuumed("VACUUM took longer than this role's statement_timeout") from error
        if not may:
            raise _not_vacuumed("this role may not VACUUM")

    async def close(self) -> None:
        here = self._here()
        self._drop(lambda home: home == here)
        if self._connector is not None:
            await self.aside(self._connector.close, ("", None))

    # Within

    async def _transaction(self, work: Work[T], caller: Caller, begin: bytes, address: Address) -> T:
        async def attempt(link: Link) -> T:
            ending, statements = False, self._statements(link)
            try:
                await link.fetch(begin)
                result = await work(statements)
                ending = True
                await link.fetch(b"COMMIT")
                return result
            except psycopg.Error as error:
                await self._undo(link, error)
                self._judge(error, address, unsettled=ending and begin is _WRITE and is_lost(error))
                raise
            except Exception:
                await self._undo(link)
                raise
            except BaseException:
                link.close()
                raise

        return await self._repeated(attempt, caller, address)

    def _judged(self, attempt: Callable[[Link], Awaitable[T]]) -> Callable[[Link], Awaitable[T]]:
        async def judged(link: Link) -> T:
            try:
                return await attempt(link)
            except psycopg.Error as error:
                self._judge(error, self.address)
                raise

        return judged

    async def _undo(self, link: Link, error: psycopg.Error | None = None) -> None:
        if error is not None and is_lost(error):
            link.close()
            return
        try:
            await link.fetch(b"ROLLBACK")
        except psycopg.Error:
            link.close()

    def _judge(self, error: psycopg.Error, address: Address, *, unsettled: bool = False) -> None:
        """Raise _Again where nothing was done, or what was may be done again, and that may help."""
        state = error.sqlstate
        if state in UNPREPARED:
            self.prepared = False
        if state in MOVED:
            self._pool(address).forget_idle()
        if not unsettled and (is_lost(error) or state in MET | MOVED | UNPREPARED):
            raise _Again from error

    async def _repeated(self, attempt: Callable[[Link], Awaitable[T]], caller: Caller, address: Address) -> T:
        until = time.monotonic() + self._seconds
        for tries in range(1, _TRIES + 1):
            try:
                return await self._pool(address).use(attempt, caller)
            except _Again as again:
                error = again.__cause__
                if tries == _TRIES or time.monotonic() > until:
                    assert isinstance(error, psycopg.Error)  # noqa: S101 - it is raised so above
                    raise translated(error, address.place) from error
                pause = random.uniform(0, min(0.002 * 2**tries, 0.25))  # noqa: S311 - so that two do not meet again
                await self._pause(pause)
            except NotConnected as failed:
                if tries == _CONNECTS or time.monotonic() > until or not may_come_back(failed.reason):
                    raise translated(failed.reason, address.place) from failed.reason
                await self._pause(_CONNECT_PAUSE)
            except psycopg.Error as error:
                raise translated(error, address.place) from error
        raise AssertionError("the last try returns or raises")

    def _statements(self, link: Link) -> Statements:
        link.prepare(self.prepared)
        return Statements(link, self.spoken)

    def _pool(self, address: Address) -> Pool:
        key = self._here(), address
        pool = self._pools.get(key)
        if pool is None:
            self._drop(_is_over)
            pool = self._pools.setdefault(key, self._new_pool(address))
        return pool

    def _drop(self, chosen: Callable[[Home], bool]) -> None:
        for at in [at for at in self._pools if chosen(at[0])]:
            self._pools.pop(at).forget_idle()

    async def _welcome(self, link: Link) -> Link:
        """The first connection to a server, if the schema there is the one that this version knows."""
        try:
            rows, _ = await link.fetch(f"SELECT max(version) FROM {self.spoken.schema}.versions".encode())
            require_version(rows[0][0] or 0, self.spoken.schema)
        except BaseException:
            link.close()
            raise
        return link

    def _here(self) -> Home:
        raise NotImplementedError

    def _new_pool(self, address: Address) -> Pool:
        async def connect() -> Link:
            if self._nodes is not None:
                return await self._nodes.connect(self._link, address)
            return await self._link(address)

        return Pool(self._most, self._seconds, connect, self._wait, self._welcome)

    async def _link(self, address: Address) -> Link:
        raise NotImplementedError

    async def _wait(self, future: Future[None], seconds: float) -> None:
        raise NotImplementedError

    async def _pause(self, seconds: float) -> None:
        raise NotImplementedError


def _not_vacuumed(why: str) -> StorageError:
    return StorageError(
        f"the erased rows are removed, but {why}, so their bytes stay until autovacuum runs: "
        "let the tables' owner run chatstore erase, without a time-out, or set ?vacuum=off"
    )


_MAY_VACUUM = """
SELECT pg_has_role(current_user, relowner, 'USAGE')
    OR CASE WHEN current_setting('server_version_num')::int >= 170000
        THEN has_table_privilege(oid, 'MAINTAIN') ELSE false END
FROM pg_class WHERE oid = '{schema}.messages'::regclass
"""


class BlockingDriver(PostgresDriver):
    """For blocking callers: the work is done where it is asked for."""

    async def aside(self, call: Callable[[], T], caller: Caller) -> T:  # noqa: ARG002 - nobody waits in a line here
        return call()

    async def rest(self, seconds: float) -> None:
        """Nobody else waits for this thread."""

    async def _pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop is here

    def _here(self) -> Home:
        return os.getpid(), None

    async def _link(self, address: Address) -> Link:
        return await BlockingLink.connect(address, self._seconds)

    async def _wait(self, future: Future[None], seconds: float) -> None:
        future.result(seconds)


class AsyncDriver(PostgresDriver):
    """For event loops: each has connections of its own."""

    _threads: FairThreads | None = None

    async def aside(self, call: Callable[[], T], caller: Caller) -> T:
        if self._threads is None:
            self._threads = FairThreads(2, "chatstore-aside")
        return await self._threads.run(caller, call)

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        await super().close()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()

    def _here(self) -> Home:
        return os.getpid(), asyncio.get_running_loop()

    async def _link(self, address: Address) -> Link:
        return await AsyncLink.connect(address, self._seconds, partial(self.aside, caller=("", None)))

    async def _wait(self, future: Future[None], seconds: float) -> None:
        await asyncio.wait_for(asyncio.wrap_future(future), seconds)


def _is_over(home: Home) -> bool:
    process, loop = home
    return process != os.getpid() or (loop is not None and loop.is_closed())
