"""The writers of one process to one thread, one after another rather than all but one in vain.

Nothing relies on it: the store decides who was first. It only spares tries that are bound to fail,
and where hundreds write to one thread, those would be nearly all that the process does.

Who waits for `patience` seconds in which nobody took a turn leaves the one who has it behind, so that a
call that hangs holds up nobody for longer. Having waited long is no reason to push in: where writers
are many and the store is slow, all of them would.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

__all__ = ["AsyncTurns", "BlockingTurns"]

L = TypeVar("L", threading.Lock, asyncio.Lock)

_PATIENCE_SECONDS = 1.0


class _Line(Generic[L]):
    """Those who wait for each other; `taken` counts the turns in it."""

    def __init__(self, lock: L) -> None:
        self.lock: L = lock
        self.taken = 0


class _Turns(ABC, Generic[L]):
    def __init__(self, lock: Callable[[], L], patience: float) -> None:
        self._lock: Callable[[], L] = lock
        self._patience = patience
        self._lines: WeakValueDictionary[tuple[object, str], _Line[L]] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for those that have the turn of that name."""
        at = (self._here(), name)
        while True:
            line = self._lines.setdefault(at, _Line(self._lock()))
            taken = line.taken
            if await self._acquired(line.lock):
                break
            if line.taken == taken and self._lines.get(at) is line:
                self._lines.pop(at, None)
        line.taken += 1
        try:
            yield
        finally:
            line.lock.release()

    @abstractmethod
    def _here(self) -> object:
        """Where a lock is good: elsewhere lines of their own begin."""

    @abstractmethod
    async def _acquired(self, lock: L) -> bool:
        """Whether the lock could be had in time."""


class BlockingTurns(_Turns[threading.Lock]):
    """For threads: never suspends."""

    def __init__(self, patience: float = _PATIENCE_SECONDS) -> None:
        super().__init__(threading.Lock, patience)

    def _here(self) -> object:
        # The threads that hold a lock are not with a fork.
        return os.getpid()

    async def _acquired(self, lock: threading.Lock) -> bool:
        return lock.acquire(timeout=self._patience)


class AsyncTurns(_Turns[asyncio.Lock]):
    """For the tasks of an event loop."""

    def __init__(self, patience: float = _PATIENCE_SECONDS) -> None:
        super().__init__(asyncio.Lock, patience)

    def _here(self) -> object:
        return asyncio.get_running_loop()

    async def _acquired(self, lock: asyncio.Lock) -> bool:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(lock.acquire(), self._patience)
        return False
