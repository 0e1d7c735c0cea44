"""How a thread's messages are found: rows in order, messages in rows, and large texts fetched."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable

from chatstore import position
from chatstore.batching import batches
from chatstore.contract import Span, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.finding import Finder, position_of, within
from chatstore.engines.log.head import Head, look
from chatstore.engines.log.port import Table
from chatstore.engines.log.records import Entry, Slot
from chatstore.engines.log.texts import Texts
from chatstore.engines.log.walking import FIRST, MOST, Walk
from chatstore.errors import (
    CorruptData,
    CursorExpired,
    MessageNotFound,
    ThreadNotFound,
    Unavailable,
)
from chatstore.models import Cursor, Message, Page

__all__ = ["Reader"]

_MOST_BYTES = 8_000_000
"""Of texts that are kept apart, in one trip."""

_LOOKS = 30
_PAUSE_SECONDS = 0.01


class Reader(Finder):
    """Reads the threads of a table."""

    def __init__(self, table: Table, clock: Callable[[], int], *, stale: bool = False) -> None:
        super().__init__(table)
        self._clock = clock
        self._stale = stale

    async def page(self, key: ThreadKey, span: Span) -> Page[Message]:
        """A page as one consistent view: what needs several trips is read again if it changed between.

        Raises CursorExpired where the span's history has ended, ThreadNotFound where it names a message of no
        thread, Unavailable where the thread keeps changing, and CorruptData.
        """
        pk = layout.thread_partition(key)
        named = span.after_message is not None or span.before_message is not None
        missing = False
        for attempt in range(_LOOKS):
            if attempt > 1:
                await self._table.pause(random.uniform(0, _PAUSE_SECONDS * attempt))  # noqa: S311 - guards nothing
            stale = self._stale and not attempt
            head = await look(self._table, pk, span.limit + 1 if _from_end(span) else 1, stale=stale)
            now = self._clock()
            thread = head.thread(key, now)
            if span.epoch is not None and (thread is None or head.public_epoch != span.epoch):
                if stale:
                    continue  # the cursor may come from a history that this view does not have yet
                raise CursorExpired
            if thread is None:
                if named:
                    raise ThreadNotFound(key.id)
                return Page(())
            try:
                found = await self._page_at(key, head, span, now)
            except CorruptData:
                # Its row may have been emptied while it was read.
                if missing:
                    raise
                missing, found = True, None
            if found is not None:
                return found
        raise Unavailable(
            f"thread {key.id!r} is edited faster than so much of it can be read: read shorter pages"
        )

    async def _page_at(self, key: ThreadKey, head: Head, asked: Span, now: int) -> Page[Message] | None:
        """A page of the thread as it is at `head`; None where it has changed since.

        Raises MessageNotFound, and CorruptData where a part is missing.
        """
        first = max(FIRST, min(asked.limit, MOST))
        walk = Walk(self._table, head, newest=asked.newest, first=first)
        try:
            span = await self._placed(key, head, asked, now)
            found, more = await self._collect(key, walk, span, now)
        except MessageNotFound:
            if (await look(self._table, head.pk)).is_at(head):
                raise
            return None
        looked_up = _names(span) != _names(asked)
        # An edit in between is met in its row, or in the slot that decided it.
        several = walk.trips + _from_end(asked) + looked_up > 1 or walk.passed
        if several and _edited(head, await look(self._table, head.pk)):
            return None
        texts = await self._with_texts(head.pk, found)
        if texts is None:
            raise CorruptData(f"thread {key.id!r}: a part of a message is missing")
        return _page(head, span, texts, more)

    async def _placed(self, key: ThreadKey, head: Head, span: Span, now: int) -> Span:
        """A span with the positions of the messages that it names. Raises MessageNotFound.

        The message that it begins at stays named where its id tells its position. Its row is on the way and
        shows whether it is there.
        """
        scattered = head.header is not None and head.header.scattered
        if span.after_message is not None:
            at = None if scattered or span.newest else position_of(span.after_message)
            if at is None:
                at = (await self.named(key, head, span.after_message, now)).entry.position
                span = span._replace(after_message=None)
            span = span._replace(after=at)
        if span.before_message is not None:
            at = position_of(span.before_message) if span.newest and not scattered else None
            if at is None:
                at = (await self.named(key, head, span.before_message, now)).entry.position
                span = span._replace(before_message=None)
            span = span._replace(before=at)
        return span

    async def _rows(self, key: ThreadKey, walk: Walk, span: Span, now: int) -> AsyncIterator[Slot]:
        """The rows of a span and behind it. Raises MessageNotFound where what it begins at is not there."""
        start = span.before if span.newest else span.after or position.START
        name = span.before_message if span.newest else span.after_message
        async for slot in walk.rows(start):
            if name is not None and start is not None:
                if within(slot, name, now) is not None:
                    name = None
                elif slot.position <= start if span.newest else slot.position > start:
                    break
            yield slot
        if name is not None:
            raise MessageNotFound(key.id, name)

    async def _collect(self, key: ThreadKey, walk: Walk, span: Span, now: int) -> tuple[list[Entry], bool]:
        """The entries of a page, in the order in which they are read, and whether more follow."""
        chosen: list[Entry] = []
        size = 0
        after, before = span.after or position.START, span.before
        async for slot in self._rows(key, walk, span, now):
            if walk.is_later(slot):
                # The page's etag does not know it, nor anything behind it.
                if span.newest:
                    continue
                break
            for entry in reversed(slot.messages) if span.newest else slot.messages:
                if entry.expired(now) or entry.position <= after:
                    continue
                if before is not None and entry.position >= before:
                    continue
                size += len(entry.text.encode()) if entry.blob is None else entry.blob.size
                full = span.max_bytes is not None and size > span.max_bytes
                if len(chosen) == span.limit or (chosen and full):
                    return chosen, True
                chosen.append(entry)
            ended = slot.position <= after if span.newest else before is not None and slot.position >= before
            if ended:
                break
        return chosen, False

    async def _with_texts(self, pk: str, entries: list[Entry]) -> list[Entry] | None:
        """The entries with the texts fetched that are kept apart; None where one is no longer there."""
        texts = Texts(self._table, pk)
        whole: list[Entry] = []
        for together in batches(entries, _apart, most=MOST, size_most=_MOST_BYTES):
            found = await texts.of(together)
            if found is None:
                return None
            whole += found
        return whole

    async def text(self, pk: str, entry: Entry) -> str | None:
        """An entry's text; None where it is kept apart and no longer there."""
        found = await Texts(self._table, pk).of([entry])
        return None if found is None else found[0].text

    async def message(self, head: Head, entry: Entry) -> Message:
        """A message with its text."""
        return (await _whole(Texts(self._table, head.pk), entry)).message()

    async def whole(self, head: Head, now: int) -> AsyncIterator[Entry]:
        """Every message with its text, from the oldest."""
        texts = Texts(self._table, head.pk)
        async for found in self.living(head, now):
            yield await _whole(texts, found.entry)

    # Single messages

    async def one(self, key: ThreadKey, message_id: str) -> Message:
        """The message of that id.

        Raises ThreadNotFound, MessageNotFound, CorruptData, and Unavailable where the thread keeps changing.
        """
        pk = layout.thread_partition(key)
        before = await look(self._table, pk)
        for _ in range(_LOOKS):
            now = self._clock()
            before.existing(key, now)
            try:
                found = await self.named(key, before, message_id, now)
                return await self.message(before, found.entry)
            except (MessageNotFound, CorruptData):
                head = await look(self._table, pk)
                if head.is_at(before):
                    raise
                # Its rows were changed behind the look: the thread ended, or went on in another epoch.
                before = head
        raise Unavailable(f"thread {key.id!r} changes faster than a message of it can be found")

    async def newest(self, head: Head, now: int) -> tuple[int, Entry | None]:
        """How many messages there are, and the newest with its text.

        One trip and no more for most; where messages have expiries, the thread is read whole.
        """
        count, last = 0, None
        async for found in self.living(head, now, newest=True):
            last = last or found.entry
            count += 1
            if not head.totals.expiring:
                count = head.totals.count - head.totals.gone
                break
        return count, None if last is None else await _whole(Texts(self._table, head.pk), last)


def _apart(entry: Entry) -> int:
    return 0 if entry.blob is None else entry.blob.size


async def _whole(texts: Texts, entry: Entry) -> Entry:
    found = await texts.of([entry])
    if found is None:
        raise CorruptData(f"a part of the message {entry.id!r} is missing")
    return found[0]


def _from_end(span: Span) -> bool:
    """Whether a page is of the newest messages, which are read with the head."""
    return span.newest and span.before is None and span.before_message is None


def _names(span: Span) -> tuple[str | None, str | None]:
    return span.after_message, span.before_message


def _edited(before: Head, after: Head) -> bool:
    return (before.epoch, before.totals.edits) != (after.epoch, after.totals.edits)


def _page(head: Head, span: Span, found: list[Entry], more: bool) -> Page[Message]:
    edge = found[-1] if more else None
    items = tuple(entry.message() for entry in (reversed(found) if span.newest else found))
    end = items[-1].position if items else span.after
    epoch = head.public_epoch
    return Page(
        items,
        next=None if edge is None else Cursor.at(epoch, edge.position),
        end=Cursor.at(epoch, end or position.START),
        etag=head.etag,
    )
