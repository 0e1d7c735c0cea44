"""What was read a moment ago, and quickly: it is in memory, and can be read again where it is asked for."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable

__all__ = ["Warm"]

_SECONDS = 10.0
_QUICK_SECONDS = 0.002
_MOST = 1000


class Warm:
    """Knows what may be read in the event loop, where nothing else runs meanwhile.

    That is what was read within the last ten seconds, and took two milliseconds at most. What grows
    meanwhile takes longer once, by no more than was written, and is then read by a thread again.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[Hashable, float] = OrderedDict()

    def __contains__(self, what: Hashable) -> bool:
        return self._until.get(what, 0.0) > time.monotonic()

    def took(self, what: Hashable, seconds: float) -> None:
        """Note that `what` was just read. A thread counts its own work: what it waited for is there now."""
        self._until.pop(what, None)
        if seconds <= _QUICK_SECONDS:
            self._until[what] = time.monotonic() + _SECONDS
            while len(self._until) > _MOST:
                self._until.popitem(last=False)
