"""What was read a moment ago, and quickly: it is in memory, and can be read again where it is asked for."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

__all__ = ["Warm"]

_FRESH_SECONDS = 10.0
_WORK_SECONDS = 0.002
_WAIT_SECONDS = 0.1
_MOST = 1000


class Warm:
    """Knows what may be read in the event loop, where nothing else runs meanwhile.

    That is what was read within the last ten seconds, and took two milliseconds of work at most. What grows
    meanwhile takes longer once, by no more than was written, and is then read by a thread again.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[Hashable, float] = OrderedDict()

    def __contains__(self, what: Hashable) -> bool:
        return self._until.get(what, 0.0) > time.monotonic()

    @contextmanager
    def timed(self, what: Hashable, *, waits: bool = False) -> Iterator[None]:
        """Note how long `what` takes to be read in the context; one that fails changes nothing.

        Work counts, by the thread's own clock, which stands still for others; waiting does beyond
        a tenth of a second, but in a thread that `waits`: what it waited for is in memory by then.
        """
        began, work = time.monotonic(), time.thread_time()
        yield
        work = time.thread_time() - work
        now = time.monotonic()
        self._until.pop(what, None)
        if work <= _WORK_SECONDS and (waits or now - began <= _WAIT_SECONDS):
            self._until[what] = now + _FRESH_SECONDS
            while len(self._until) > _MOST:
                self._until.popitem(last=False)
