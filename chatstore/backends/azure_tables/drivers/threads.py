"""The driver for event loops, over the blocking one on threads.

The SDK's asynchronous client needs aiohttp, which takes some 100 ms to load: a new instance in the cloud
answers that much sooner without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ParamSpec, TypeVar

from chatstore.backends.azure_tables.account import CONNECTIONS
from chatstore.backends.azure_tables.drivers.blocking import BlockingDriver
from chatstore.backends.clients import ProcessThreads
from chatstore.blocking import run
from chatstore.engines.fenced.port import Entity, Op, Range, Slice
from chatstore.turns import AsyncTurns

__all__ = ["ThreadDriver"]

P = ParamSpec("P")
T = TypeVar("T")


class ThreadDriver:
    """As many threads as an instance answers requests at once. None is bound to a loop."""

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver
        self._threads = ProcessThreads(CONNECTIONS, "chatstore-azure-tables")
        self._turns = AsyncTurns()

    async def create(self) -> None:
        await self._on_thread(self._driver.create)

    async def get(self, partition: str, row: str) -> Entity | None:
        return await self._on_thread(self._driver.get, partition, row)

    async def page(
        self,
        partitions: str | Range,
        rows: Range | None,
        top: int,
        token: object | None,
        before: str | None = None,
        *,
        bodies: bool = True,
    ) -> Slice:
        return await self._on_thread(self._driver.page, partitions, rows, top, token, before, bodies=bodies)

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        return await self._on_thread(self._driver.submit, partition, ops)

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(partition)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        self._threads.close()
        await self._driver.close()

    async def _on_thread(
        self, call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **named: P.kwargs
    ) -> T:
        # Only on its thread is the coroutine made: one of a call that is given up before is never awaited.
        return await self._threads.run(lambda: run(call(*args, **named)))
