"""Going over the rows of a history in order, past what was cut out of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import chain

from chatstore import position
from chatstore.engines.log import cuts, layout
from chatstore.engines.log.head import Head, target_of
from chatstore.engines.log.port import Row, Table
from chatstore.engines.log.records import Slot

__all__ = ["FIRST", "MOST", "Walk"]

FIRST, MOST = 16, 512


class Walk:
    """Goes over the rows of a history in order, a page at a time; each page is twice the one before."""

    def __init__(self, table: Table, head: Head, *, newest: bool = False, first: int = FIRST) -> None:
        self._table = table
        self._head = head
        self._newest = newest
        self._size = first
        self._end = position.nth(head.tail + 1)
        self.trips = 0
        self.passed = False

    def is_later(self, slot: Slot) -> bool:
        """Whether a row was written after the head was read.

        `passed` remembers that there was one, or one that was edited since.
        """
        later = slot.position >= self._end
        self.passed = self.passed or later or slot.edited > self._head.totals.edits
        return later

    async def rows(self, start: str | None) -> AsyncIterator[Slot]:
        """Rows from the one that may hold the position `start` on; from the end for None.

        What the newest slot decided is seen as applied. A row that it adds may come although it lies before
        `start`.
        """
        head, newest = self._head, self._newest
        waiting = None if head.settled else head.newest
        async for slot in self._stored(start):
            shown = slot
            if waiting is not None and waiting.effect is not None:
                at = waiting.effect.position
                if slot.position == at:
                    shown, waiting = target_of(waiting, slot) or slot, None
                elif (slot.position < at) == newest:
                    added = target_of(waiting, None)
                    waiting = None
                    if added is not None:
                        yield added
            yield shown
        if waiting is not None:
            added = target_of(waiting, None)
            if added is not None:
                yield added

    async def _stored(self, start: str | None) -> AsyncIterator[Slot]:
        head, newest, ranges = self._head, self._newest, self._head.totals.cuts
        after: str | None = None
        if start is None and newest and head.rows is not None:
            # The first of them was read to find the head.
            newest_first = chain(() if head.newest is None else (head.newest,), map(Slot.load, head.rows[1:]))
            for stored in newest_first:
                slot = cuts.shown(ranges, stored)
                if slot is not None:
                    yield slot
            if not head.more:
                return
            after = str(head.rows[-1]["sk"]) if head.rows else None
        for low, high in self._rows_between(cuts.spans(ranges, start, newest=newest)):
            if after is not None and after <= low:
                continue
            async for row in self._between(low, high, after if after is not None and after <= high else None):
                slot = cuts.shown(ranges, Slot.load(row))
                if slot is not None:
                    yield slot

    def _rows_between(self, spans: Sequence[tuple[str, str | None]]) -> list[tuple[str, str]]:
        """The names of the first and the last row of each span of positions."""
        epoch = self._head.epoch
        first, last = layout.in_epoch(epoch)
        return [
            (max(first, layout.slot_row(epoch, low)), last if high is None else layout.slot_row(epoch, high))
            for low, high in spans
        ]

    async def _between(self, low: str, high: str, after: str | None) -> AsyncIterator[Row]:
        more = True
        while more:
            found = await self._table.query(
                self._head.pk, low, high, limit=self._size, newest=self._newest, after=after
            )
            self.trips += 1
            for row in found.rows:
                yield row
            self._size = min(self._size * 2, MOST)
            more = found.more
            after = str(found.rows[-1]["sk"]) if found.rows else after
