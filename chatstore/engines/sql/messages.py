"""The table of messages, within one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, cast

from chatstore import position
from chatstore.conditions import expiry, message_etag, require_new_ids
from chatstore.contract import Clock, Draft, InsertAt, Span, ThreadKey
from chatstore.engines.sql.port import Row, Small, Transaction
from chatstore.engines.sql.steps import Place, Step
from chatstore.engines.sql.threads import LIVING, Log
from chatstore.errors import CorruptData, MessageNotFound
from chatstore.ids import uuid7
from chatstore.models import Appended, Cursor, Entries, Message, Page, from_micros, to_micros
from chatstore.wire import entry_text

__all__ = ["Messages", "page_size", "small", "text_size"]

_MESSAGE = "text, id, position, created_at, revision, expires_at"
_ENTRY = f"{_MESSAGE}, json_valid(text)"
_INSERT = (
    "INSERT INTO messages (thread, position, id, text, created_at, expires_at, revision) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_END = "~"
"""Sorts behind every position."""
_NEXT = " "
"""Behind a position, sorts in front of every other that follows it."""

_MANY, _STEP_BYTES = 500, 1_000_000
_SMALL_PAGE = 50
"""As many messages may be read at once, where a driver can."""


class Messages:
    """Finds, adds and changes rows of messages; one that has expired is not there."""

    def __init__(self, tx: Transaction, clock: Clock) -> None:
        self._tx = tx
        self._clock = clock

    # Adding

    async def add(self, log: Log, drafts: Sequence[Draft], kept: int = 0) -> Appended:
        """Store `drafts` at the last places of `log`, which were taken for them."""
        slots = range(log.tail - len(drafts) + 1, log.tail + 1)
        return Appended(
            await self._store(log, drafts, [position.nth(slot) for slot in slots]), log.etag, kept
        )

    async def put_before(self, log: Log, draft: Draft, following: str) -> Message:
        """Store `draft` right in front of the position `following`."""
        previous = await self._tx.one(
            "SELECT position FROM messages WHERE thread = ? AND position < ? ORDER BY position DESC LIMIT 1",
            log.key,
            following,
        )
        between = position.between(previous[0] if previous else position.START, following)
        [message] = await self._store(log, [draft], [between])
        return message

    async def copy(self, origin: Log, place: Place, last: str | None) -> tuple[Place, bool]:
        """Copy on to `place` from `origin`, up to the position `last`, for one step; whether more is left."""
        step = Step()
        while True:
            span = Span(_MANY, place.after, None if last is None else f"{last}{_NEXT}", max_bytes=_STEP_BYTES)
            rows, more = _fitting(await self._rows(origin, span), span)
            slots = range(place.messages + 1, place.messages + len(rows) + 1)
            await self._tx.many(
                _INSERT,
                [
                    (place.key, position.nth(slot), uuid7(created // 1000), text, created, expires, 0)
                    for slot, (text, _, _, created, _, expires) in zip(slots, rows, strict=True)
                ],
            )
            if rows:
                place = place._replace(messages=place.messages + len(rows), after=rows[-1][2])
            if not more or not step.goes_on():
                return place, more

    async def restore(self, log: Log, messages: Sequence[Message]) -> Appended:
        """Store messages with their own ids and times at the last places of `log`, taken for them."""
        for message in messages:
            there = "SELECT 1 FROM messages WHERE thread = ? AND id = ?"
            present = await self._tx.one(there, log.key, message.id) is not None
            require_new_ids([message], [message.id] if present else [])
        rows = [
            (
                message.text,
                message.id,
                position.nth(slot),
                to_micros(cast("datetime", message.created_at)),
                0,
                None if message.expires_at is None else to_micros(message.expires_at),
            )
            for slot, message in enumerate(messages, log.tail - len(messages) + 1)
        ]
        await self._tx.many(
            _INSERT,
            [
                (log.key, place, id, text, created, expires, revision)
                for text, id, place, created, revision, expires in rows
            ],
        )
        return Appended(tuple(map(_message, rows)), log.etag)

    async def _store(self, log: Log, drafts: Sequence[Draft], places: Sequence[str]) -> tuple[Message, ...]:
        now = self._clock()
        rows = [
            (log.key, place, uuid7(now // 1000), draft.text, now, expiry(now, draft.ttl), 0)
            for draft, place in zip(drafts, places, strict=True)
        ]
        await self._tx.many(_INSERT, rows)
        return tuple(_message((text, key, place, now, 0, until)) for _, place, key, text, _, until, _ in rows)

    # Finding

    async def page(self, log: Log, span: Span) -> Page[Message]:
        """The messages of `span`, oldest first."""
        rows, rest = await self._page(log, span, _MESSAGE)
        return Page(tuple(map(_message, rows)), *rest)

    async def entries(self, log: Log, span: Span) -> Entries:
        """The same as text. Raises CorruptData."""
        rows, rest = await self._page(log, span, _ENTRY)
        return Entries(",".join(map(_entry, rows)), *rest)

    async def _page(
        self, log: Log, span: Span, columns: str
    ) -> tuple[list[Row], tuple[str | None, str, str]]:
        """The rows of `span`, oldest first, and the page's `next`, `end` and `etag`."""
        rows, more = _fitting(await self._rows(log, span, columns), span)
        following = Cursor.at(log.epoch, rows[-1][2]) if more else None
        if span.newest:
            rows.reverse()
        end = rows[-1][2] if rows else span.after or position.START
        return rows, (following, Cursor.at(log.epoch, end), log.etag)

    async def named(self, key: ThreadKey, log: Log, message_id: str) -> Message:
        """The message of that id. Raises MessageNotFound."""
        row = await self._tx.one(
            f"SELECT {_MESSAGE} FROM messages WHERE thread = ? AND id = ? AND {LIVING}",
            log.key,
            message_id,
            self._clock(),
        )
        if row is None:
            raise MessageNotFound(key.id, message_id)
        return _message(row)

    async def at_index(self, log: Log, index: int) -> Message | None:
        """The message at an index, counted from the nearer end."""
        order, distance = ("ASC", index) if index >= 0 else ("DESC", -index - 1)
        row = await self._tx.one(
            f"SELECT {_MESSAGE} FROM messages WHERE thread = ? AND {LIVING} "
            f"ORDER BY position {order} LIMIT 1 OFFSET ?",
            log.key,
            self._clock(),
            distance,
        )
        return None if row is None else _message(row)

    async def following(self, key: ThreadKey, log: Log, at: InsertAt) -> str | None:
        """The position of the message in front of which `at` is; None for the end."""
        found: Message | None
        if at.before is not None:
            found = await self.named(key, log, at.before)
        elif at.after is not None:
            previous = await self.named(key, log, at.after)
            page = await self.page(log, Span(1, after=previous.position))
            found = page.items[0] if page else None
        else:
            index = cast("int", at.index)
            found = await self.at_index(log, index)
            if found is None and index < 0:
                found = await self.at_index(log, 0)
        return None if found is None else found.position

    async def kept(self, log: Log, drafts: Sequence[Draft]) -> int | None:
        """How many messages there are, if they are the first of `drafts`; None if they are not."""
        count = 0
        async for rows in self._each(log):
            texts = [row[0] for row in rows]
            if texts != [draft.text for draft in drafts[count : count + len(texts)]]:
                return None
            count += len(texts)
        return count

    async def _each(self, log: Log) -> AsyncIterator[list[Row]]:
        """All rows of a thread, oldest first, some at a time."""
        span = Span(_MANY, max_bytes=_STEP_BYTES)
        more = True
        while more:
            rows, more = _fitting(await self._rows(log, span), span)
            yield rows
            if more:
                span = span._replace(after=rows[-1][2])

    async def _rows(self, log: Log, span: Span, columns: str = _MESSAGE) -> list[Row]:
        """The rows of `span` in the direction of its reading, and one more where there are more."""
        order = "DESC" if span.newest else "ASC"
        sql = (
            f"SELECT {columns} FROM messages WHERE thread = ? AND position > ? AND position < ? "
            f"AND {LIVING} ORDER BY position {order} LIMIT ?"
        )
        parameters = log.key, span.after or "", span.before or _END, self._clock(), span.limit + 1
        if span.max_bytes is None:
            rows = await self._tx.all(sql, *parameters)
        else:
            rows = await self._tx.until(sql, *parameters, most=span.max_bytes, size=_size)
        return list(rows)

    # Changing

    async def replace(self, log: Log, message_id: str, draft: Draft) -> None:
        """Give a message another text and another revision."""
        await self._tx.remove(
            "UPDATE messages SET text = ?, revision = revision + 1 WHERE thread = ? AND id = ?",
            draft.text,
            log.key,
            message_id,
        )

    async def remove(self, log: Log, message: Message) -> None:
        """Remove one message."""
        await self._tx.remove(
            "DELETE FROM messages WHERE thread = ? AND position = ?", log.key, message.position
        )

    async def remove_expired(self, step: Step, most: int) -> tuple[int, bool]:
        """Remove messages that have expired, in any thread: how many, and whether some may be left."""

        async def some(count: int) -> int:
            return await self._tx.remove(
                "DELETE FROM messages WHERE (thread, position) IN "
                "(SELECT thread, position FROM messages WHERE expires_at <= ? LIMIT ?)",
                self._clock(),
                count,
            )

        return await step.repeat(some, most)

    async def number_anew(self, log: Log) -> int:
        """Give every message of a thread a plain position again, above all present ones; how many."""
        rows = await self._tx.all("SELECT id FROM messages WHERE thread = ? ORDER BY position", log.key)
        places = [(position.nth(log.tail + count), log.key, *row) for count, row in enumerate(rows, 1)]
        await self._tx.many("UPDATE messages SET position = ? WHERE thread = ? AND id = ?", places)
        return len(places)


