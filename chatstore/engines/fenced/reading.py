"""Finding a thread's header and messages, in one consistent view."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from chatstore import position
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.cuts import around, cut_off
from chatstore.engines.fenced.header import Known, State
from chatstore.engines.fenced.payload import Bare, alone, pieces, plain, unpack
from chatstore.engines.fenced.port import Entity, Properties
from chatstore.engines.fenced.segments import Segment, Stored
from chatstore.engines.fenced.table import Table
from chatstore.errors import CorruptData
from chatstore.recent import Recent

__all__ = ["Head", "Moved", "Reader", "Seen", "Walk", "chosen", "short_bodies", "short_text"]

T = TypeVar("T")


class Aside(Protocol):
    """Does beside the event loop what would keep it, where there is one; as `Backend.aside`."""

    async def __call__(self, caller: tuple[str, str | None], call: Callable[[], T]) -> T: ...


_REMEMBERED = 4096
_SHORT_BYTES = 4096
"""So much is decompressed and decoded where it is; a thousand times as much may come of it, in 10 ms."""
_LEAST, _MOST = 16, 1000
_ANYWHERE = 100
"""So many rows are read at once where a message may be in any."""


class Moved(Exception):
    """The thread changed while it was read, so that what was found is of no one moment."""


class Head(NamedTuple):
    """A header, and the newest rows of messages where the same call brought them along.

    With `all`, there are no older ones.
    """

    known: Known
    rows: Sequence[Entity] = ()
    all: bool = False


class Seen:
    """Headers as they were seen last: good enough to write from, since a write compares."""

    def __init__(self) -> None:
        self._known: Recent[str, Known] = Recent(_REMEMBERED)

    def get(self, partition: str) -> Known | None:
        """The header as it was seen last, without the thread's properties."""
        return self._known.get(partition)

    def put(self, partition: str, known: Known) -> None:
        """Remember a header that is there."""
        row = known.row
        body = None if row is None else alone(row.properties)
        is_short = body is not None and len(body) <= _SHORT_BYTES
        self._known.put(partition, known if is_short else Known(known.state, known.etag))

    def drop(self, partition: str) -> None:
        """Forget a header."""
        self._known.pop(partition)


