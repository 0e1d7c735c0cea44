"""Turns: the writers of one process to one thread write one after another.

Correctness does not depend on turns: the store decides who was first. They only save attempts that
would fail. When hundreds write to one thread, those would be nearly all that the process does.

A waiter gives up on whoever has the turn after `patience` seconds in which nobody took a turn. So a
call that hangs delays nobody for longer. The timeout restarts at each turn; otherwise all waiters
on a slow store would give up together.

A signal's exception may come where no turn can be given back: as the leaving of a turn begins. Whoever comes
back for a turn that it has already was interrupted so, and leaves its old one behind at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

__all__ = ["AsyncTurns", "BlockingTurns"]

L = TypeVar("L", threading.Lock, asyncio.Lock)

_PATIENCE_SECONDS = 1.0
_MOST = 4096
"""Lines that are kept: to make one for each turn takes longer than the turn."""


class _Line(Generic[L]):
    """Those who wait for each other; `taken` counts the turns in it, `holder` had the last."""

    def __init__(self, lock: L) -> None:
        self.lock: L = lock
        self.taken = 0
        self.holder: object = None

    def leave(self) -> None:
        """Give the turn back."""
        self.holder = None
        self.lock.release()


class _Turn(Generic[L]):
    """A turn while it lasts. Not a generator, which would take longer than all else that a turn does."""

    __slots__ = ("_line", "_name", "_turns")

    def __init__(self, turns: _Turns[L], name: str) -> None:
        self._turns: _Turns[L] = turns
        self._name = name

    async def __aenter__(self) -> None:
        self._line: _Line[L] = await self._turns.take(self._name)

    async def __aexit__(self, *_: object) -> None:
        self._line.leave()


class _Turns(ABC, Generic[L]):
    def __init__(
        self,
        lock: Callable[[], L],
        patience: float,
        lines: MutableMapping[tuple[object, str], _Line[L]],
    ) -> None:
        self._lock: Callable[[], L] = lock
        self._patience = patience
        self._lines: MutableMapping[tuple[object, str], _Line[L]] = lines

    def turn(self, name: str) -> _Turn[L]:
        """Wait for those that have the turn of that name."""
        return _Turn(self, name)

    async def take(self, name: str) -> _Line[L]:
        """The line in which the turn was had."""
        at, me = (self._here(), name), self._me()
        while True:
            line = self._lines.get(at)
            if line is None:
                if len(self._lines) >= _MOST:
                    # Whoever is in one of them has a turn still, and perhaps company.
                    self._lines.clear()
                line = self._lines.setdefault(at, _Line(self._lock()))
            taken, held = line.taken, list[bool]()
            try:
                if line.holder != me:
                    await self._acquire(line.lock, held)
                if held == [True]:
                    line.taken, line.holder = line.taken + 1, me
                    return line
            except BaseException:
                if held == [True]:
                    line.leave()
                raise
            if line.taken == taken and self._lines.get(at) is line:
                self._lines.pop(at, None)

    @abstractmethod
    def _here(self) -> object:
        """Where a lock is good: elsewhere lines of their own begin."""

    @abstractmethod
    def _me(self) -> object:
        """Who takes turns here: never two of the same line at once."""

    @abstractmethod
    async def _acquire(self, lock: L, held: list[bool]) -> None:
        """Put into `held` whether the lock could be had in time, before anything can be raised."""


class BlockingTurns(_Turns[threading.Lock]):
    """For threads: never suspends."""

    def __init__(self, patience: float = _PATIENCE_SECONDS) -> None:
        super().__init__(threading.Lock, patience, {})

    def _here(self) -> object:
        # The threads that hold a lock are not with a fork.
        return os.getpid()

    def _me(self) -> object:
        return threading.get_ident()

    async def _acquire(self, lock: threading.Lock, held: list[bool]) -> None:
        # Not `held.append(lock.acquire(...))`: a signal's exception may come between the two calls.
        held += map(lock.acquire, (True,), (self._patience,))


class AsyncTurns(_Turns[asyncio.Lock]):
    """For the tasks of an event loop."""

    def __init__(self, patience: float = _PATIENCE_SECONDS) -> None:
        # A lock may know its loop, which is not to be kept for that.
        super().__init__(asyncio.Lock, patience, WeakValueDictionary())

    def _here(self) -> object:
        return asyncio.get_running_loop()

    def _me(self) -> object:
        return asyncio.current_task()

    async def _acquire(self, lock: asyncio.Lock, held: list[bool]) -> None:
        # Not wait_for(), which forgets a cancellation that comes as the lock does.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                held.append(await lock.acquire())
