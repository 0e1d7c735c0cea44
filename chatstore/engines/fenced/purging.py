"""What a sweep and an erasure are made of: removing a thread's rows that its header does not name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from chatstore.engines.fenced import layout
from chatstore.engines.fenced.counting import Count, batches
from chatstore.engines.fenced.header import GRACE, Known, State
from chatstore.engines.fenced.port import Entity, Op, Overtaken
from chatstore.engines.fenced.reading import Moved, Reader
from chatstore.engines.fenced.table import Table
from chatstore.errors import CorruptData

__all__ = ["Purger"]


class Purger:
    """Removes rows, a thread at a time, and never one that a header names or may come to name."""

    def __init__(self, table: Table, reader: Reader, now: int) -> None:
        self._table = table
        self._reader = reader
        self._now = now

    async def purge(self, partition: str, state: State | None, count: Count) -> list[int]:
        """Remove rows that the header does not name; when those are due that it may be about to name."""
        due: list[int] = []
        generation = "~" if state is None else state.generation
        async for rows in batches(self._unnamed(partition, generation, due), 100, count):
            await self._discard(partition, rows, count)
        async for rows in batches(self._unnamed_pieces(partition, generation, due), 100, count):
            await self.delete(partition, [row.row for row in rows])
        return due

    async def _unnamed(self, partition: str, generation: str, due: list[int]) -> AsyncIterator[Entity]:
        later, earlier = layout.other_generations(generation)
        async for row in self._table.scan(partition, later):
            ends = layout.begun(layout.generation_of(row.row)) + GRACE
            if ends > self._now:
                due.append(ends)
            else:
                yield row
        async for row in self._table.scan(partition, earlier):
            yield row

    async def _unnamed_pieces(self, partition: str, generation: str, due: list[int]) -> AsyncIterator[Entity]:
        named: dict[str, str | None] = {}
        async for piece in self._table.scan(partition, layout.CHUNKS, bodies=False):
            owner, attempt = layout.chunk_owner(piece.row)
            if owner not in named:
                found = await self._table.get(partition, owner)
                named[owner] = None if found is None else str(found.properties.get("n", "")).partition("|")[0]
            if named[owner] == attempt:
                continue
            # What was written under this header or a later one sorts in front of it.
            dead = owner.startswith("m") and layout.generation_of(owner) > generation
            ends = layout.attempted(attempt) + GRACE
            if ends > self._now and not dead:
                due.append(ends)
            else:
                yield piece

    async def _discard(self, partition: str, rows: Sequence[Entity], count: Count) -> None:
        for row in rows:
            if count.living not in (None, layout.generation_of(row.row)):
                continue
            try:
                count.messages += len((await self._reader.segment(row)).messages)
            except (Moved, CorruptData):
                continue  # another sweep was faster, or nobody can tell how many there were
        await self.delete(partition, [row.row for row in rows])

    async def commit(self, partition: str, known: Known, state: State, ops: Sequence[Op] = ()) -> Known:
        """Write a header if it is still the one that is known. Raises Overtaken."""
        state = state.written(layout.attempt(self._now))
        named = {"s": state.dump()}
        if known.etag is None:
            header = Op("insert", layout.HEADER, named)
        else:
            header = Op("merge" if state.deleted is None else "replace", layout.HEADER, named, known.etag)
        etag = (await self._table.submit(partition, [header, *ops]))[0]
        return Known(state, etag, known.properties)

    async def note(self, partition: str, due: int) -> None:
        """Have the sweep look at a thread when `due`."""
        row = Op("upsert", layout.note_row(due, partition), {})
        await self._table.submit(layout.note_partition(partition), [row])

    async def delete(self, partition: str, rows: Sequence[str]) -> None:
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
