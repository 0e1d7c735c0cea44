"""The two drivers: one for callers that block, one for event loops."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from chatstore.backends.sqlite.file import File
from chatstore.backends.sqlite.together import Together
from chatstore.backends.sqlite.warm import Warm
from chatstore.engines.sql import Caller, Small, Work
from chatstore.errors import StorageError
from chatstore.fair_threads import FairThreads

__all__ = ["BlockingDriver", "ThreadDriver"]

T = TypeVar("T")

_RESTS, _LONGEST_REST_SECONDS = 3, 10.0
"""After a scrub, the next one waits this many times as long as it took, so that writers get their turn."""


class BlockingDriver:
    """For blocking callers: the work is done where it is asked for."""

    def __init__(self, file: File) -> None:
        self._file = file

    async def write(self, work: Work[T], caller: Caller, *, short: bool = False) -> T:  # noqa: ARG002
        return self._file.write(work)

    async def read(self, work: Work[T], caller: Caller, small: Small | None = None) -> T:  # noqa: ARG002 - as above
        return self._file.read(work)

    async def ping(self) -> None:
        self._file.ping()

    async def aside(self, call: Callable[[], T], caller: Caller) -> T:  # noqa: ARG002 - as above
        return call()

    async def rest(self, seconds: float) -> None:
        """Nobody else waits for this thread."""

    async def scrub(self, caller: Caller) -> None:  # noqa: ARG002 - as above
        if self._file.owes(self._file.removals):
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
        self._next_scrub = 0.0
        self._warm = Warm()

    async def write(self, work: Work[T], caller: Caller, *, short: bool = False) -> T:
        if short:
            self._pools()
            return await self._together.write(caller, work)
        return await self._pools()[0].run(caller, partial(self._file.write, work))

    async def read(self, work: Work[T], caller: Caller, small: Small | None = None) -> T:
        readers = self._pools()[1]
        if small is None:
            return await readers.run(caller, partial(self._file.read, work))
        if small.what in self._warm:
            # A thread meets the same error again, if it is one that waiting and opening do not mend.
            with suppress(StorageError):
                result = self._file.read_at_once(work)
                self._warm.was_read(small.what, small.size(result))
                return result
        result = await readers.run(caller, partial(self._warming, work))
        self._warm.was_read(small.what, small.size(result))
        return result

    def _warming(self, work: Work[T]) -> T:
        if not self._file.is_prompt:
            self._file.be_prompt()
        return self._file.read(work)

    async def ping(self) -> None:
        await self._pools()[0].run(("", None), self._file.ping)

    async def aside(self, call: Callable[[], T], caller: Caller) -> T:
        return await self._pools()[1].run(caller, call)

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def scrub(self, caller: Caller) -> None:
        call = partial(self._scrub, self._file.removals)
        while not await self._pools()[0].run(caller, call):
            # Whoever comes meanwhile waits too, and one scrub does for all of them.
            pause = self._next_scrub - time.monotonic()
            await asyncio.sleep(max(0.0, pause))

    def _scrub(self, removals: int) -> bool:
        """Whether nothing is owed of so many removals; scrubs, if the rest after the last time is over."""
        if not self._file.owes(removals):
            return True
        began = time.monotonic()
        if began < self._next_scrub:
            return False
        self._file.scrub()
        now = time.monotonic()
        self._next_scrub = now + min(_RESTS * (now - began), _LONGEST_REST_SECONDS)
        return True

    async def close(self) -> None:
        if self._process == os.getpid():
            writer, readers = self._threads
            self._process = -1
            try:
                await writer.run(None, self._file.close)
            finally:
                writer.shutdown()
                readers.shutdown()

    def _pools(self) -> tuple[FairThreads, FairThreads]:
        if self._process != os.getpid():
            self._threads = FairThreads(1, "chatstore-write"), FairThreads(4, "chatstore-read")
            # What waits in a process is not written by a child of its fork.
            self._together = Together(self._threads[0], self._file.write_together)
            self._process = os.getpid()
        return self._threads
