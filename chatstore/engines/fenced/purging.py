"""Removing a thread's rows that its header does not name, in one group with a write of that header.

Whoever looks at a header and removes rows afterwards may come too late: it stood still for hours, or its
clock is wrong, and what it takes for a leftover was acknowledged meanwhile. So no age makes a removal
safe here. A row goes together with a write of the header, on condition that this is still the header that
was looked at. A row comes to be named only with a write of the header, too. So either nobody has named the
row since, or the group changes nothing.

That write also stops whoever is about to name a row. Pieces of a large body are there before the header
that names them, and may be removed before it comes. Their writer compares with the header that it knew, is
refused, and writes new pieces by another name. Where there was no header, one is made that says that the
thread is deleted: who found none writes no pieces before it has made one, and is refused as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from chatstore.contract import Backend
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.counting import Count, batches
from chatstore.engines.fenced.header import GRACE, Known, State, buried
from chatstore.engines.fenced.port import Entity, Op, Overtaken
from chatstore.engines.fenced.reading import Moved, Reader
from chatstore.engines.fenced.table import Table
from chatstore.errors import CorruptData

__all__ = ["KEPT", "Purger", "noting"]

KEPT = Backend.request_window // timedelta(microseconds=1) + GRACE
"""How long the header of a deleted thread stays."""

_TRIES = 8


class Purger:
    """Removes rows, a thread at a time, and never one that a header names or may come to name."""

    def __init__(self, table: Table, reader: Reader, now: int) -> None:
        self._table = table
        self._reader = reader
        self._now = now

    async def purge(self, partition: str, known: Known, count: Count, due: list[int] | None = None) -> Known:
        """Remove the rows that the header does not name; the header as it is then. Raises Overtaken.

        With `due`, pieces stay whose writer may be about to name them, and `due` is told when they may go:
        so that a sweep does not make writers write twice. A group of removals is one request, and removes
        99 rows.
        """
        naming = _Naming(self._table, partition, known)
        most = self._table.dialect.group_rows - 1
        async for rows in batches(self._other_messages(partition, known), most, count):
            await self._discard(naming, rows, count)
        async for rows in batches(self._other_pieces(naming, due), most, count):
            await self._discard(naming, rows, count)
        return naming.known

    async def _other_messages(self, partition: str, known: Known) -> AsyncIterator[Entity]:
        generation = "~" if known.state is None else known.state.generation
        for rows in layout.other_generations(generation):
            async for row in self._table.scan(partition, rows):
                yield row

    async def _other_pieces(self, naming: _Naming, due: list[int] | None) -> AsyncIterator[Entity]:
        async for piece in self._table.scan(naming.partition, layout.CHUNKS, bodies=False):
            if await naming.names(piece.row):
                continue
            ends = layout.attempted(layout.chunk_owner(piece.row)[1]) + GRACE
            if due is not None and ends > self._now:
                due.append(ends)
            else:
                yield piece

    async def _discard(self, naming: _Naming, rows: Sequence[Entity], count: Count) -> None:
        """Remove those of `rows` that are not named. Who is overtaken looks at the header again."""
        held = {row.row: await self._held(row, count) for row in rows}
        for _ in range(_TRIES):
            unnamed = [row.row for row in rows if not await naming.names(row.row)]
            if not unnamed:
                return
            known = naming.known
            state = known.state or await self.bury(naming.partition, None)
            try:
                removals = [Op("delete", row, {}) for row in unnamed]
                naming.known = await self.commit(naming.partition, known, state, removals)
            except Overtaken as overtaken:
                naming.look_at(await self._reader.known(naming.partition))
                lost = overtaken.perhaps and await self._table.get(naming.partition, unnamed[0]) is None
                if not lost:
                    if naming.known.etag == known.etag:
                        raise  # another has removed some of the rows
                    continue
            count.messages += sum(held[row] for row in unnamed)
            return
        raise Overtaken

    async def _held(self, row: Entity, count: Count) -> int:
        """How many messages are in a row that is to be counted."""
        if row.row.startswith("p") or not count.counts(layout.generation_of(row.row)):
            return 0
        try:
            return len((await self._reader.segment(row)).messages)
        except (Moved, CorruptData):
            return 0  # another sweep was faster, or nobody can tell how many there were

    async def commit(self, partition: str, known: Known, state: State, ops: Sequence[Op] = ()) -> Known:
        """Write a header if it is still the one that is known, and `ops` with it. Raises Overtaken.

        The write has no name: a header remembers few, and they are for those who must know an outcome.
        """
        named = {"s": state.dump()}
        if known.etag is None:
            header = Op("insert", layout.HEADER, named)
        else:
            header = Op("merge" if state.deleted is None else "replace", layout.HEADER, named, known.etag)
        etag = (await self._table.submit(partition, [header, *ops]))[0]
        return Known(state, etag, known.properties if state.deleted is None else {})

    async def bury(self, partition: str, state: State | None) -> State:
        """What is to stay of a thread for a while, with a note by which a sweep removes it."""
        after = buried(state, self._now)
        if after.due is not None:
            return after
        await self.note(partition, self._now + KEPT)
        return after._replace(due=self._now + KEPT)

    async def note(self, partition: str, due: int, listing: str | None = None) -> None:
        """Have the sweep look at a thread when `due`, and at its row in a listing."""
        await self._table.submit(layout.note_partition(partition), [noting(partition, due, listing)])


def noting(partition: str, due: int, listing: str | None = None) -> Op:
    """Writes a note."""
    return Op("upsert", layout.note_row(due, partition), {} if listing is None else {"o": listing})


class _Naming:
    """Which rows the header names that is `known`; what was found out holds until it is another."""

    def __init__(self, table: Table, partition: str, known: Known) -> None:
        self.partition = partition
        self.known = known
        self._table = table
        self._attempts: dict[str, str] = {}

    def look_at(self, known: Known) -> None:
        """Go by another header from now on."""
        self.known = known
        self._attempts.clear()

    async def names(self, row: str) -> bool:
        """Whether a row of messages, or a piece, belongs to the thread.

        Asked after the header was read: what names a piece changes only with the header.
        """
        if row.startswith("m"):
            state = self.known.state
            return state is not None and layout.generation_of(row) == state.generation
        owner, attempt = layout.chunk_owner(row)
        if owner not in self._attempts:
            found = await self._table.get(self.partition, owner)
            named = "" if found is None else str(found.properties.get("n", ""))
            self._attempts[owner] = named.partition("|")[0]
        return self._attempts[owner] == attempt
