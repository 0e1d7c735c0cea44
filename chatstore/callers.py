"""For whom work is done, and how callers share places at a storage, and memory: each has turns."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["CALLER", "MUCH", "Bulk", "Places", "Turns", "share_of"]

W = TypeVar("W")

CALLER: ContextVar[Hashable] = ContextVar("chatstore-caller", default=None)
"""Whose request the service works on. None where nobody is told from anybody, who then may have all."""


def share_of(count: int) -> int:
    """How many of `count` places one caller has at most: a quarter is left for who comes next."""
    return max(1, count - max(1, count // 4))


class Turns(Generic[W]):
    """Who holds how many of `count` places, and who waits for one. Nothing here waits or locks.

    Of callers that wait, who had a turn longest ago comes first. `give` gives its place to one that waited,
    and tells whether it still wanted that.
    """

    def __init__(self, count: int, give: Callable[[W], bool]) -> None:
        self._count = count
        self._give = give
        self._free = count
        # A Counter would take three times as long, and each call to a storage comes through here twice.
        self._held: dict[Hashable, int] = {}
        self._waiting: OrderedDict[Hashable, deque[tuple[W, int]]] = OrderedDict()

    def share_of(self, caller: Hashable) -> int:
        """How many places a `CALLER` has at most."""
        return self._count if caller is None else share_of(self._count)

    def take(self, caller: Hashable, share: int) -> bool:
        """Take a place, if one is free for this caller, who has `share` of them at most."""
        fits = self._free > 0 and self._held.get(caller, 0) < share
        if fits:
            self._add(caller, 1)
        return fits

    def wait(self, caller: Hashable, share: int, one: W) -> None:
        """Let `one` wait for a place that `take` did not give."""
        self._waiting.setdefault(caller, deque()).append((one, share))

    def give_back(self, caller: Hashable) -> None:
        """Give a place back, to the next who waits for one."""
        self._add(caller, -1)
        for other in list(self._waiting):
            waiting = self._waiting[other]
            while waiting and self.take(other, waiting[0][1]):
                one, _ = waiting.popleft()
                if self._give(one):
                    self._waiting.move_to_end(other)
                    break
                self._add(other, -1)  # it was given up meanwhile
            if not waiting:
                del self._waiting[other]

    def _add(self, caller: Hashable, more: int) -> None:
        self._free -= more
        held = self._held.get(caller, 0) + more
        if held:
            self._held[caller] = held
        else:
            del self._held[caller]


class Places:
    """`count` places of one event loop, which callers share by turns."""

    def __init__(self, count: int) -> None:
        self._turns = Turns(count, _given)

    async def take(self) -> Hashable:
        """Wait for a place. Returns the caller, for whom it is given back."""
        caller = CALLER.get()
        share = self._turns.share_of(caller)
        if self._turns.take(caller, share):
            return caller
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.wait(caller, share, place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self.give(caller)  # it came as the wait ended
            raise
        return caller

    def give(self, caller: Hashable) -> None:
        """Give a place back, to the next who waits for one."""
        self._turns.give_back(caller)


MUCH: Final = 4 * 1024 * 1024
"""So many characters an operation may hold beside others."""

_ample: WeakKeyDictionary[asyncio.AbstractEventLoop, Places] = WeakKeyDictionary()


class Bulk:
    """What one operation has in memory at once, such as the whole history that it copies.

    Of those on an event loop that hold more than `MUCH`, one goes on, and the others wait for it. Without
    `waits`, nobody does: so it is for callers that block, each on a thread of its own.
    """

    def __init__(self, *, waits: bool) -> None:
        self._waits = waits
        self._characters = 0
        self._places: Places | None = None

    async def add(self, characters: int) -> None:
        """Hold so many more; waits where that is much."""
        self._characters += characters
        if self._waits and self._characters > MUCH and self._places is None:
            places = _ample.setdefault(asyncio.get_running_loop(), Places(1))
            self._caller = await places.take()
            self._places = places

    async def __aenter__(self) -> Bulk:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._places is not None:
            self._places.give(self._caller)


def _given(place: asyncio.Future[None]) -> bool:
    if place.done():
        return False
    place.set_result(None)
    return True
