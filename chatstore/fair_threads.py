"""Threads that work for many callers, and do one piece of each in turn."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["Beside", "FairThreads"]

T = TypeVar("T")


class FairThreads:
    """`count` threads. Of the pieces that wait, those of the caller who had a turn longest ago come first.

    One caller has `most` of the threads at most, or half of them: somebody else's piece waits for none of
    that caller's to end, and the event loop shares the interpreter with few of them. None is nobody in
    particular, who may have all.
    """

    def __init__(self, count: int, name: str, most: int | None = None) -> None:
        self._threads = ThreadPoolExecutor(count, name)
        self._count = count
        self._most = max(1, count // 2) if most is None else most
        self._lock = threading.Lock()
        self._running: Counter[Hashable] = Counter()
        self._waiting: OrderedDict[Hashable, deque[tuple[Future[Any], Callable[[], Any]]]] = OrderedDict()

    async def run(self, caller: Hashable, call: Callable[[], T]) -> T:
        """What `call` gives. One that has not begun when its caller is cancelled does not begin."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.setdefault(caller, deque()).append((future, call))
        self._threads.submit(self._next)
        return await asyncio.wrap_future(future)

    def shutdown(self) -> None:
        """Take no more; what waits is done."""
        self._threads.shutdown(wait=False)

    def _next(self) -> None:
        """Do pieces, one of each caller in turn, while there is one that may be done.

        Every piece that is added brings a thread here, and every thread looks again after each piece: one
        that waits only because its caller has enough threads is found by the first of those that is done.
        """
        while (piece := self._take()) is not None:
            caller, future, call = piece
            try:
                if future.set_running_or_notify_cancel():
                    _fulfil(future, call)
            finally:
                with self._lock:
                    self._running[caller] -= 1
                    if not self._running[caller]:
                        del self._running[caller]
            del piece, future, call  # or the thread would keep the last result until the next piece

    def _take(self) -> tuple[Hashable, Future[Any], Callable[[], Any]] | None:
        with self._lock:
            served = (
                one
                for one in self._waiting
                if self._running[one] < (self._count if one is None else self._most)
            )
            try:
                caller = next(served)
            except StopIteration:
                return None
            pieces = self._waiting[caller]
            future, call = pieces.popleft()
            self._running[caller] += 1
            if pieces:
                self._waiting.move_to_end(caller)
            else:
                del self._waiting[caller]
            return caller, future, call


class Beside:
    """Fair threads that are there once they are needed, and anew in a child of a fork."""

    def __init__(self, count: int, name: str, most: int | None = None) -> None:
        self._count = count
        self._name = name
        self._most = most
        self._process = -1
        self._threads: FairThreads | None = None

    async def run(self, caller: Hashable, call: Callable[[], T]) -> T:
        """What `call` gives, as `FairThreads.run` gives it."""
        if self._threads is None or self._process != os.getpid():
            self._threads, self._process = FairThreads(self._count, self._name, self._most), os.getpid()
        return await self._threads.run(caller, call)

    def close(self) -> None:
        """Take no more; what waits is done, and a later call begins anew."""
        threads, self._threads = self._threads, None
        if threads is not None and self._process == os.getpid():
            threads.shutdown()


def _fulfil(future: Future[T], call: Callable[[], T]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        future.set_exception(error)
    else:
        future.set_result(result)