class Reader:
    """Reads a thread's partition."""

    def __init__(self, table: Table, seen: Seen, aside: Aside) -> None:
        self._table = table
        self._seen = seen
        self.aside = aside

    async def known(self, partition: str) -> Known:
        """The header as it is now."""
        return self._found(partition, await self._table.get(partition, layout.HEADER))

    async def head(self, partition: str, count: int) -> Head:
        """The header, and where the table keeps its rows in order, the newest `count` rows with it."""
        if not self._table.dialect.ordered:
            return Head(await self.known(partition))
        page = await self._table.page(partition, layout.HEAD, count + 1)
        header, rows = None, list[Entity]()
        for entity in page.entities:
            if entity.row == layout.HEADER:
                header = entity
            else:
                rows.append(entity)
        if header is None and page.token is not None:
            # An empty page with a token says nothing yet.
            return Head(await self.known(partition))
        known = self._seen.get(partition)
        if known is None or header is None or known.etag != header.etag:
            # No etag comes twice, so what it names need not be read again.
            known = self._found(partition, header)
        if known.state is None:
            return Head(known)
        epoch, bare = known.state.epoch, page.rest
        if isinstance(bare, Bare) and layout.epoch_of(bare.first) == epoch == layout.epoch_of(bare.last):
            return Head(known, bare, page.token is None)
        rows += bare
        rows.sort(key=_row)
        own = rows
        if rows and not layout.epoch_of(rows[0].row) == epoch == layout.epoch_of(rows[-1].row):
            own = [row for row in rows if layout.epoch_of(row.row) == epoch]
        if len(own) < len(rows) and own != rows[: len(own)]:
            # A history that is only being written sorts in front.
            return Head(known)
        return Head(known, own, page.token is None or len(own) < len(rows))

    async def unchanged(self, partition: str, state: State) -> State:
        """The state now. Raises Moved if the history is not what `state` says, but for what was appended."""
        now = (await self.known(partition)).state
        if now is None or not now.same_history(state):
            raise Moved
        return now

    async def properties(self, partition: str, known: Known) -> str:
        """The text of a thread's properties, of a header that was read. Raises Moved."""
        return await self.text(Entity(partition, layout.HEADER, known.properties, known.etag or ""))

    async def text(self, entity: Entity) -> str:
        """The body of a row, with its pieces. Raises Moved where they are gone."""
        parts = await self._parts(entity)
        return await self._decoded(entity, parts, lambda: unpack(parts))

    async def segment(self, entity: Entity) -> Segment:
        """The messages of a row."""
        short = short_text(entity.properties)
        if short is not None:
            return Segment.load(entity.row, short)
        parts = await self._parts(entity)
        large = bool(pieces(entity.row, entity.properties))
        return await self._decoded(
            entity, parts, lambda: Segment.load(entity.row, unpack(parts), large=large)
        )

    async def _decoded(self, entity: Entity, parts: Sequence[Properties], decode: Callable[[], T]) -> T:
        stored = sum([len(value) for part in parts for value in part.values() if isinstance(value, bytes)])
        if stored <= _SHORT_BYTES:
            return decode()
        # Threads take turns here, as it is not known whose this one is.
        return await self.aside(("", entity.partition), decode)

    async def _parts(self, entity: Entity) -> Sequence[Properties]:
        named = pieces(entity.row, entity.properties)
        if not named:
            return [entity.properties]
        parts: list[Properties] = []
        for row in named:
            piece = await self._table.get(entity.partition, row)
            if piece is None:
                if await self._stays(entity):
                    raise CorruptData("a part of a stored body is missing")
                raise Moved
            parts.append(piece.properties)
        return parts

    async def _stays(self, entity: Entity) -> bool:
        """Whether a row is as it was read, and is still of the history, if it holds messages.

        Whoever replaced it has changed it before its pieces went. Where a history has ended, pieces may go
        before the rows that name them.
        """
        if await self._table.get(entity.partition, entity.row) != entity:
            return False
        if not entity.row.startswith("m"):
            return True
        state = (await self.known(entity.partition)).state
        if state is None or state.deleted is not None:
            return False
        return layout.epoch_of(entity.row) == state.epoch and not cut_off(state.cuts, entity.row)

    def walk(
        self,
        partition: str,
        state: State,
        *,
        newest: bool,
        after: str | None = None,
        before: str | None = None,
        count: int = _LEAST,
        head: Head | None = None,
    ) -> Walk:
        """Rows that may hold messages between two positions, of which about `count` are wanted."""
        return Walk(self, self._table, partition, state, newest, after, before, count, head)

    async def find(self, partition: str, state: State, id: str) -> tuple[Segment, int] | None:
        """The row of a message, and its place in there; None if it is nowhere."""
        slot = layout.slot_in(id)
        if slot is None and not state.scattered:
            return None
        place = None if slot is None or state.scattered else position.nth(slot)
        first = "~" if place is None else layout.message_row(state.epoch, place)
        count = _ANYWHERE if place is None else 1 if self._table.dialect.ordered else state.widest
        async for segment in self.walk(partition, state, newest=True, before=place, count=count):
            for index, one in enumerate(segment.messages):
                if one.id == id:
                    return segment, index
            if segment.row >= first:
                break
        return None

    def _found(self, partition: str, entity: Entity | None) -> Known:
        if entity is None:
            self._seen.drop(partition)
            return Known()
        known = Known(State.load(entity.properties.get("s")), entity.etag, entity.properties)
        before = self._seen.get(partition)
        if before is None or before.etag != known.etag:
            self._seen.put(partition, known)
        return known


