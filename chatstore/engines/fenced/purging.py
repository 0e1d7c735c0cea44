"""Removing a thread's rows that its header does not name, in one group with a write of that header.

Whoever looks at a header and removes rows afterwards may come too late. It stood still for hours, or its
clock is wrong, and what it takes for a leftover was acknowledged meanwhile. So no age makes a removal
safe here. A row goes together with a write of the header, on condition that this is still the header that
was looked at. A row comes to be named only with a write of the header, too. So either nobody has named the
row since, or the group changes nothing.

That write also stops whoever is about to name a row. Pieces of a large body are there before the header
that names them, and may be removed before it comes. Their writer compares with the header that it knew, is
refused, and writes new pieces by another name. Where there was no header, one is made that says that the
thread is deleted. Whoever found none writes no pieces before it has made one, and is refused as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

from chatstore.contract import Backend
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.counting import Count, batches
from chatstore.engines.fenced.cuts import cut_off
from chatstore.engines.fenced.header import GRACE, Known, State, buried, heading
from chatstore.engines.fenced.port import Entity, Op
from chatstore.engines.fenced.reading import Moved, Reader
from chatstore.engines.fenced.table import Table
from chatstore.errors import CorruptData
from chatstore.wire import micros_of

__all__ = ["KEPT", "Purger", "visiting"]

KEPT = micros_of(Backend.request_window) + GRACE
"""How long the header of a deleted thread stays."""


class Purger:
    """Removes rows, a thread at a time, and never one that a header names or may come to name."""

    def __init__(self, table: Table, reader: Reader, now: int) -> None:
        self._table = table
        self._reader = reader
        self._now = now

    async def purge(self, partition: str, known: Known, count: Count, due: list[int]) -> Known:
        """Remove the rows that the header does not name; the header as it is then. Raises Overtaken.

        Pieces stay whose writer may be about to name them, and `due` is told when they may go: so that a
        sweep does not make writers write twice. A group is one request, and removes 99 rows.
        """
        strays = self.strays(partition, known.state, due=due)
        async for rows in batches(strays, self.group, count):
            state = known.state or await self.bury(partition, None)
            known, messages = await self.discard(partition, known, state, rows, count.living)
            count.messages += messages
        return known

    @property
    def group(self) -> int:
        """How many rows are removed together with a header."""
        return self._table.dialect.group_rows - 1

    async def strays(
        self,
        partition: str,
        state: State | None,
        *,
        listings: Collection[str] = (),
        due: list[int] | None = None,
    ) -> AsyncIterator[Entity]:
        """The rows that a header of that `state` does not name, and results of requests of `listings`.

        To be asked for after the header that is to be compared with was read. Pieces come last, so that
        nothing that names one outlives it. With `due`, those stay that may come to be named.
        """
        async for row in self._messages(partition, state or State("~")):
            yield row
        pieces: list[Entity] = []
        async for row in self._table.scan(partition, layout.BESIDE, bodies=False):
            if row.row.startswith("p"):
                pieces.append(row)
            elif row.row.startswith("q"):
                if not await self._keeps_name(partition, state, row):
                    yield row
            elif row.properties.get("o") in listings:
                yield row
        naming = _Naming(self._table, partition, state, listings)
        for piece in pieces:
            if await naming.names(piece.row):
                continue
            ends = layout.attempted(layout.chunk_owner(piece.row)[1]) + GRACE
            if due is not None and ends > self._now:
                due.append(ends)
            else:
                yield piece

    async def without_cuts(self, partition: str, known: Known) -> Known:
        """Remove the rows that were cut away, so that the header need not name them. Raises Overtaken."""
        state = known.state or State("")
        async for rows in batches(self._cut_away(partition, state), self.group, Count()):
            known, _ = await self.discard(partition, known, state, rows, set())
        return await self.commit(partition, known, state._replace(cuts=()))

    async def _keeps_name(self, partition: str, state: State | None, row: Entity) -> bool:
        """Whether the message may be there whose name a row keeps."""
        if state is None or state.deleted is not None:
            return False
        told = str(row.properties.get("a", ""))
        epoch, place = told[: len(state.epoch)], told[len(state.epoch) :]
        if epoch == state.epoch:
            return not cut_off(state.cuts, layout.message_row(epoch, place))
        # Where a history was numbered anew its names are as they were.
        id = str(row.properties.get("i", ""))
        return state.scattered and await self._reader.find(partition, state, id) is not None

    async def _messages(self, partition: str, state: State) -> AsyncIterator[Entity]:
        """The rows of messages that a header does not name."""
        for others in layout.other_epochs(state.epoch):
            async for row in self._table.scan(partition, others):
                yield row
        async for row in self._cut_rows(partition, state):
            yield row

    async def _cut_away(self, partition: str, state: State) -> AsyncIterator[Entity]:
        """The rows that were cut away, and those of their names."""
        async for row in self._cut_rows(partition, state):
            yield row
        async for row in self._table.scan(partition, layout.KEYS, bodies=False):
            if not await self._keeps_name(partition, state, row):
                yield row

    async def _cut_rows(self, partition: str, state: State) -> AsyncIterator[Entity]:
        for first, last in state.cuts:
            slots = layout.in_epoch(state.epoch, layout.slots_around(first)[0], last)
            async for row in self._table.scan(partition, slots):
                if cut_off(state.cuts, row.row):
                    yield row

    async def discard(
        self, partition: str, known: Known, state: State, rows: Sequence[Entity], living: set[str] | None
    ) -> tuple[Known, int]:
        """Write a header, and remove `rows` with it. Raises Overtaken where it is not the one that is known.

        The header as it is then, and how many messages were removed: of the `living` epochs, or all.
        """
        held = sum([await self._held(row, living) for row in rows])
        known = await self.commit(partition, known, state, [Op("delete", row.row, {}) for row in rows])
        return known, held

    async def _held(self, row: Entity, living: set[str] | None) -> int:
        """How many messages are in a row that is to be counted."""
        counts = living is None or layout.epoch_of(row.row) in living
        if not (row.row.startswith("m") and counts):
            return 0
        try:
            return len((await self._reader.segment(row)).messages)
        except (Moved, CorruptData):
            return 0  # another sweep was faster, or nobody can tell how many there were

    async def commit(self, partition: str, known: Known, state: State, ops: Sequence[Op] = ()) -> Known:
        """Write a header if it is still the one that is known, and `ops` with it. Raises Overtaken.

        The write has no name: a header remembers few, and they are for those who must know an outcome.
        """
        etag = (await self._table.submit(partition, [heading(state, known.etag), *ops]))[0]
        return Known(state, etag, known.properties if state.deleted is None else {})

    async def bury(self, partition: str, state: State | None) -> State:
        """What is to stay of a thread for a while, with a visit by which a sweep removes it."""
        after = buried(state, self._now)
        if after.due is not None:
            return after
        await self.schedule(partition, self._now + KEPT)
        return after._replace(due=self._now + KEPT)

    async def schedule(self, partition: str, due: int, listing: str | None = None) -> None:
        """Have the sweep look at a thread when `due`, and at its row in a listing."""
        await self._table.submit(layout.visit_partition(partition), [visiting(partition, due, listing)])


def visiting(partition: str, due: int, listing: str | None = None) -> Op:
    """Writes down a visit to a thread at `due`, and to its row in a listing."""
    return Op("upsert", layout.visit_row(due, partition, listing), {} if listing is None else {"o": listing})


class _Naming:
    """Which pieces belong to a thread whose header says `state`, when what is of `listings` is gone."""

    def __init__(self, table: Table, partition: str, state: State | None, listings: Collection[str]) -> None:
        self._table = table
        self._partition = partition
        self._state = state
        self._listings = listings
        self._attempts: dict[str, str] = {}

    async def names(self, piece: str) -> bool:
        """Whether the row that a piece is of stays, and names this very piece."""
        owner, attempt = layout.chunk_owner(piece)
        if owner not in self._attempts:
            self._attempts[owner] = await self._named_by(owner)
        return self._attempts[owner] == attempt

    async def _named_by(self, owner: str) -> str:
        """The attempt whose pieces a row names; none if it is to go."""
        state = self._state
        if state is None or (owner == layout.HEADER and state.deleted is not None):
            return ""
        if owner.startswith("m") and (layout.epoch_of(owner) != state.epoch or cut_off(state.cuts, owner)):
            return ""
        found = await self._table.get(self._partition, owner)
        if found is None or found.properties.get("o") in self._listings:
            return ""
        return str(found.properties.get("n", "")).partition("|")[0]
