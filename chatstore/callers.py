"""For whom work is done, and how callers share places at a storage: by turns, and none has all."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Hashable
from contextvars import ContextVar

__all__ = ["CALLER", "Places", "share_of"]

CALLER: ContextVar[Hashable] = ContextVar("chatstore-caller", default=None)
"""Whose request the service works on. None where nobody is told from anybody, who then may have all."""


def share_of(count: int) -> int:
    """How many of `count` places one caller has at most: a quarter is left for who comes next."""
    return max(1, count - max(1, count // 4))


class Places:
    """`count` places of one event loop. Of callers that wait, who had a turn longest ago comes first."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = count
        self._held: Counter[Hashable] = Counter()
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    async def take(self) -> Hashable:
        """Wait for a place. Returns the caller, for whom it is given back."""
        caller = CALLER.get()
        if self._fits(caller):
            self._add(caller, 1)
            return caller
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self.give(caller)  # it came as the wait ended
            raise
        return caller

    def give(self, caller: Hashable) -> None:
        """Give a place back, to the next who waits for one."""
        self._add(caller, -1)
        for one in list(self._waiting):
            waiting = self._waiting[one]
            while waiting and waiting[0].done():
                del waiting[0]  # given up meanwhile
            if waiting and self._fits(one):
                self._add(one, 1)
                waiting.popleft().set_result(None)
                self._waiting.move_to_end(one)
            if not waiting:
                del self._waiting[one]

    def _fits(self, caller: Hashable) -> bool:
        most = self._count if caller is None else share_of(self._count)
        return self._free > 0 and self._held[caller] < most

    def _add(self, caller: Hashable, more: int) -> None:
        self._free -= more
        self._held[caller] += more
        if not self._held[caller]:
            del self._held[caller]
