"""The two drivers: one for callers that block, one for event loops."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from chatstore.backends.sql import Work
from chatstore.backends.sqlite.file import File
from chatstore.backends.sqlite.warm import Warm
from chatstore.errors import StorageError

__all__ = ["BlockingDriver", "ThreadDriver"]

T = TypeVar("T")


class BlockingDriver:
    """For blocking callers: the work is done where it is asked for."""

    def __init__(self, file: File) -> None:
        self._file = file

    async def write(self, work: Work[T]) -> T:
        return self._file.write(work)

    async def read(self, work: Work[T], small: Hashable = None) -> T:  # noqa: ARG002 - nothing else waits here
        return self._file.read(work)

    async def scrub(self) -> None:
        self._file.scrub()

    async def close(self) -> None:
        self._file.close()


class ThreadDriver:
    """For event loops: writes queue at one thread, reads share a few. None is bound to a loop.

    What is `Warm` is read in the loop itself: the way to a thread and back would cost as much again.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._process = -1
        self._warm = Warm()

    async def write(self, work: Work[T]) -> T:
        return await self._hop(self._pools()[0], self._file.write, work)

    async def read(self, work: Work[T], small: Hashable = None) -> T:
        if small is None:
            return await self._hop(self._pools()[1], self._file.read, work)
        if small in self._warm:
            # A thread meets the same error again, if it is one that waiting and opening do not mend.
            with suppress(StorageError), self._warm.timed(small):
                return self._file.read_at_once(work)
        return await self._hop(self._pools()[1], partial(self._warming, small), work)

    def _warming(self, small: Hashable, work: Work[T]) -> T:
        if not self._file.is_prompt:
            self._file.be_prompt()
        with self._warm.timed(small, waits=True):
            return self._file.read(work)

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
