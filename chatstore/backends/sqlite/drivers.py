"""The two drivers: one for callers that block, one for event loops."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from chatstore.backends.sqlite.file import File
from chatstore.engines.sql import Work

__all__ = ["BlockingDriver", "ThreadDriver"]

T = TypeVar("T")


class BlockingDriver:
    """For blocking callers: the work is done where it is asked for."""

    def __init__(self, file: File) -> None:
        self._file = file

    async def write(self, work: Work[T]) -> T:
        return self._file.write(work)

    async def read(self, work: Work[T]) -> T:
        return self._file.read(work)

    async def ping(self) -> None:
        self._file.ping()

    async def scrub(self) -> None:
        self._file.scrub()

    async def close(self) -> None:
        self._file.close()


class ThreadDriver:
    """For event loops: writes queue at one thread, reads share a few. None is bound to a loop."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._process = -1

    async def write(self, work: Work[T]) -> T:
        return await self._hop(self._pools()[0], self._file.write, work)

    async def read(self, work: Work[T]) -> T:
        return await self._hop(self._pools()[1], self._file.read, work)

    async def ping(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pools()[0], self._file.ping)

    async def scrub(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pools()[0], self._file.scrub)

    async def close(self) -> None:
        if self._process == os.getpid():
            writer, readers = self._threads
            self._process = -1
            try:
                await asyncio.get_running_loop().run_in_executor(writer, self._file.close)
            finally:
                writer.shutdown(wait=False)
                readers.shutdown(wait=False)

    def _pools(self) -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
        if self._process != os.getpid():
            self._threads = ThreadPoolExecutor(1, "chatstore-write"), ThreadPoolExecutor(4, "chatstore-read")
            self._process = os.getpid()
        return self._threads

    @staticmethod
    async def _hop(pool: ThreadPoolExecutor, call: Callable[[Work[T]], T], work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, call, work)
