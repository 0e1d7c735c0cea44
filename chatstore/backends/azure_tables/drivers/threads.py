"""The driver for event loops, over the blocking one on threads.

The SDK's asynchronous client needs aiohttp, which takes some 100 ms to load: a new instance in the cloud
answers that much sooner without it.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any, ParamSpec, TypeVar

from chatstore.backends.azure_tables.account import CONNECTIONS
from chatstore.backends.azure_tables.drivers.blocking import BlockingDriver
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
        self._process = -1
        self._threads: ThreadPoolExecutor | None = None
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
        threads, self._threads = self._threads, None
        if threads is not None and self._process == os.getpid():
            threads.shutdown(wait=False)
        await self._driver.close()

    async def _on_thread(
        self, call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **named: P.kwargs
    ) -> T:
        if self._threads is None or self._process != os.getpid():
            self._threads = ThreadPoolExecutor(CONNECTIONS, "chatstore-azure-tables")
            self._process = os.getpid()
        # What is spent is counted in the context of the caller.
        context = contextvars.copy_context()

        def work() -> T:
            # Only here: a coroutine of a call that is given up before it has a thread would never be awaited.
            return context.run(run, call(*args, **named))

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
