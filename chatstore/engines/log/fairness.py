"""Writers of several processes to one thread: none keeps the others from it.

Who knows a thread needs one call to write to it, and whoever comes to it two. So a process that writes
without a rest could have each slot. It rests now and then, for as long as others of its kind need. One that
is further from the storage needs longer. Once it has lost for a while it says so, in a row of its own, and
those who rest wait for it.

Nothing relies on it: the store decides who has a slot. A row that a killed process leaves holds a digest. It
counts for some seconds, and goes with a sweep.
"""

from __future__ import annotations

import contextlib

from chatstore.contract import Clock
from chatstore.engines.log import layout
from chatstore.engines.log.known import MOST_THREADS
from chatstore.engines.log.port import Key, Table
from chatstore.errors import StorageError
from chatstore.recent import Recent

__all__ = ["LONGEST_CONTEST", "Fairness"]

LONGEST_CONTEST = 10_000_000
"""Microseconds in which others may be faster, before it is said that nothing was written."""

_STREAK, _GAP = 300_000, 50_000
"""Microseconds in which a process may write to a thread without a rest, and what counts as none."""
_REST = 5
"""Writes that a rest is as long as: others look, and then write."""
_LONG_REST_SECONDS, _LONG_RESTS = 0.2, 5
"""A rest for who waits, and how many are made while the same one does."""


class Fairness:
    """Knows how long this process has written to threads, and who waits for them."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._streaks: Recent[str, tuple[int, int]] = Recent(MOST_THREADS)
        self._write_seconds = 0.01

    async def rest(self, pk: str) -> int:
        """Let others have a thread for a moment if this process has written to it for long. Gives since when.

        A rest costs one read, and one more for each time that it is made longer.
        """
        now = self._clock()
        since, last = self._streaks.pop(pk) or (now, now)
        if not 0 <= now - last < _GAP:
            return now
        if now - since <= _STREAK:
            return since
        await self._table.pause(self._write_seconds * _REST)
        for _ in range(_LONG_RESTS):
            if not await self._waits(pk):
                break
            await self._table.pause(_LONG_REST_SECONDS)
        return self._clock()

    def wrote(self, pk: str, since: int) -> None:
        """Note that a thread was written to, without a rest `since` then."""
        self._streaks.put(pk, (since, self._clock()))

    def took(self, micros: int) -> None:
        """Note how long a write takes, for as long as that are rests."""
        self._write_seconds = min(max(micros / 1e6, 0.001), 0.1)

    async def wait(self, at: Key) -> None:
        """Say, in that row, that a writer finds others faster. Costs one write."""
        with contextlib.suppress(StorageError):
            await self._table.write([{**at._asdict(), "v": self._clock()}])

    async def waited(self, at: Key) -> None:
        """Take back that it waits, whether it has written or gave up. Costs one write."""
        with contextlib.suppress(StorageError):
            await self._table.write([], [at])

    async def forget(self, now: int) -> None:
        """Remove what killed processes left. Costs one read where there is nothing."""
        found = await self._table.query(layout.WAITING, " ", "~", limit=1000)
        old = [Key(layout.WAITING, str(row["sk"])) for row in found.rows if int(row["v"]) < now - layout.HOUR]
        if old:
            await self._table.write([], old)

    async def _waits(self, pk: str) -> bool:
        with contextlib.suppress(StorageError):
            low, high = layout.waiting(pk, ""), layout.waiting(pk, "~")
            found = await self._table.query(layout.WAITING, low.sk, high.sk, limit=10)
            return any(abs(self._clock() - int(row["v"])) < LONGEST_CONTEST for row in found.rows)
        return False
