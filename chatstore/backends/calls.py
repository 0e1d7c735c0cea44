"""Calls of a client that blocks, made directly or on threads for event loops; and tables made of them."""

from __future__ import annotations

import asyncio
import contextvars
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from chatstore.backends.clients import ProcessThreads
from chatstore.blocking import run
from chatstore.engines.log import Table
from chatstore.errors import Unavailable
from chatstore.metering import retried
from chatstore.turns import AsyncTurns, BlockingTurns

__all__ = ["CONNECTIONS", "TRIES", "BlockingCalls", "CalledTable", "Calls", "ThreadCalls"]

T = TypeVar("T")

CONNECTIONS: Final = 32
TRIES: Final = 4
_TOGETHER = 8
_BACKOFF_SECONDS = 0.05
_THREADS = "chatstore-calls"


class _Client(Protocol):
    """What makes one call at a time on each thread."""

    def call(self, operation: str, parameters: Any) -> Any:
        """One call, tried once."""

    def close(self) -> None:
        """Close the connections."""


class Calls(ABC):
    """How a caller waits: for a call, and for a while."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    @abstractmethod
    async def call(self, operation: str, parameters: Any) -> Any:
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

    def __init__(self, client: _Client) -> None:
        super().__init__(client)
        self._turns = BlockingTurns()

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        if len(calls) < 2:
            return [await call() for call in calls]
        with ThreadPoolExecutor(min(len(calls), _TOGETHER), _THREADS) as threads:
            # Each in a copy of the context, where what it costs is told to the same operation.
            made = [threads.submit(contextvars.copy_context().run, _run, call) for call in calls]
        return [one.result() for one in made]

    async def call(self, operation: str, parameters: Any) -> Any:
        return self._client.call(operation, parameters)

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what these callers asked for

    def turn(self, name: str) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(name)


class ThreadCalls(Calls):
    """For event loops: as many threads as there are connections. None is bound to a loop."""

    def __init__(self, client: _Client) -> None:
        super().__init__(client)
        self._threads = ProcessThreads(CONNECTIONS, _THREADS)
        self._turns = AsyncTurns()

    async def call(self, operation: str, parameters: Any) -> Any:
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


class CalledTable(Table):
    """A table whose rows are reached by calls: how they are waited for, and repeated."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def pause(self, seconds: float) -> None:
        await self._calls.pause(seconds)

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        return await self._calls.together(calls)

    def turn(self, pk: str) -> AbstractAsyncContextManager[None]:
        return self._calls.turn(pk)

    async def close(self) -> None:
        await self._calls.close()

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """What does no harm twice, tried again while the table cannot answer."""
        for attempt in range(TRIES - 1):
            try:
                return await call()
            except Unavailable:
                await self._rest(attempt)
        return await call()

    async def _rest(self, attempt: int) -> None:
        retried()
        await self.pause(random.uniform(0, _BACKOFF_SECONDS * 4**attempt))  # noqa: S311 - guards nothing


def _run(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return run(call())