def small(key: ThreadKey, span: Span, size: Callable[[Any], int]) -> Small | None:
    """Names what `span` reads, if those are few rows."""
    return Small((key, span.limit), size) if span.limit <= _SMALL_PAGE else None


def page_size(page: Page[Message]) -> int:
    """How long the texts of a page are."""
    return sum([len(message.text) for message in page.items])


def text_size(entries: Entries) -> int:
    """How long a page is as text."""
    return len(entries.text)


def _fitting(rows: list[Row], span: Span) -> tuple[list[Row], bool]:
    """The rows that fit into a page, in the direction of reading, and whether more follow."""
    chosen = rows[: span.limit]
    if span.max_bytes is not None:
        size = 0
        for count, row in enumerate(chosen):
            size += _size(row)
            if count and size > span.max_bytes:
                chosen = chosen[:count]
                break
    return chosen, len(chosen) < len(rows)


def _size(row: Row) -> int:
    """How many bytes of UTF-8 the text of a message is. That of ASCII is known without writing them."""
    text = row[0]
    if type(text) is not str:
        return 0  # damaged: whoever shows it says so
    return len(text) if text.isascii() else len(text.encode())


def _entry(row: Row) -> str:
    """A row as text. Raises CorruptData: a column of SQLite's holds anything."""
    text, message_id, place, created, revision, expires, is_json = row
    if type(text) is not str:
        raise _damaged(row)
    # The database has looked at the text, but it may end for it where a character is zero.
    if not is_json or text[:1] != "{" or "\0" in text:
        raise CorruptData(f"the stored text of message {message_id!r} is damaged")
    return entry_text(text, message_id, place, created, expires, message_etag(message_id, revision))


def _message(row: Row) -> Message:
    """The message of a row. Raises CorruptData, which names it and says nothing of what is stored."""
    text, message_id, place, created, revision, expires = row
    if type(text) is not str:
        raise _damaged(row)
    try:
        return Message(
            text,
            message_id,
            place,
            from_micros(created),
            message_etag(message_id, revision),
            None if expires is None else from_micros(expires),
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise _damaged(row) from error


def _damaged(row: Row) -> CorruptData:
    return CorruptData(f"the row of message {row[1]!r}, at position {row[2]!r}, is damaged")