class Walk:
    """Rows in the order of reading, those of `head` first; `beyond` says whether it asked for more.

    Rows above the state's tail were appended later, and are left out.
    """

    def __init__(
        self, reader: Reader, table: Table, partition: str, state: State, newest: bool,
        after: str | None, before: str | None, count: int, head: Head | None,
    ) -> None:  # fmt: skip
        self.beyond = False
        self._reader = reader
        self._table = table
        self._partition = partition
        self._state = state
        self._newest = newest
        self._count = max(count, 1)
        # Before the first slot there are only messages that were inserted.
        self._width = self._count + 1
        self._head = head
        # A row that begins below may reach above; where a position is no slot, any near it will do.
        low = state.base if after is None else layout.slots_around(after)[0] - state.widest + 1
        self._low = max(low, state.base)
        self._high = state.tail if before is None else min(state.tail, layout.slots_around(before)[1])

    async def __aiter__(self) -> AsyncIterator[Segment]:
        read: str | None = None
        head = self._head
        if head is not None and self._begins_with(head):
            newest = layout.in_epoch(self._state.epoch, 0, self._state.tail)[0]
            for entity in head.rows if self._newest else reversed(head.rows):
                if entity.row >= newest and not (self._state.cuts and self._cut_off(entity)):
                    yield await self._reader.segment(entity)
            if head.all or not self._newest:
                return
            if head.rows:
                read = head.rows[-1].row
                self._high = min(self._high, layout.slot_of(read))
        async for entity in self._rows(read):
            yield await self._reader.segment(entity)

    def _begins_with(self, head: Head) -> bool:
        if head.all:
            return True
        reaches = bool(head.rows) and layout.slot_of(head.rows[-1].row) < self._low
        return self._newest or reaches

    async def _rows(self, read: str | None) -> AsyncIterator[Entity]:
        for low, high in self._windows():
            self.beyond = True
            start, end = layout.in_epoch(self._state.epoch, low, high)
            within = (start if read is None else max(start, f"{read}!"), end)
            if self._newest and self._table.dialect.ordered:
                async for entity in self._table.scan(self._partition, within, self._count):
                    if not self._cut_off(entity):
                        yield entity
                continue
            found = [entity async for entity in self._table.scan(self._partition, within)]
            found.sort(key=_row, reverse=not self._newest)
            for entity in found:
                if not self._cut_off(entity):
                    yield entity

    def _cut_off(self, entity: Entity) -> bool:
        return cut_off(self._state.cuts, entity.row)

    def _windows(self) -> Iterable[tuple[int, int]]:
        """Slots from and to, in the order of reading; they widen, for where few messages are left."""
        width = self._width
        spans = list(around(self._state.cuts, self._low, self._high))
        for low, high in reversed(spans) if self._newest else spans:
            if self._newest and self._table.dialect.ordered:
                yield low, high
                continue
            start, end = low, high
            while start <= end:
                part = (
                    (max(start, end - width + 1), end)
                    if self._newest
                    else (start, min(end, start + width - 1))
                )
                yield part
                start, end = (start, part[0] - 1) if self._newest else (part[1] + 1, end)
                width = min(max(width * 2, _LEAST), _MOST)


def _row(entity: Entity) -> str:
    return entity.row


def short_text(properties: Properties) -> str | None:
    """The text of a row that is short and holds its body itself; None for any other."""
    body = alone(properties)
    return plain(body) if body is not None and len(body) <= _SHORT_BYTES else None


def short_bodies(rows: Sequence[Entity], newest: str) -> Sequence[bytes] | None:
    """The bodies of rows that came bare, if all are short, and none is newer than `newest`."""
    if not isinstance(rows, Bare) or rows.first < newest or max(map(len, rows.bodies)) > _SHORT_BYTES:
        return None
    return rows.bodies


def chosen(messages: Iterable[Stored], after: str | None, before: str | None, now: int) -> list[Stored]:
    """Those between two positions that have not expired."""
    low = position.START if after is None else after
    return [
        one
        for one in messages
        if low < one.position
        and (before is None or one.position < before)
        and (one.expires is None or one.expires > now)
    ]
