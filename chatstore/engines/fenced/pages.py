"""Pages of messages: filled row by row, or made at once of the rows that came with the header."""

from __future__ import annotations

from chatstore import position
from chatstore.contract import Span
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import View
from chatstore.engines.fenced.header import State
from chatstore.engines.fenced.reading import Head, chosen, short_bodies, short_text
from chatstore.engines.fenced.segments import Segment, Stored, add_newest, newest_of
from chatstore.models import Cursor, Message, Page

__all__ = ["Filling", "newest_page"]


class Filling:
    """A page that is being filled, behind the message `edge` if there is one, which is still to come.

    `more` says that it is full, and something follows.
    """

    def __init__(self, span: Span, edge: str | None) -> None:
        self.edge = edge
        self.more = False
        self._span = span
        self._found: list[Stored] = []
        self._size = 0

    def take(self, segment: Segment, now: int) -> bool:
        """Take what belongs to the page; whether nothing more does."""
        if self.edge is not None:
            place = next((one.position for one in segment.messages if self._begins_at(one, now)), None)
            if place is None:
                return self._passed(segment)
            self.edge = None
            self._span = (
                self._span._replace(before=place) if self._span.newest else self._span._replace(after=place)
            )
        span, found = self._span, self._found
        messages = chosen(segment.messages, span.after, span.before, now)
        for one in reversed(messages) if span.newest else messages:
            large = False
            if span.max_bytes is not None:
                self._size += len(one.text.encode())
                large = self._size > span.max_bytes
            if len(found) == span.limit or (large and found):
                self.more = True
                return True
            found.append(one)
        return False

    def _begins_at(self, one: Stored, now: int) -> bool:
        return one.id == self.edge and one.lives(now)

    def _passed(self, segment: Segment) -> bool:
        """Whether the edge would have come by now: until it does, the span begins at its slot."""
        first = segment.messages[0].position
        if self._span.newest:
            return first <= (self._span.before or "")
        return layout.slots_around(first)[0] > int(self._span.after or 0)

    def page(self, state: State) -> Page[Message]:
        """The page as it is."""
        return _page([one.message() for one in self._found], self._span, state, more=self.more)


def newest_page(view: View, state: State, span: Span, head: Head) -> Page[Message] | None:
    """The page of the newest messages, if all of it came with the header, in short rows; else None."""
    if state.cuts or span != Span(span.limit, newest=True, max_bytes=span.max_bytes):
        return None
    newest, _ = layout.in_epoch(state.epoch, 0, state.tail)
    bodies = short_bodies(head.rows, newest)
    found = None if bodies is None or span.max_bytes is not None else newest_of(bodies, span.limit + 1)
    if found is not None:
        return _taken(found, span, state, head, span.limit)
    return _row_by_row(view, state, span, head, newest)


def _row_by_row(view: View, state: State, span: Span, head: Head, newest: str) -> Page[Message] | None:
    found: list[Message] = []
    limit, most, size = span.limit, span.max_bytes, 0
    for _, row, properties, _ in head.rows:
        if row < newest:
            continue  # it was appended since
        text = short_text(properties)
        if text is None:
            return None
        count = len(found)
        add_newest(found, text, view.now)
        if most is not None:
            for place, one in enumerate(found[count:], count):
                size += len(one.text.encode())
                if size > most and place:
                    limit = min(limit, place)
        if len(found) > limit:
            break
    return _taken(found, span, state, head, limit)


def _taken(found: list[Message], span: Span, state: State, head: Head, limit: int) -> Page[Message] | None:
    """The page of the first `limit` of what was found; None where there may be more of it behind the rows."""
    if len(found) > limit:
        return _page(found[:limit], span, state, more=True)
    return _page(found, span, state, more=False) if head.all else None


def _page(found: list[Message], span: Span, state: State, *, more: bool) -> Page[Message]:
    """The page of messages in the order in which they were found; `more` says that something follows."""
    items = found[::-1] if span.newest else found
    last = str(found[-1].position) if more else None
    end = str(items[-1].position) if items else span.after or position.START
    return Page(
        tuple(items),
        next=None if last is None else Cursor.at(state.epoch, last),
        end=Cursor.at(state.epoch, end),
        etag=state.etag,
    )
