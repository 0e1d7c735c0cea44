"""Removing what nobody needs: notes say which threads to look at, and when.

A note is written before the change that needs it, so that no change is forgotten; one too many does
nothing. The header's `due` says that there is one, so that most changes need none.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta

from chatstore.backends.azure_tables import keys
from chatstore.backends.azure_tables.counting import Count, Full, batches
from chatstore.backends.azure_tables.header import Known, State, buried
from chatstore.backends.azure_tables.payload import pieces
from chatstore.backends.azure_tables.port import Entity, Op, Overtaken
from chatstore.backends.azure_tables.reading import Moved, Reader
from chatstore.backends.azure_tables.segments import Segment
from chatstore.backends.azure_tables.table import Table
from chatstore.backends.azure_tables.writing import GRACE, rewritten
from chatstore.contract import Backend
from chatstore.errors import ChatStoreError, CorruptData, StorageError, Unavailable
from chatstore.models import Erased, Swept

__all__ = ["Sweeper"]

_HOUR = 3_600_000_000
_AHEAD = (_HOUR, 24 * _HOUR, 32 * 24 * _HOUR, 10**16)
_KEPT = Backend.request_window // timedelta(microseconds=1) + GRACE
_TRIES = 20


class Sweeper:
    """Removes rows, a thread at a time, and never one that a header names or may come to name."""

    def __init__(self, table: Table, reader: Reader, now: int) -> None:
        self._table = table
        self._reader = reader
        self._now = now

    async def sweep(self, limit: int) -> Swept:
        """Follow the notes that are due, until about `limit` rows are removed or threads looked at.

        A thread that cannot be swept is not in the way of others: the last step raises StorageError for it.
        """
        count = Count(limit)
        failed: list[tuple[str, ChatStoreError]] = []
        try:
            for notes in keys.NOTES:
                due = ("", f"{self._now + 1:017d}")
                async for note in self._table.scan(notes, due, bodies=False):
                    count.check()
                    try:
                        await self._follow(note, count)
                    except Unavailable:
                        raise
                    except ChatStoreError as error:
                        # It costs nothing, or enough of them would leave nothing for the others.
                        failed.append((keys.noted(note.row)[1], error))
                        continue
                    count.charge(1)
        except Full:
            return Swept(count.threads, count.messages, count.requests, more=True)
        if failed:
            first, cause = failed[0]
            raise StorageError(f"threads not swept: {len(failed)}, the first, {first}: {cause}") from cause
        return Swept(count.threads, count.messages, count.requests, more=False)

    async def erase(self, tenant: str, owner: str) -> Erased:
        """Remove an owner's threads, and what is left of earlier ones, at once."""
        listing, count = keys.listing(tenant, owner), Count()
        async for row in self._table.scan(listing, bodies=False):
            for _ in range(_TRIES):
                if await self._erased(listing, row.row, count):
                    break
            else:
                raise Unavailable("others kept writing to a thread while it was erased: erase again")
        return Erased(count.threads, count.messages, count.requests)

    # Sweeping

    async def _follow(self, note: Entity, count: Count) -> None:
        due, partition = keys.noted(note.row)
        try:
            await self._visit(partition, due, count)
        except Overtaken:
            return  # somebody is writing to it: the note stays for the next sweep
        # Who was kept from a change by this visit has written the same note anew.
        with contextlib.suppress(Overtaken):
            await self._table.submit(note.partition, [Op("delete", note.row, {}, note.etag)])

    async def _visit(self, partition: str, noted: int, count: Count) -> None:
        """Remove what is due in a thread, and see to it that somebody comes again if need be."""
        known = await self._reader.known(partition)
        state = known.state
        if state is not None and state.deleted is None and not state.lives(self._now):
            count.check()
            count.charge(1)
            known = await self._commit(partition, known, buried(state, self._now))
            state = known.state
            count.threads += 1
        left = await self._purge(partition, state, count)
        if state is None:
            if noted + GRACE > self._now:
                left.append(noted + GRACE)  # its header may be on the way
            if left:
                await self._note(partition, min(left))
            return
        known = await self._purge_expired(partition, known, count)
        state = known.state or state
        due = [*left, *await self._next(partition)]
        if state.deleted is not None:
            gone = state.deleted + _KEPT
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
            await self._note(partition, again)
        await self._commit(partition, known, state._replace(due=again))

    async def _purge(self, partition: str, state: State | None, count: Count) -> list[int]:
        """Remove rows that the header does not name; when those are due that it may be about to name."""
        due: list[int] = []
        generation = "~" if state is None else state.generation
        async for rows in batches(self._unnamed(partition, generation, due), 100, count):
            await self._discard(partition, rows, count)
        async for rows in batches(self._unnamed_pieces(partition, generation, due), 100, count):
            await self._delete(partition, [row.row for row in rows])
        return due

    async def _unnamed(self, partition: str, generation: str, due: list[int]) -> AsyncIterator[Entity]:
        later, earlier = keys.other_generations(generation)
        async for row in self._table.scan(partition, later):
            ends = keys.begun(keys.generation_of(row.row)) + GRACE
            if ends > self._now:
                due.append(ends)
            else:
                yield row
        async for row in self._table.scan(partition, earlier):
            yield row

    async def _unnamed_pieces(self, partition: str, generation: str, due: list[int]) -> AsyncIterator[Entity]:
        named: dict[str, str | None] = {}
        async for piece in self._table.scan(partition, keys.CHUNKS, bodies=False):
            owner, attempt = keys.chunk_owner(piece.row)
            if owner not in named:
                found = await self._table.get(partition, owner)
                named[owner] = None if found is None else str(found.properties.get("n", "")).partition("|")[0]
            if named[owner] == attempt:
                continue
            # What was written under this header or a later one sorts in front of it.
            dead = owner.startswith("m") and keys.generation_of(owner) > generation
            ends = keys.attempted(attempt) + GRACE
            if ends > self._now and not dead:
                due.append(ends)
            else:
                yield piece

    async def _discard(self, partition: str, rows: Sequence[Entity], count: Count) -> None:
        for row in rows:
            if count.living not in (None, keys.generation_of(row.row)):
                continue
            try:
                count.messages += len((await self._reader.segment(row)).messages)
            except (Moved, CorruptData):
                continue  # another sweep was faster, or nobody can tell how many there were
        await self._delete(partition, [row.row for row in rows])

    async def _purge_expired(self, partition: str, known: Known, count: Count) -> Known:
        """Remove the messages and the results of requests that have expired."""
        before = f"{self._now + 1:017d}"
        state = known.state
        if state is not None and state.deleted is None:
            own = keys.in_generation(state.generation, 0, state.tail)
            expired = self._table.scan(partition, own, before=before)
            async for rows in batches(expired, 20, count):
                known = await self._without_expired(partition, known, rows, count)
        records = self._table.scan(partition, keys.RECORDS, before=before, bodies=False)
        async for rows in batches(records, 100, count):
            await self._table.submit(partition, [Op("delete", row.row, {}, row.etag) for row in rows])
            count.requests += len(rows)
        return known

    async def _without_expired(
        self, partition: str, known: Known, rows: Iterable[Entity], count: Count
    ) -> Known:
        ops: list[Op] = []
        early: list[Op] = []
        gone = 0
        for row in rows:
            try:
                segment = await self._reader.segment(row)
            except Moved:
                raise Overtaken from None
            left = tuple(one for one in segment.messages if one.lives(self._now))
            gone += len(segment.messages) - len(left)
            if not left:
                ops.append(Op("delete", row.row, {}))
                continue
            written, parts = rewritten(Segment(row.row, left), self._now)
            ops.append(written)
            early += parts
        await self._table.submit_all(partition, early)
        known = await self._commit(partition, known, known.state or State(""), ops)
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
        known = await self._commit(partition, known, state)
        for listing, row in rows:
            if row is not None:
                await self._table.submit(listing, [Op("delete", row.row, {}, row.etag)])
        await self._table.submit(partition, [Op("delete", keys.HEADER, {}, known.etag)])
        return len(rows) + 1

    # Erasing

    async def _erased(self, listing: str, partition: str, count: Count) -> bool:
        """Erase what a row of a listing names; False where somebody wrote there meanwhile."""
        row = await self._table.get(listing, partition)
        if row is None:
            return True
        try:
            known = await self._reader.known(partition)
            state, named = known.state, known.properties
            owned = state is not None and state.deleted is None and state.listings[0] == listing
            if state is None or owned:
                after = buried(state, self._now)
                if after.due is None:
                    after = after._replace(due=self._now + _KEPT)
                    await self._note(partition, self._now + _KEPT)
            else:
                after = state
            after = after._replace(listings=tuple(one for one in after.listings if one != listing))
            known = await self._commit(partition, known, after)
            count.threads += owned
            count.living = state.generation if state is not None and owned else ""
            own = [
                one
                async for one in self._table.scan(partition, keys.RECORDS, bodies=False)
                if one.properties.get("o") == listing
            ]
            parts = [piece for one in own for piece in pieces(one.row, one.properties)]
            if owned:
                parts += pieces(keys.HEADER, named)
            await self._delete(partition, [*(one.row for one in own), *parts])
            count.requests += len(own)
            await self._purge(partition, after, count)
            await self._table.submit(listing, [Op("delete", partition, {}, row.etag)])
        except Overtaken:
            return False
        return True

    # Steps of both

    async def _commit(self, partition: str, known: Known, state: State, ops: Sequence[Op] = ()) -> Known:
        """Write a header if it is still the one that is known. Raises Overtaken."""
        state = state.written(keys.attempt(self._now))
        named = {"s": state.dump()}
        if known.etag is None:
            header = Op("insert", keys.HEADER, named)
        else:
            header = Op("merge" if state.deleted is None else "replace", keys.HEADER, named, known.etag)
        etag = (await self._table.submit(partition, [header, *ops]))[0]
        return Known(state, etag, known.properties)

    async def _note(self, partition: str, due: int) -> None:
        row = Op("upsert", keys.note_row(due, partition), {})
        await self._table.submit(keys.note_partition(partition), [row])

    async def _delete(self, partition: str, rows: Sequence[str]) -> None:
        """Remove rows that may be gone already."""
        for start in range(0, len(rows), 100):
            some = rows[start : start + 100]
            try:
                await self._table.submit(partition, [Op("delete", row, {}) for row in some])
            except Overtaken:
                for row in some:
                    try:
                        await self._table.submit(partition, [Op("delete", row, {})])
                    except Overtaken:
                        continue
