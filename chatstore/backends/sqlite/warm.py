"""What was read a moment ago is in memory, and where it is small it is read again where it is asked for."""

from __future__ import annotations

import time
from collections.abc import Hashable

from chatstore.recent import Recent

__all__ = ["Warm"]

_FRESH_SECONDS = 10.0
_MOST_BYTES = 256 * 1024
_MOST = 1000


class Warm:
    """Knows what may be read in the event loop, where nothing else runs meanwhile.

    That is what was read within the last ten seconds, and was 256 KiB at most. What grows meanwhile takes
    longer once, by no more than was written, and is then read by a thread again.
    """

    def __init__(self) -> None:
        self._until: Recent[Hashable, float] = Recent(_MOST)

    def __contains__(self, what: Hashable) -> bool:
        return (self._until.get(what) or 0.0) > time.monotonic()

    def was_read(self, what: Hashable, size: int) -> None:
        """Note that `what` was read just now, and how large it was, in characters."""
        if size <= _MOST_BYTES:
            self._until.put(what, time.monotonic() + _FRESH_SECONDS)
        else:
            self._until.pop(what)
