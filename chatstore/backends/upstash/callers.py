"""Scripts carried to an Upstash database over its REST API. The two callers differ only in how they wait."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple

import httpx

from chatstore.backends.clients import LoopClients, ProcessClient
from chatstore.backends.redis.callers import Terms
from chatstore.backends.redis.rows import Script
from chatstore.backends.upstash.answers import UnknownScript, result
from chatstore.backends.upstash.commands import body, carried
from chatstore.clocks import ServerClock
from chatstore.contract import Clock
from chatstore.engines.fenced.port import Again
from chatstore.metering import spent
from chatstore.turns import AsyncTurns, BlockingTurns

__all__ = ["AsyncRestCaller", "BlockingRestCaller", "Database"]

_CONNECTIONS: Final = 32
_HERE: Final = {"localhost", "127.0.0.1"}


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all clients: to make it takes longer than many a request."""
    return httpx.create_ssl_context()


class Database(NamedTuple):
    """Where a database is, and on what terms it is asked."""

    host: str
    token: str
    prefix: str
    seconds: float
    clock: Clock

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        return self.host.partition(":")[0] in _HERE

    def options(self) -> dict[str, Any]:
        """What a client of httpx is made with."""
        return {
            "base_url": f"{'http' if self.is_here else 'https'}://{self.host}",
            "headers": {
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                # Rows are binary, and JSON has only text.
                "Upstash-Encoding": "base64",
            },
            "verify": _tls(),
            # Callers beyond the size of the pool wait for a connection as long as they must.
            "timeout": httpx.Timeout(self.seconds, pool=None),
            "limits": httpx.Limits(max_connections=_CONNECTIONS),
            # No proxy is asked for what runs on this machine.
            "trust_env": not self.is_here,
        }


class _RestCaller(ABC):
    """Sends a script by its digest, and by its text where the database does not know it yet."""

    def __init__(self, database: Database) -> None:
        self._clock = database.clock
        self._terms = Terms(database.prefix, 0, database.seconds, database.clock)

    async def call(self, script: Script, key: str, arguments: Sequence[bytes], *, writing: bool) -> Any:  # noqa: ARG002 - one database answers all
        """What a script answers; texts are bytes. A call whose answer is lost is never made again here."""
        asked = self._clock.monotonic() if isinstance(self._clock, ServerClock) else 0
        known, sent = carried(script, arguments)
        try:
            answer = await self._answer(body(self._terms.command("EVALSHA", known, key, ()), sent))
        except UnknownScript:
            answer = await self._answer(body(self._terms.command("EVAL", known, key, ()), sent))
        return self._terms.answered(answer, asked)

    async def _answer(self, command: bytes) -> Any:
        spent("upstash", {"requests": 1})
        try:
            response = await self._posted(command)
        except httpx.HTTPError as error:
            raise Again from error
        return result(response.status_code, response.content, response.headers.get("Retry-After", ""))

    @abstractmethod
    async def _posted(self, command: bytes) -> httpx.Response: ...


class BlockingRestCaller(_RestCaller):
    """For blocking callers, one client for all threads. A fork opens one of its own."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database = database
        self._client = ProcessClient(self._opened, httpx.HTTPError)
        self._turns = BlockingTurns()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[httpx.Client]:
        with httpx.Client(**self._database.options()) as client:
            yield client

    async def _posted(self, command: bytes) -> httpx.Response:
        with self._client.used() as client:
            return client.post("/", content=command)

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(partition)

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - nobody awaits here: this caller serves blocking callers

    async def close(self) -> None:
        self._client.close()


class AsyncRestCaller(_RestCaller):
    """For event loops, each of which has a client; one whose loop has ended is replaced."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database = database
        self._clients = LoopClients(self._opened)
        self._turns = AsyncTurns()

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(**self._database.options()) as client:
            yield client

    async def _posted(self, command: bytes) -> httpx.Response:
        return await (await self._clients.here()).post("/", content=command)

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(partition)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        await self._clients.close()
