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
from collections.abc import AsyncIterator
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

__all__ = ["AsyncTurns", "BlockingTurns"]

L = TypeVar("L")

_PATIENCE_SECONDS = 1.0


class _Line(Generic[L]):
    """Those who wait for each other; `taken` counts the turns in it."""

    def __init__(self, lock: L) -> None:
        self.lock = lock
        self.taken = 0


class BlockingTurns:
    """For threads."""

    def __init__(self, patience: float = _PATIENCE_SECONDS) -> None:
        self._patience = patience
        # A fork begins lines of its own: the threads that hold a lock are not with it.
        self._lines: WeakValueDictionary[tuple[int, str], _Line[threading.Lock]] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for those that have the turn of that name."""
        at = (os.getpid(), name)
        while True:
            line = self._lines.setdefault(at, _Line(threading.Lock()))
            taken = line.taken
            if line.lock.acquire(timeout=self._patience):
                break
            if line.taken == taken and self._lines.get(at) is line:
                self._lines.pop(at, None)
        line.taken += 1
        try:
            yield
        finally:
            line.lock.release()


class AsyncTurns:
    """The same for the tasks of an event loop, each loop with lines of its own."""

    def __init__(self, patience: float = _PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._lines: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, str], _Line[asyncio.Lock]]
        self._lines = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for those that have the turn of that name."""
        at = (asyncio.get_running_loop(), name)
        while True:
            line = self._lines.setdefault(at, _Line(asyncio.Lock()))
            taken = line.taken
            try:
                await asyncio.wait_for(line.lock.acquire(), self._patience)
                break
            except TimeoutError:
                if line.taken == taken and self._lines.get(at) is line:
                    self._lines.pop(at, None)
        line.taken += 1
        try:
            yield
        finally:
            line.lock.release()
