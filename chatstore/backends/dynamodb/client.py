"""Calls to DynamoDB through botocore's low-level client: directly, or on threads for event loops."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, closing
from functools import partial
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from chatstore.backends.clients import ProcessClient, ProcessThreads
from chatstore.blocking import run
from chatstore.clocks import ServerClock
from chatstore.errors import ConfigurationError
from chatstore.turns import AsyncTurns, BlockingTurns
from chatstore.urls import shown

__all__ = ["BlockingCalls", "Calls", "Client", "ThreadCalls"]

Parameters: TypeAlias = Mapping[str, Any]

T = TypeVar("T")

_CONNECTIONS = 32
_TOGETHER = 8
_CONNECT_SECONDS = 2


_making = [threading.Lock()]
"""Held where what others look for is made: a session is not to be asked for two clients at once."""


def _renew() -> None:
    # The thread that held it is not in the child.
    _making[0] = threading.Lock()


os.register_at_fork(after_in_child=_renew)


@functools.cache
def _session() -> Any:
    # One for all clients: it reads the description of the service only once.
    from botocore.session import get_session

    return get_session()


class Client:
    """A botocore client that is made when it is first used, and anew in a forked process.

    What its answers say of the time goes to `clock`.
    """

    def __init__(
        self,
        table: str,
        region: str | None,
        endpoint: str | None,
        timeout: float,
        clock: ServerClock | None = None,
    ) -> None:
        self.table = table
        self.endpoint = endpoint
        self._region = region
        self._timeout = timeout
        self._clock = clock
        self._client = ProcessClient(self._opened, ClientError, BotoCoreError)

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine: an emulator."""
        host = urlsplit(self.endpoint or "").hostname
        return host in ("127.0.0.1", "::1", "localhost")

    def call(self, operation: str, parameters: Parameters) -> dict[str, Any]:
        """One call, tried once."""
        clock = self._clock
        asked = 0 if clock is None else clock.monotonic()
        answer: dict[str, Any] = {}
        try:
            with self._client.used() as client:
                answer = client._make_api_call(operation, parameters)
        except ClientError as error:
            answer = error.response
            raise
        finally:
            if clock is not None:
                clock.heard(_date(answer), asked)
        return answer

    @property
    def client(self) -> Any:
        """The botocore client."""
        with self._client.used() as client:
            return client

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _opened(self) -> AbstractContextManager[Any]:
        with _making[0]:
            return closing(self._made())

    def _made(self) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=self._timeout,
            max_pool_connections=_CONNECTIONS,
            # Repeated here would be unseen: the log repeats what it knows how to.
            retries={"total_max_attempts": 1},
            parameter_validation=False,
            tcp_keepalive=True,
        )
        try:
            return _session().create_client(
                "dynamodb", region_name=self._region, endpoint_url=self.endpoint, config=config
            )
        except (BotoCoreError, ValueError) as error:
            where = shown(self.endpoint or self._region or "")
            raise ConfigurationError(
                f"no client for DynamoDB at {where} ({type(error).__name__}): check region= and endpoint="
            ) from error


def _run(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return run(call())


def _date(answer: Parameters) -> str | None:
    date: str | None = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return date


class Calls(ABC):
    """How a caller waits: for a call, and for a while."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @abstractmethod
    async def call(self, operation: str, parameters: Parameters) -> dict[str, Any]:
        """One call, tried once."""

    @abstractmethod
    async def pause(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    def turn(self, name: str) -> AbstractAsyncContextManager[None]:
        """Wait for others of this process that have the turn of that name."""

    @abstractmethod
    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """Make calls side by side, as `Table.together` says."""

    async def close(self) -> None:
        """Give back what is held."""
        self._client.close()


class BlockingCalls(Calls):
    """For blocking callers: never suspends. What is made side by side runs on threads that end with it."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._turns = BlockingTurns()

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        if len(calls) < 2:
            return [await call() for call in calls]
        with ThreadPoolExecutor(min(len(calls), _TOGETHER), "chatstore-dynamodb") as threads:
            # Each in a copy of the context, where what it costs is told to the same operation.
            made = [threads.submit(contextvars.copy_context().run, _run, call) for call in calls]
        return [one.result() for one in made]

    async def call(self, operation: str, parameters: Parameters) -> dict[str, Any]:
        return self._client.call(operation, parameters)

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what these callers asked for

    def turn(self, name: str) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(name)


class ThreadCalls(Calls):
    """For event loops: as many threads as there are connections. None is bound to a loop."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._threads = ProcessThreads(_CONNECTIONS, "chatstore-dynamodb")
        self._turns = AsyncTurns()

    async def call(self, operation: str, parameters: Parameters) -> dict[str, Any]:
        return await self._threads.run(partial(self._client.call, operation, parameters))

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        slots = asyncio.Semaphore(_TOGETHER)

        async def made(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
            async with slots:
                return await call()

        results = await asyncio.gather(*map(made, calls), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if not isinstance(result, BaseException)]

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def turn(self, name: str) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(name)

    async def close(self) -> None:
        self._threads.close()
        await super().close()
