"""Finding rows of messages, within one transaction."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from typing import Any, cast

from chatstore.contract import Clock, Cut, Draft, InsertAt, Span, ThreadKey
from chatstore.engines.sql.message_rows import (
    ENTRY,
    MESSAGE,
    NEXT,
    entries_of,
    fitting,
    message_of,
    page_of,
    parts_of,
    size_of,
    stays,
)
from chatstore.engines.sql.port import Row, Small, Transaction
from chatstore.engines.sql.rows import LIVING, Log
from chatstore.errors import MessageNotFound
from chatstore.models import NAMED_BY_KEY, Entries, Message, Page

__all__ = ["MANY", "STEP_BYTES", "Finding", "page_size", "small", "text_size"]

MANY, STEP_BYTES = 500, 1_000_000
"""How many rows, and how much text of them, are read at once of what is longer."""
_SMALL_PAGE = 50
"""As many messages may be read at once, where a driver can."""


class Finding:
    """Finds rows of messages; one that has expired, or was cut away, is not there."""

    def __init__(self, tx: Transaction, clock: Clock) -> None:
        self._tx = tx
        self._clock = clock

    async def page(self, log: Log, span: Span) -> Page[Message]:
        """The messages of `span`, oldest first. Raises CorruptData."""
        return page_of(log, span, await self._rows(log, span))

    async def entries(self, log: Log, span: Span) -> Entries:
        """The messages of `span` as text, oldest first. Raises CorruptData."""
        return entries_of(log, span, await self._rows(log, span, ENTRY))

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
        span = Span(MANY, max_bytes=STEP_BYTES)
        more = True
        while more:
            rows, more = fitting(await self._rows(log, span), span)
            yield rows
            if more:
                span = span._replace(after=rows[-1][2])

    async def _rows(self, log: Log, span: Span, columns: str = MESSAGE) -> list[Row]:
        """The rows of `span` in the direction of its reading, and one more where there are more."""
        sql = _statement(columns, newest=span.newest)
        rows: list[Row] = []
        left = sys.maxsize if span.max_bytes is None else span.max_bytes
        parts = parts_of(log, span)
        for low, high in parts:
            parameters = log.key, low, high, self._clock(), span.limit + 1 - len(rows)
            if span.max_bytes is None:
                rows += await self._tx.all(sql, *parameters)
            else:
                found = await self._tx.until(sql, *parameters, most=max(left, 0), size=size_of)
                rows += found
                left -= sum(map(size_of, found)) if len(parts) > 1 else 0
            if len(rows) > span.limit or (left < 0 and len(rows) > 1):
                break
        return rows


@lru_cache(8)
def _statement(columns: str, *, newest: bool) -> str:
    return (
        f"SELECT {columns} FROM messages WHERE thread = ? AND position > ? AND position < ? "
        f"AND {LIVING} ORDER BY position {'DESC' if newest else 'ASC'} LIMIT ?"
    )


def small(key: ThreadKey, span: Span, size: Callable[[Any], int]) -> Small | None:
    """Names what `span` reads, if those are few rows."""
    return Small((key, span.limit), size) if span.limit <= _SMALL_PAGE else None


def page_size(page: Page[Message]) -> int:
    """How long the texts of a page are."""
    return sum([len(message.text) for message in page.items])


def text_size(entries: Entries) -> int:
    """How long a page is as text."""
    return len(entries.text)
