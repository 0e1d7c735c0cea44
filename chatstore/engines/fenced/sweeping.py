"""Removing what nobody needs: visits say which threads to look at, and when.

A visit is written down before the change that needs it, so that no change is forgotten; one too many does
nothing. The header's `due` says that there is one, so that most changes need none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from chatstore.engines.fenced import layout
from chatstore.engines.fenced.attempts import packed_rows
from chatstore.engines.fenced.counting import Count, Full, batches
from chatstore.engines.fenced.erasing import Eraser
from chatstore.engines.fenced.header import GRACE, Known, State, buried
from chatstore.engines.fenced.port import Entity, Op, Overtaken
from chatstore.engines.fenced.purging import KEPT, Purger
from chatstore.engines.fenced.reading import Moved
from chatstore.engines.fenced.segments import Segment
from chatstore.errors import ChatStoreError, StorageError, Unavailable
from chatstore.models import Swept

__all__ = ["Sweeper"]

_HOUR = 3_600_000_000
_AHEAD = (_HOUR, 24 * _HOUR, 32 * 24 * _HOUR, 10**16)


class Sweeper(Purger):
    """Makes the visits."""

    async def sweep(self, limit: int) -> Swept:
        """Make the visits that are due, until about `limit` rows are removed or threads looked at.

        A thread that cannot be swept is not in the way of others: the last step raises StorageError for it.
        """
        count = Count(limit)
        failed: list[tuple[str, ChatStoreError]] = []
        try:
            for visits in layout.VISITS:
                due = ("", f"{self._now + 1:017d}")
                async for visit in self._table.scan(visits, due, bodies=False):
                    count.check()
                    try:
                        await self._follow(visit, count)
                    except Unavailable:
                        raise
                    except ChatStoreError as error:
                        # Failures are not charged to the limit; otherwise a few broken threads
                        # could use up every sweep.
                        failed.append((layout.visit_of(visit.row)[1], error))
                        continue
                    count.charge(1)
        except Full:
            return Swept(count.threads, count.messages, count.requests, more=True)
        if failed:
            first, cause = failed[0]
            raise StorageError(f"threads not swept: {len(failed)}, the first, {first}: {cause}") from cause
        return Swept(count.threads, count.messages, count.requests, more=False)

    async def _follow(self, visit: Entity, count: Count) -> None:
        due, partition = layout.visit_of(visit.row)
        listing = visit.properties.get("o")
        try:
            if isinstance(listing, str):
                await Eraser(self._table, self._reader, self._now).settle(listing, partition)
            await self._visit(partition, due, count)
        except Overtaken:
            return  # somebody is writing to it: the visit stays for the next sweep
        # Who was kept from a change by this visit has written the same visit anew.
        with contextlib.suppress(Overtaken):
            await self._table.submit(visit.partition, [Op("delete", visit.row, {}, visit.etag)])

    async def _visit(self, partition: str, planned: int, count: Count) -> None:
        """Remove what is due in a thread, and see to it that somebody comes again if need be."""
        known = await self._reader.known(partition)
        state = known.state
        if state is not None and state.deleted is None and not state.lives(self._now):
            count.check()
            count.charge(1)
            known = await self.commit(partition, known, buried(state, self._now))
            count.threads += 1
        known = await self._purge_expired(partition, known, count)
        # After what has expired, of which pieces may be left.
        left: list[int] = []
        known = await self.purge(partition, known, count, left)
        if known.state is None:
            if planned + GRACE > self._now:
                left.append(planned + GRACE)  # its header may be on the way
            if left:
                await self.schedule(partition, min(left))
            return
        await self._plan_next(partition, known, [*left, *await self._next(partition)], count)

    async def _plan_next(self, partition: str, known: Known, due: list[int], count: Count) -> None:
        """Have somebody come again when the first of `due` is; or remove a thread of which nothing is left.

        The visit is there before the header that tells of it.
        """
        state = known.state or State("")
        if state.deleted is not None:
            gone = state.deleted + KEPT
            if not due and gone <= self._now:
                count.check()
                count.charge(await self._remove(partition, known))
                return
            due.append(max(gone, self._now + 1))
        elif state.expires is not None:
            due.append(state.expires)
        again = min(due, default=None)
        if again is not None:
            again = max(again, self._now + 1)
            await self.schedule(partition, again)
        # The rows that were cut away have been purged before.
        await self.commit(partition, known, state._replace(due=again, cuts=()))

    async def _purge_expired(self, partition: str, known: Known, count: Count) -> Known:
        """Remove the messages and the results of requests that have expired."""
        before = f"{self._now + 1:017d}"
        state = known.state
        if state is not None and state.deleted is None:
            own = layout.in_epoch(state.epoch, 0, state.tail)
            expired = self._table.scan(partition, own, before=before)
            async for rows in batches(expired, 20, count):
                known = await self._without_expired(partition, known, rows, count)
        fading = self._table.scan(partition, layout.FADING, before=before, bodies=False)
        async for rows in batches(fading, 100, count):
            await self._table.submit(partition, [Op("delete", row.row, {}, row.etag) for row in rows])
            count.requests += sum(row.row.startswith("r") for row in rows)
        return known

    async def _without_expired(
        self, partition: str, known: Known, rows: Iterable[Entity], count: Count
    ) -> Known:
        empty: list[Op] = []
        rest: list[Segment] = []
        gone = 0
        for row in rows:
            try:
                segment = await self._reader.segment(row)
            except Moved:
                raise Overtaken from None
            left = tuple(one for one in segment.messages if one.lives(self._now))
            gone += len(segment.messages) - len(left)
            if left:
                rest.append(segment._replace(messages=left))
            else:
                empty.append(Op("delete", row.row, {}))
        state = known.state or State("")
        header = Op("merge", layout.HEADER, {"s": state.dump()})
        written, pieces = packed_rows(self._table, layout.attempt(self._now), rest, [header, *empty])
        # If the header is another by then, nobody names them, and the rows stay as they are.
        await self._table.submit_all(partition, pieces)
        known = await self.commit(partition, known, state, [*empty, *written])
        count.messages += gone
        return known

    async def _next(self, partition: str) -> list[int]:
        """When the next message or result of a request expires."""
        for ahead in _AHEAD:
            before = f"{min(self._now + ahead, 10**17 - 1):017d}"
            found = [
                int(str(row.properties["x"]))
                async for row in self._table.scan(partition, ("m", "s"), before=before, bodies=False)
            ]
            if found:
                return [min(found)]
        return []

    async def _remove(self, partition: str, known: Known) -> int:
        """Remove the last of a thread: its rows in listings, then its header; how many that were."""
        state = known.state or State("")
        rows = [(listing, await self._table.get(listing, partition)) for listing in state.listings]
        # Whoever was about to write a row of a listing for this header must look again.
        known = await self.commit(partition, known, state)
        for listing, row in rows:
            if row is not None:
                await self._table.submit(listing, [Op("delete", row.row, {}, row.etag)])
        await self._table.submit(partition, [Op("delete", layout.HEADER, {}, known.etag)])
        return len(rows) + 1
