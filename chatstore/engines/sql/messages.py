"""The table of messages, within one transaction."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, cast

from chatstore import position
from chatstore.codec import encode
from chatstore.conditions import expiry, require_new_ids
from chatstore.contract import Clock, Cut, Draft, InsertAt, Span, ThreadKey
from chatstore.engines.sql.message_rows import (
    ENTRY,
    MESSAGE,
    NEXT,
    entry_of,
    fitting,
    message_of,
    parts_of,
    size_of,
    stays,
)
from chatstore.engines.sql.port import Row, Small, Transaction
from chatstore.engines.sql.rows import LIVING, Log
from chatstore.engines.sql.steps import Place, Step
from chatstore.errors import MessageExists, MessageNotFound
from chatstore.ids import uuid7
from chatstore.models import NAMED_BY_KEY, Appended, Cursor, Entries, Message, Page, to_micros

__all__ = ["Messages", "page_size", "small", "text_size"]

_INSERT = (
    "INSERT INTO messages (thread, position, id, text, created_at, expires_at, revision, metadata, key) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
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
        # What was cut is no neighbour: its positions are not used again, though its rows may be gone.
        behind = [cut.high for cut in log.cuts if cut.low < following]
        between = position.between(max([previous[0] if previous else position.START, *behind]), following)
        [message] = await self._store(log, [draft], [between])
        return message

    async def copy(self, origin: Log, place: Place, end: str | None) -> tuple[Place, bool]:
        """Copy on to `place` from `origin`, up to the position `end`, for one step; whether more is left."""
        step = Step()
        while True:
            span = Span(_MANY, place.after, end, max_bytes=_STEP_BYTES)
            rows, more = fitting(await self._rows(origin, span), span)
            slots = range(place.messages + 1, place.messages + len(rows) + 1)
            await self._tx.many(
                _INSERT,
                [
                    (
                        place.key,
                        position.nth(slot),
                        uuid7(created // 1000),
                        text,
                        created,
                        expires,
                        0,
                        *beside,
                    )
                    for slot, (text, _, _, created, _, expires, *beside) in zip(slots, rows, strict=True)
                ],
            )
            if rows:
                place = place._replace(messages=place.messages + len(rows), after=rows[-1][2])
            if not more or not step.goes_on():
                return place, more

    async def holds(self, log: Log, place: str | None) -> bool:
        """Whether there is still a message at a position; at None there always is."""
        if place is None:
            return True
        there = "SELECT 1 FROM messages WHERE thread = ? AND position = ?"
        return not log.is_cut(place) and await self._tx.one(there, log.key, place) is not None

    async def restore(self, key: ThreadKey, log: Log, messages: Sequence[Message]) -> Appended:
        """Store messages with their own ids and times at the last places of `log`, taken for them."""
        for message in messages:
            there = "SELECT position FROM messages WHERE thread = ? AND id = ?"
            row = await self._tx.one(there, log.key, message.id)
            present = row is not None and not await self._is_left(log, row[0])
            require_new_ids([message], [message.id] if present else [])
        await self.require_new_keys(key, log, messages)
        rows = [
            (
                message.text,
                message.id,
                position.nth(slot),
                to_micros(cast("datetime", message.created_at)),
                0,
                None if message.expires_at is None else to_micros(message.expires_at),
                encode(dict(message.metadata)) if message.metadata else None,
                message.key,
            )
            for slot, message in enumerate(messages, log.tail - len(messages) + 1)
        ]
        await self._tx.many(
            _INSERT,
            [
                (log.key, place, id, text, created, expires, revision, *beside)
                for text, id, place, created, revision, expires, *beside in rows
            ],
        )
        return Appended(tuple(map(message_of, rows)), log.etag)

    async def require_new_keys(
        self, key: ThreadKey, log: Log, drafts: Sequence[Draft] | Sequence[Message]
    ) -> None:
        """Raise MessageExists where a message has the key of one of `drafts`; one that is gone leaves it."""
        for draft in drafts:
            if draft.key is None:
                continue
            row = await self._tx.one(
                f"SELECT position, id, {LIVING} FROM messages WHERE thread = ? AND key = ?",
                self._clock(),
                log.key,
                draft.key,
            )
            if row is None:
                continue
            place, message_id, living = row
            if living and not await self._is_left(log, place):
                raise MessageExists(key.id, draft.key, message_id)
            if not living:
                await self._delete(log, place)

    async def _is_left(self, log: Log, place: str) -> bool:
        """Whether what stands at a position was cut away; its row is removed."""
        if log.is_cut(place):
            await self._delete(log, place)
            return True
        return False

    async def _delete(self, log: Log, place: str | None) -> None:
        await self._tx.remove("DELETE FROM messages WHERE thread = ? AND position = ?", log.key, place)

    async def _store(self, log: Log, drafts: Sequence[Draft], places: Sequence[str]) -> tuple[Message, ...]:
        now = self._clock()
        rows = [
            (
                log.key,
                place,
                uuid7(now // 1000),
                draft.text,
                now,
                expiry(now, draft.ttl),
                0,
                draft.metadata,
                draft.key,
            )
            for draft, place in zip(drafts, places, strict=True)
        ]
        await self._tx.many(_INSERT, rows)
        return tuple(
            message_of((text, id, place, now, 0, until, *beside))
            for _, place, id, text, _, until, _, *beside in rows
        )

    # Finding

    async def page(self, log: Log, span: Span) -> Page[Message]:
        """The messages of `span`, oldest first."""
        rows, rest = await self._page(log, span, MESSAGE)
        return Page(tuple(map(message_of, rows)), *rest)

    async def entries(self, log: Log, span: Span) -> Entries:
        """The same as text. Raises CorruptData."""
        rows, rest = await self._page(log, span, ENTRY)
        return Entries(",".join(map(entry_of, rows)), *rest)

    async def _page(
        self, log: Log, span: Span, columns: str
    ) -> tuple[list[Row], tuple[str | None, str, str]]:
        """The rows of `span`, oldest first, and the page's `next`, `end` and `etag`."""
        rows, more = fitting(await self._rows(log, span, columns), span)
        following = Cursor.at(log.epoch, rows[-1][2]) if more else None
        if span.newest:
            rows.reverse()
        end = rows[-1][2] if rows else span.after or position.START
        return rows, (following, Cursor.at(log.epoch, end), log.etag)

    async def bounded(self, key: ThreadKey, log: Log, span: Span) -> Span:
        """`span` with positions in place of the messages where it begins and ends. Raises MessageNotFound."""
        if span.after_message is not None:
            span = span._replace(after=(await self.named(key, log, span.after_message)).position)
        if span.before_message is not None:
            span = span._replace(before=(await self.named(key, log, span.before_message)).position)
        return span

    async def end(self, key: ThreadKey, log: Log, cut: Cut) -> str:
        """Where `cut` is: a position that sorts between those on its two sides, or is that behind it.

        Raises MessageNotFound.
        """
        place = cast("str", (await self.named(key, log, cut.message)).position)
        return f"{place}{NEXT}" if cut.behind else place

    async def named(self, key: ThreadKey, log: Log, named: str) -> Message:
        """The message of that id or key. Raises MessageNotFound."""
        column = "key" if named.startswith(NAMED_BY_KEY) else "id"
        row = await self._tx.one(
            f"SELECT {MESSAGE} FROM messages WHERE thread = ? AND {column} = ? AND {LIVING}",
            log.key,
            named.removeprefix(NAMED_BY_KEY) if column == "key" else named,
            self._clock(),
        )
        if row is None or log.is_cut(row[2]):
            raise MessageNotFound(key.id, named)
        return message_of(row)

    async def at_index(self, log: Log, index: int) -> Message | None:
        """The message at an index, counted from the nearer end."""
        order, distance = ("ASC", index) if index >= 0 else ("DESC", -index - 1)
        where, parameters = self._seen(log)
        row = await self._tx.one(
            f"SELECT {MESSAGE} FROM messages WHERE {where} ORDER BY position {order} LIMIT 1 OFFSET ?",
            *parameters,
            distance,
        )
        return None if row is None else message_of(row)

    async def count(self, log: Log) -> int:
        """How many messages there are."""
        where, parameters = self._seen(log)
        row = await self._tx.one(f"SELECT count(*) FROM messages WHERE {where}", *parameters)
        return cast("int", cast("Row", row)[0])

    def _seen(self, log: Log) -> tuple[str, list[object]]:
        """The condition on the rows of a thread that are messages, and its parameters."""
        where = [f"thread = ? AND {LIVING}", *["position NOT BETWEEN ? AND ?" for _ in log.cuts]]
        return " AND ".join(where), [log.key, self._clock(), *[end for cut in log.cuts for end in cut]]

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
            same = drafts[count : count + len(rows)]
            if len(same) < len(rows) or not all(map(stays, rows, same)):
                return None
            count += len(rows)
        return count

    async def _each(self, log: Log) -> AsyncIterator[list[Row]]:
        """All rows of a thread, oldest first, some at a time."""
        span = Span(_MANY, max_bytes=_STEP_BYTES)
        more = True
        while more:
            rows, more = fitting(await self._rows(log, span), span)
            yield rows
            if more:
                span = span._replace(after=rows[-1][2])

    async def _rows(self, log: Log, span: Span, columns: str = MESSAGE) -> list[Row]:
        """The rows of `span` in the direction of its reading, and one more where there are more."""
        order = "DESC" if span.newest else "ASC"
        sql = (
            f"SELECT {columns} FROM messages WHERE thread = ? AND position > ? AND position < ? "
            f"AND {LIVING} ORDER BY position {order} LIMIT ?"
        )
        rows: list[Row] = []
        left = sys.maxsize if span.max_bytes is None else span.max_bytes
        for low, high in parts_of(log, span):
            parameters = log.key, low, high, self._clock(), span.limit + 1 - len(rows)
            if span.max_bytes is None:
                rows += await self._tx.all(sql, *parameters)
            else:
                found = await self._tx.until(sql, *parameters, most=max(left, 0), size=size_of)
                rows += found
                left -= sum(map(size_of, found))
            if len(rows) > span.limit or (left < 0 and len(rows) > 1):
                break
        return rows

    # Changing

    async def replace(self, log: Log, message: Message, draft: Draft | None, metadata: str | None) -> None:
        """Give a message another text, unless `draft` is None, that `metadata` and another revision."""
        given = "" if draft is None else "text = ?, "
        await self._tx.remove(
            f"UPDATE messages SET {given}metadata = ?, revision = revision + 1 "
            "WHERE thread = ? AND position = ?",
            *(() if draft is None else (draft.text,)),
            metadata,
            log.key,
            message.position,
        )

    async def remove(self, log: Log, message: Message) -> None:
        """Remove one message."""
        await self._delete(log, message.position)

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
        where, parameters = self._seen(log)
        rows = await self._tx.all(f"SELECT id FROM messages WHERE {where} ORDER BY position", *parameters)
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
