"""One client of a storage for each process, or for each event loop, closed once.

A fork shares its parent's sockets, and the threads that may hold a lock are not with it. So it leaves what it
finds as it is, and opens a client of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from chatstore.callers import CALLER, share_of

if TYPE_CHECKING:
    from chatstore.fair_threads import Beside

__all__ = ["LoopClients", "ProcessClient", "ProcessThreads", "beside_loops"]

C = TypeVar("C")
T = TypeVar("T")


class _Opened(NamedTuple, Generic[C]):
    opening: AbstractContextManager[C]
    client: C


class _OpenedInLoop(NamedTuple, Generic[C]):
    opening: AbstractAsyncContextManager[C]
    client: C


class ProcessClient(Generic[C]):
    """A client for all threads of a process. Errors of the `harmless` kinds leave it as good as it was."""

    def __init__(
        self, opening: Callable[[], AbstractContextManager[C]], *harmless: type[BaseException]
    ) -> None:
        self._opening = opening
        self._harmless = harmless
        self._opened: dict[int, _Opened[C]] = {}
        self._locks: dict[int, threading.Lock] = {}

    def used(self) -> _Use[C]:
        """The client of this process, opened where it has none."""
        return _Use(self)

    def failed(self, error: BaseException) -> None:
        """Whoever used the client left it with an error."""
        if not isinstance(error, self._harmless):
            # A signal's exception may leave the lock of its connections taken: the next call has another.
            self._opened.pop(os.getpid(), None)

    def close(self) -> None:
        """Close the client of this process, if it has one; the next use opens another."""
        opened = self._opened.pop(os.getpid(), None)
        if opened is not None:
            opened.opening.__exit__(None, None, None)

    def here(self) -> C:
        """The client of this process, to be used by what tells `failed` of every error."""
        process = os.getpid()
        opened = self._opened.get(process)
        if opened is None:
            with self._locks.setdefault(process, threading.Lock()):
                opened = self._opened.get(process)
                if opened is None:
                    opening = self._opening()
                    self._opened[process] = opened = _Opened(opening, opening.__enter__())
        return opened.client


class _Use(Generic[C]):
    """One use of a client. Not a generator, which takes longer than many a call's own work."""

    __slots__ = ("_of",)

    def __init__(self, of: ProcessClient[C]) -> None:
        self._of = of

    def __enter__(self) -> C:
        try:
            return self._of.here()
        except BaseException as error:
            self._of.failed(error)
            raise

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._of.failed(error)


class LoopClients(Generic[C]):
    """A client for each event loop; that of a loop which has ended is forgotten."""

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[C]]) -> None:
        self._opening = opening
        self._opened: dict[asyncio.AbstractEventLoop, _OpenedInLoop[C]] = {}

    async def here(self) -> C:
        """The client of the running loop, opened where it has none.

        If nobody closes a client, its loop does so before its own end. That works for clients that a
        generator opens.
        """
        loop = asyncio.get_running_loop()
        opened = self._opened.get(loop)
        if opened is None:
            for ended in [other for other in self._opened if other.is_closed()]:
                del self._opened[ended]
            opening = self._opening()
            self._opened[loop] = opened = _OpenedInLoop(opening, await opening.__aenter__())
        return opened.client

    async def close(self) -> None:
        """Close the client of the running loop, if it has one."""
        opened = self._opened.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.opening.__aexit__(None, None, None)


class ProcessThreads:
    """Threads on which calls that block are made for event loops, in turn by caller. No loop binds them."""

    def __init__(self, count: int, name: str) -> None:
        from chatstore.fair_threads import Beside

        self._threads = Beside(count, name, share_of(count))

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` gives on a thread, in a copy of the caller's context: what it costs is told there."""
        return await self._threads.run(CALLER.get(), partial(contextvars.copy_context().run, call))

    def close(self) -> None:
        """Let go of the threads; calls under way come to their end."""
        self._threads.close()


def beside_loops(*, blocking: bool) -> Beside | None:
    """The threads of `Backend.aside` for a backend that is opened for event loops; else none."""
    if blocking:
        return None
    from chatstore.fair_threads import Beside

    return Beside(2, "chatstore-beside")
