"""Finding messages of a thread, by their place, their id or their index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from chatstore import position
from chatstore.conditions import expiry
from chatstore.contract import Draft, InsertAt, Span
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import Change, View
from chatstore.engines.fenced.header import State
from chatstore.engines.fenced.plans import anew
from chatstore.engines.fenced.reading import Head, Moved, Reader, chosen
from chatstore.engines.fenced.segments import Segment, Stored
from chatstore.errors import MessageNotFound
from chatstore.models import Cursor, Message, Page

__all__ = ["Gap", "Messages"]


class Gap(NamedTuple):
    """The gap in front of a message, given by its row and its place in there."""

    segment: Segment
    place: int


class Messages:
    """A thread's messages as `reader` finds them; raises Moved where the thread changed meanwhile."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(self, view: View, state: State, span: Span, head: Head, *, checked: bool) -> Page[Message]:
        """The messages of `span`, as of one moment; without `checked`, `state` may be an old one."""
        walk = self._reader.walk(
            view.partition, state, newest=span.newest,
            after=span.after, before=span.before, count=span.limit + 1, head=head if checked else None,
        )  # fmt: skip
        found: list[Stored] = []
        size, more = 0, False
        async for segment in walk:
            messages = chosen(segment.messages, span.after, span.before, view.now)
            for one in reversed(messages) if span.newest else messages:
                size += len(one.text.encode()) if span.max_bytes is not None else 0
                more = len(found) == span.limit or bool(
                    found and span.max_bytes is not None and size > span.max_bytes
                )
                if more:
                    break
                found.append(one)
            if more:
                break
        if walk.beyond or not checked:
            present = await self._reader.unchanged(view.partition, state)
            if not checked:
                # A page that is full ends before whatever was appended since, any other one does not.
                if not present.lives(view.now) or (not more and present.tail > state.tail):
                    raise Moved
                state = present
        items = found[::-1] if span.newest else found
        end = items[-1].position if items else span.after or position.START
        return Page(
            tuple(one.message() for one in items),
            next=Cursor.at(state.generation, found[-1].position) if more else None,
            end=Cursor.at(state.generation, end),
            etag=state.etag,
        )

    async def named(self, view: View, state: State, message_id: str) -> tuple[Segment, int]:
        """A message's row and its place in there. Raises MessageNotFound."""
        found = await self._reader.find(view.partition, state, message_id)
        if found is None or not found[0].messages[found[1]].lives(view.now):
            # The thread itself may have gone meanwhile.
            await self._reader.unchanged(view.partition, state)
            raise MessageNotFound(view.key.id, message_id)
        return found

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
            for later in range(place + 1, len(segment.messages)):
                if segment.messages[later].lives(view.now):
                    return Gap(segment, later)
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
        place = position.between(earlier[-1].position if earlier else position.nth(state.base), before)
        expires = expiry(view.now, draft.ttl)
        new = Stored(layout.message_id(view.now, place), place, view.now, 0, expires, draft.text)
        if position.crowded(place):
            return await self.numbered_anew(view, state, new)
        state = state._replace(edits=state.edits + 1).touched(view.now)
        if home is None:
            return Change(new.message(), state, put=[Segment.of(state.generation, [new])])
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
        """Begin another generation, in which every message has a plain position again."""
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
                if count == len(drafts) or drafts[count].text != one.text:
                    return None
                count += 1
        if count == len(drafts):
            await self._reader.unchanged(view.partition, state)
        return count

    async def copied(self, origin: View, state: State, last: str | None) -> list[Stored]:
        """Copies of the living messages up to a position, numbered from one."""
        found: list[Stored] = []
        async for segment in self._reader.walk(origin.partition, state, newest=False, count=1000):
            for one in segment.messages:
                if last is not None and one.position > last:
                    return found
                if one.lives(origin.now):
                    place = position.nth(len(found) + 1)
                    found.append(
                        one._replace(id=layout.message_id(one.created, place), position=place, revision=0)
                    )
        return found
