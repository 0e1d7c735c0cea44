"""Work that grows with a thread, cut into steps: each is a transaction of its own, and short.

No other write can be made beside a transaction, so what one caller asks for must not be one transaction
as long as the caller's data. A history that is to go is first hidden, which takes as long as one row, and
removed step by step behind that. One that is copied is put together where nobody sees it, and then shown.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

__all__ = ["STEP_SECONDS", "Place", "Step"]

STEP_SECONDS = 0.02
_MOST_ROWS = 256


class Place(NamedTuple):
    """How far a copy has come.

    Its thread's `key`, and the `epoch` that tells it from another thread which has that key later; how many
    `messages` it has, and the position of the last one's original.
    """

    key: int
    epoch: str
    messages: int = 0
    after: str | None = None


class Step:
    """The time that one transaction may take, about."""

    def __init__(self) -> None:
        self._until = time.monotonic() + STEP_SECONDS

    def goes_on(self) -> bool:
        """Whether some of it is left."""
        return time.monotonic() < self._until

    async def repeat(
        self, remove: Callable[[int], Awaitable[int]], most: int | None = None
    ) -> tuple[int, bool]:
        """Call `remove` with how many rows it may remove, until it finds fewer or the time is over.

        Gives how many it removed, `most` at most, and whether there may be more. Begins with one row: a row
        may be as large as a message.
        """
        removed, count = 0, 1
        while True:
            asked = count if most is None else min(count, most - removed)
            found = await remove(asked) if asked else 0
            removed += found
            if found < asked:
                return removed, False
            if not asked or not self.goes_on():
                return removed, True
            count = min(2 * count, _MOST_ROWS)
