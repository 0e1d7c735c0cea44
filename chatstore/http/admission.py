"""What callers may have in hand at once, each of them: requests at work, and memory for bodies and answers.

With `n` callers at work, each has one of `n + 1` equal shares. So there is always a share left for the one
who comes next, and a caller who is alone has half of all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable

from starlette.types import Scope

from chatstore.http.problems import Overloaded

__all__ = ["HOLD", "Admission", "Hold", "held"]

HOLD = "chatstore.hold"
"""Where the ASGI scope holds the `Hold` of its request."""


class _Shares:
    """How much of `most` each caller uses."""

    def __init__(self, most: int, *, shared: bool) -> None:
        self._most = most
        self._shared = shared
        self._used: dict[Hashable, int] = {}
        self._total = 0

    def fits(self, caller: Hashable, amount: int) -> bool:
        """Whether `caller` may have so much more: all that is free, where it has nothing."""
        mine = self._used.get(caller, 0)
        callers = len(self._used) + (not mine)
        share = max(1, self._most // (callers + 1)) if self._shared else self._most
        return self._total + amount <= self._most and (not mine or mine + amount <= share)

    def add(self, caller: Hashable, amount: int) -> None:
        """Give `caller` so much more, or take it back."""
        self._total += amount
        used = self._used.get(caller, 0) + amount
        if used:
            self._used[caller] = used
        else:
            self._used.pop(caller, None)


class Admission:
    """Admits up to `most_requests`, and requests that need up to `most_bytes` together.

    Where it is not `shared`, there is only one caller ever, who may have all.
    """

    def __init__(self, most_requests: int, most_bytes: int, *, shared: bool = True) -> None:
        self.most_bytes = most_bytes
        self._requests = _Shares(most_requests, shared=shared)
        self._bytes = _Shares(most_bytes, shared=shared)
        self._waiting: OrderedDict[Hashable, deque[tuple[int, asyncio.Future[None]]]] = OrderedDict()

    def begin(self, caller: Hashable) -> None:
        """Count a request of `caller`. Raises Overloaded where that is one too many."""
        if not self._requests.fits(caller, 1):
            raise Overloaded
        self._requests.add(caller, 1)

    def end(self, caller: Hashable) -> None:
        """Count it no more."""
        self._requests.add(caller, -1)

    async def take(self, caller: Hashable, size: int) -> None:
        """Wait until `caller` may use so many bytes: behind its own requests, and in turn with others'."""
        if caller not in self._waiting and self._bytes.fits(caller, size):
            self._bytes.add(caller, size)
            return
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append((size, admitted))
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self.give(caller, size)
            raise

    def give(self, caller: Hashable, size: int) -> None:
        """Take bytes back, and admit those who waited for them."""
        self._bytes.add(caller, -size)
        for one in list(self._waiting):
            waiting = self._waiting[one]
            while waiting and (waiting[0][1].done() or self._bytes.fits(one, waiting[0][0])):
                wanted, admitted = waiting.popleft()
                if not admitted.done():
                    self._bytes.add(one, wanted)
                    admitted.set_result(None)
            if waiting:
                self._waiting.move_to_end(one)
            else:
                del self._waiting[one]


class Hold:
    """What one request has in hand, until it is released."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._caller: Hashable = None
        self._begun = False
        self._bytes = 0

    async def begin(self, caller: Hashable, size: int) -> None:
        """Count the request, whose body is in, as its caller's, and wait until it may use `size` bytes.

        Raises Overloaded.
        """
        self._admission.begin(caller)
        self._caller, self._begun = caller, True
        await self.need(caller, size)

    async def need(self, caller: Hashable, size: int) -> None:
        """Wait until the request may use so many bytes in all."""
        more = min(size, self._admission.most_bytes) - self._bytes
        if more > 0:
            await self._admission.take(caller, more)
            self._caller, self._bytes = caller, self._bytes + more

    def keep(self, size: int) -> None:
        """Give back what is more than so many bytes."""
        if size < self._bytes:
            left, self._bytes = self._bytes - size, size
            self._admission.give(self._caller, left)

    def release(self) -> None:
        """Give back all."""
        self.keep(0)
        if self._begun:
            self._begun = False
            self._admission.end(self._caller)


def held(scope: Scope) -> Hold:
    """What a request has in hand."""
    hold: Hold = scope[HOLD]
    return hold
