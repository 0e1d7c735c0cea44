"""Locks that are taken before a fork and let go behind it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

__all__ = ["Stopped"]

_Lock = type(threading.Lock())


class Stopped:
    """Locks that a fork takes, so that no thread of the process is where they are held."""

    def __init__(self) -> None:
        self._locks: list[threading.Lock] = []
        self._taken: list[bool] = []

    def take(self, locks: Sequence[threading.Lock]) -> None:
        """Take all of `locks`.

        A fork goes on whatever is raised while it is prepared, so a signal's exception is dropped. It can
        come only where a lock is waited for: the list holds what was taken before anything can be raised.
        """
        self._locks += locks
        while len(self._taken) < len(self._locks):
            try:
                self._taken += map(_Lock.acquire, self._locks[len(self._taken) :])
            except BaseException:  # noqa: BLE001, S112
                continue

    def release(self) -> None:
        """Let go of them."""
        deque(map(_Lock.release, self._locks[: len(self._taken)]), maxlen=0)
