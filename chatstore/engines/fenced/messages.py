"""Finding messages of a thread, by their place, their id or their index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from chatstore import position
from chatstore.callers import Bulk
from chatstore.contract import Clock, Cut, Draft, InsertAt, Span, ThreadKey
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import Change, View
from chatstore.engines.fenced.cuts import vacant
from chatstore.engines.fenced.header import Known, State
from chatstore.engines.fenced.keys import Keys
from chatstore.engines.fenced.pages import Filling, newest_page
from chatstore.engines.fenced.plans import Cutting, anew, cut_away, is_far
from chatstore.engines.fenced.reading import Head, Moved, Reader, chosen, short_text
from chatstore.engines.fenced.segments import Segment, Stored, new_message
from chatstore.errors import CursorExpired, MessageNotFound, ThreadNotFound
from chatstore.models import NAMED_BY_KEY, Message, Page

__all__ = ["Gap", "Messages"]


_NEAR = 128
_NEAR_ROWS = 48
"""Slots and rows behind a cut that are read, to be removed in its own group.

A group takes a hundred rows: these and 51 others at most. The others are the header, a request's result, the
row in which the cut lies, 16 rows of messages, and 16 names each of what goes and of what comes.
"""

_FEW = 16
"""Messages whose rows leave room for that in the group."""


class Gap(NamedTuple):
    """The gap in front of a message, given by its row and its place in there."""

    segment: Segment
    place: int


class Messages:
    """A thread's messages as `reader` finds them; raises Moved where the thread changed meanwhile."""

    def __init__(self, reader: Reader, keys: Keys) -> None:
        self._reader = reader
        self._keys = keys

    async def read(
        self, key: ThreadKey, partition: str, span: Span, known: Known | None, clock: Clock
    ) -> Page[Message]:
        """The messages of `span`, as of one moment, by a header that is remembered, if any.

        The time is asked for when an answer has told it. Raises ThreadNotFound where the span names a message
        of no thread, CursorExpired where its history has ended, and Moved where the remembered header no
        longer holds.
        """
        guess = known is not None and known.state is not None and is_far(known.state, span)
        if known is not None and guess:
            # The newest rows would not help: the header is looked at afterwards alone.
            head = Head(known)
        else:
            head = await self._reader.head(partition, span.limit + 1)
        view = View(key, partition, head.known, clock())
        state = view.state
        if guess and (state is None or span.epoch not in (None, state.epoch)):
            raise Moved
        if span.epoch is not None and (state is None or state.epoch != span.epoch):
            raise CursorExpired
        if state is None and (span.after_message is not None or span.before_message is not None):
            raise ThreadNotFound(key.id)
        if state is None:
            return Page(())
        page = newest_page(view, state, span, head)
        if page is not None:
            return page
        span, edge = await self._bounded(view, state, span, checked=not guess)
        return await self._page(view, state, span, edge, head, checked=not guess)

    async def _bounded(
        self, view: View, state: State, span: Span, *, checked: bool
    ) -> tuple[Span, str | None]:
        """The span by positions, but for the message where the read begins, if its id tells the slot.

        That one comes with the page: no request is spent on it.
        """
        span = span._replace(
            after_message=await self._id(view, span.after_message, checked=checked),
            before_message=await self._id(view, span.before_message, checked=checked),
        )
        edge = span.before_message if span.newest else span.after_message
        slot = None if edge is None or state.scattered else layout.slot_in(edge)
        if slot is not None:
            near = position.nth(slot)
            span = span._replace(before=near) if span.newest else span._replace(after=near)
        else:
            edge = None
        try:
            if span.after_message not in (None, edge):
                span = span._replace(after=await self._position(view, state, span.after_message))
            if span.before_message not in (None, edge):
                span = span._replace(before=await self._position(view, state, span.before_message))
        except MessageNotFound:
            if checked:
                raise
            raise Moved from None  # it may be newer than the header that was remembered
        return span, edge

    async def _id(self, view: View, named: str | None, *, checked: bool) -> str | None:
        try:
            return None if named is None else await self._keys.id_of(view, named)
        except MessageNotFound:
            if checked:
                raise
            raise Moved from None

    async def _position(self, view: View, state: State, named: str | None) -> str:
        segment, place = await self.named(view, state, named or "")
        return segment.messages[place].position

    async def _page(
        self, view: View, state: State, span: Span, edge: str | None, head: Head, *, checked: bool
    ) -> Page[Message]:
        """A page that begins at `edge`, if given; without `checked`, `state` may be an old one."""
        # The row in which a page of the newest ends holds nothing of it, if it holds one message.
        beside = int(span.before is not None) if edge is None else state.widest
        walk = self._reader.walk(
            view.partition, state, newest=span.newest, after=span.after, before=span.before,
            count=span.limit + 1 + beside, head=head,
        )  # fmt: skip
        filling = Filling(span, edge)
        async for segment in walk:
            if filling.take(segment, view.now):
                break
        if filling.edge is not None:
            await self._reader.unchanged(view.partition, state)
            raise MessageNotFound(view.key.id, filling.edge)
        if walk.beyond or not checked:
            present = await self._reader.unchanged(view.partition, state)
            if not checked:
                # A page that is full ends before whatever was appended since, any other one does not.
                if not present.lives(view.now) or (not filling.more and present.tail > state.tail):
                    raise Moved
                state = present
        return filling.page(state)

    async def named(self, view: View, state: State, message_id: str) -> tuple[Segment, int]:
        """A message's row and its place in there. Raises MessageNotFound."""
        id = await self._keys.id_of(view, message_id)
        found = await self._reader.find(view.partition, state, id)
        if found is None or not found[0].messages[found[1]].lives(view.now):
            # The thread itself may have gone meanwhile.
            await self._reader.unchanged(view.partition, state)
            raise MessageNotFound(view.key.id, message_id)
        return found

    async def to_change(self, view: View, state: State, named: str) -> tuple[Segment, int]:
        """As `named`, for a change: without a call if the message is in the row that this process wrote last.

        That row is as it was, or the change is refused: whoever changes a row changes the header, too. No
        message in it expires.
        """
        row = view.known.row
        if row is not None:
            segment = Segment.load(row.row, short_text(row.properties) or "")
            for place, one in enumerate(segment.messages):
                if one.id == named or (one.key is not None and f"{NAMED_BY_KEY}{one.key}" == named):
                    return segment, place
        return await self.named(view, state, named)

    async def cut(self, view: View, state: State, cut: Cut, added: int) -> Cutting:
        """What is left by a cut, where so many messages are to be added. Raises MessageNotFound.

        Near the end, the rows behind are found with the one where it lies, by one request.
        """
        id = await self._keys.id_of(view, cut.message)
        slot = None if state.scattered else layout.slot_in(id)
        if slot is None or added > _FEW or not state.tail - _NEAR <= slot <= state.tail:
            segment, place = await self.named(view, state, id)
            return cut_away(view, state, cut, segment, place, None)
        later: list[Segment] = []
        near = position.nth(slot)
        walk = self._reader.walk(
            view.partition, state, newest=True, count=state.tail - slot + state.widest + 1
        )
        async for segment in walk:
            for place, one in enumerate(segment.messages):
                if one.id == id and one.lives(view.now):
                    found = later if len(later) <= _NEAR_ROWS else None
                    return cut_away(view, state, cut, segment, place, found)
            if segment.messages[0].position <= near:
                break
            later.append(segment)
        await self._reader.unchanged(view.partition, state)
        raise MessageNotFound(view.key.id, cut.message)

    async def at_index(self, view: View, state: State, index: int) -> tuple[Segment, int] | None:
        """The message at an index, counted from the nearer end."""
        newest = index < 0
        left = -index - 1 if newest else index
        async for segment in self._reader.walk(view.partition, state, newest=newest, count=left + 1):
            places = [place for place, one in enumerate(segment.messages) if one.lives(view.now)]
            if left < len(places):
                return segment, places[::-1][left] if newest else places[left]
            left -= len(places)
        return None

    async def following(self, view: View, state: State, at: InsertAt) -> Gap | None:
        """The gap in front of the message that `at` names; None for the end."""
        found: tuple[Segment, int] | None
        if at.before is not None:
            found = await self.named(view, state, at.before)
        elif at.after is not None:
            segment, place = await self.named(view, state, at.after)
            if place + 1 < len(segment.messages):
                return Gap(segment, place + 1)
            after = segment.messages[-1].position
            async for segment in self._reader.walk(view.partition, state, newest=False, after=after):
                for one in chosen(segment.messages, after, None, view.now):
                    return Gap(segment, segment.messages.index(one))
            return None
        else:
            index = cast("int", at.index)
            found = await self.at_index(view, state, index)
            if found is None and index < 0:
                found = await self.at_index(view, state, 0)
        return None if found is None else Gap(*found)

    async def put_before(self, view: View, state: State, draft: Draft, gap: Gap) -> Change[Message]:
        """Insert into the row of the message before, which may have expired."""
        before = gap.segment.messages[gap.place].position
        home = gap.segment if gap.place else await self.row_before(view, state, before)
        earlier = () if home is None else [one for one in home.messages if one.position < before]
        low = earlier[-1].position if earlier else position.nth(state.base)
        free = vacant(state.cuts, low, before)
        if free is not None:
            home, low = None, free
        place = position.between(low, before)
        new = new_message(draft, place, view.now)
        if position.crowded(place):
            return await self.numbered_anew(view, state, new)
        state = state._replace(edits=state.edits + 1).touched(view.now)
        if home is None:
            return Change(new.message(), state, put=[Segment.of(state.epoch, [new])])
        messages = tuple(sorted((*home.messages, new), key=lambda one: one.position))
        return Change(new.message(), state, put=home._replace(messages=messages).halves())

    async def row_before(self, view: View, state: State, place: str) -> Segment | None:
        """The row of the last message before a position, which begins a row itself."""
        walk = self._reader.walk(view.partition, state, newest=True, before=place, count=2)
        async for segment in walk:
            if segment.messages[0].position < place:
                return segment
        return None

    async def numbered_anew(self, view: View, state: State, new: Stored) -> Change[Message]:
        """Begin another epoch, in which every message has a plain position again."""
        messages = [new]
        async for segment in self._reader.walk(view.partition, state, newest=False, count=1000):
            messages += segment.messages
        messages.sort(key=lambda one: one.position)
        numbered = [
            one._replace(position=position.nth(slot)) for slot, one in enumerate(messages, state.tail + 1)
        ]
        state = state._replace(edits=state.edits + 1, scattered=True)
        change = anew(view, state, numbered)
        [placed] = [one for one in numbered if one.id == new.id]
        return cast("Change[Message]", change)._replace(result=placed.message())

    async def kept(self, view: View, state: State, drafts: Sequence[Draft]) -> int | None:
        """How many messages there are, if they are the first of `drafts`; None if they are not."""
        count = 0
        walk = self._reader.walk(view.partition, state, newest=False, count=len(drafts) + 1)
        async for segment in walk:
            for one in segment.messages:
                if not one.lives(view.now):
                    continue
                if count == len(drafts) or not one.stays(drafts[count]):
                    return None
                count += 1
        if count == len(drafts):
            await self._reader.unchanged(view.partition, state)
        return count

    async def copied(
        self, origin: View, state: State, cut: Cut | None, bulk: Bulk
    ) -> tuple[str | None, list[Stored]]:
        """Copies of the living messages up to a cut, numbered from one, and the last one's id before.

        All of them are in memory then, as `bulk` is told.
        """
        end: Stored | None = None
        if cut is not None:
            segment, index = await self.named(origin, state, cut.message)
            end = segment.messages[index]
        last, found = None, list[Stored]()
        async for segment in self._reader.walk(origin.partition, state, newest=False, count=1000):
            await bulk.add(sum([len(one.text) for one in segment.messages]))
            for one in segment.messages:
                if end is not None and cut is not None and not _in_front(one, end, cut):
                    return last, found
                if one.lives(origin.now):
                    place = position.nth(len(found) + 1)
                    new = layout.message_id(one.created, place)
                    last = one.id
                    found.append(one._replace(id=new, position=place, revision=0))
        return last, found


def _in_front(one: Stored, end: Stored, cut: Cut) -> bool:
    return one.position < end.position or (cut.behind and one.position == end.position)
