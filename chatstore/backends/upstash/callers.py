"""Scripts carried to an Upstash database over its REST API. The two callers differ only in how they wait."""

from __future__ import annotations

import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final, NamedTuple

import httpx

from chatstore.backends.clients import LoopClients, ProcessClient
from chatstore.backends.redis.calling import AsyncScripts, BlockingScripts, Terms
from chatstore.backends.redis.scripts import Script
from chatstore.backends.upstash.answers import result
from chatstore.backends.upstash.commands import body, carried
from chatstore.callers import Places
from chatstore.contract import Clock
from chatstore.engines.fenced.port import Again

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

    @property
    def terms(self) -> Terms:
        """How scripts are called there: no replica is asked for by itself."""
        return Terms(self.prefix, 0, self.seconds, self.clock)


class BlockingRestCaller(BlockingScripts):
    """One client for all threads. A fork opens one of its own."""

    prices, unit = "upstash", "requests"

    def _carried(self, script: Script, arguments: Sequence[bytes]) -> tuple[Script, Sequence[Any]]:
        return carried(script, arguments)

    def __init__(self, database: Database) -> None:
        super().__init__(database.terms)
        self._database = database
        self._client = ProcessClient(self._opened, httpx.HTTPError)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[httpx.Client]:
        with httpx.Client(**self._database.options()) as client:
            yield client

    async def _sent(self, command: tuple[Any, ...], *, writing: bool) -> Any:  # noqa: ARG002 - one database answers all
        with _lost(), self._client.used() as client:
            response = client.post("/", content=body(command))
        return _result(response)

    async def close(self) -> None:
        """Give back connections."""
        self._client.close()


class AsyncRestCaller(AsyncScripts):
    """A client for each loop; that of a loop which has ended is replaced."""

    prices, unit = "upstash", "requests"

    def _carried(self, script: Script, arguments: Sequence[bytes]) -> tuple[Script, Sequence[Any]]:
        return carried(script, arguments)

    def __init__(self, database: Database) -> None:
        super().__init__(database.terms)
        self._database = database
        self._clients = LoopClients(self._opened)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[httpx.AsyncClient, Places]]:
        async with httpx.AsyncClient(**self._database.options()) as client:
            yield client, Places(_CONNECTIONS)

    async def _sent(self, command: tuple[Any, ...], *, writing: bool) -> Any:  # noqa: ARG002 - one database answers all
        with _lost():
            client, places = await self._clients.here()
            caller = await places.take()
            try:
                response = await client.post("/", content=body(command))
            finally:
                places.give(caller)
        return _result(response)

    async def close(self) -> None:
        """Give back connections."""
        await self._clients.close()


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    """Turn what the client raises into Again: what it was asked to do may be done."""
    try:
        yield
    except httpx.HTTPError as error:
        raise Again from error


def _result(response: httpx.Response) -> Any:
    return result(response.status_code, response.content, response.headers.get("Retry-After", ""))
