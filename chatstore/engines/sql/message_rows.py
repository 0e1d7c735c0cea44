"""Rows of messages: their columns, what is made of them, and which of them are a page."""

from __future__ import annotations

from chatstore import position
from chatstore.codec import Json, decode, is_object
from chatstore.conditions import message_etag
from chatstore.contract import Draft, Span
from chatstore.engines.sql.port import Row
from chatstore.engines.sql.rows import Log
from chatstore.errors import CorruptData
from chatstore.models import Cursor, Entries, Message, Page, from_micros
from chatstore.wire import entries_text, plain_entry

__all__ = [
    "ENTRY",
    "MESSAGE",
    "NEXT",
    "entries_of",
    "fitting",
    "message_of",
    "page_of",
    "parts_of",
    "size_of",
    "stays",
]

MESSAGE = "text, id, position, created_at, revision, expires_at, metadata, key"
ENTRY = f"{MESSAGE}, json_valid(text)"

_MOST_BYTES = 4
"""Of a character in UTF-8."""

_END = "~"
"""Sorts behind every position."""
NEXT = " "
"""Behind a position, sorts in front of every other that follows it."""


def fitting(rows: list[Row], span: Span) -> tuple[list[Row], bool]:
    """The rows that fit into a page, in the direction of reading, and whether more follow."""
    chosen = rows[: span.limit]
    # Most pages fit whatever the characters of their texts are, and are not measured exactly.
    if span.max_bytes is not None and _characters(chosen) * _MOST_BYTES > span.max_bytes:
        size = 0
        for count, row in enumerate(chosen):
            size += size_of(row)
            if count and size > span.max_bytes:
                chosen = chosen[:count]
                break
    return chosen, len(chosen) < len(rows)


def _characters(rows: list[Row]) -> int:
    return sum([len(row[0]) for row in rows if type(row[0]) is str])


def parts_of(log: Log, span: Span) -> list[tuple[str, str]]:
    """The bounds, outside of what is read, of the parts of `span` that were not cut, as they are read.

    So nobody walks through what was cut, however long it is.
    """
    low, end = span.after or "", span.before or _END
    if not log.cuts:
        return [(low, end)]
    parts: list[tuple[str, str]] = []
    for cut in log.cuts:
        parts.append((low, min(cut.low, end)))
        low = max(low, cut.high)
    parts.append((low, end))
    parts = [(low, high) for low, high in parts if low < high]
    return parts[::-1] if span.newest else parts


def stays(row: Row, draft: Draft) -> bool:
    """Whether a message is what `draft` would make of it."""
    text, _, _, _, _, _, metadata, key = row
    if text != draft.text or draft.key not in (None, key):
        return False
    return draft.metadata in (None, metadata) or decode(draft.metadata) == _metadata(metadata)


def _metadata(text: str | None) -> dict[str, Json]:
    """What is kept beside a message. Raises ValueError or TypeError where that is damaged."""
    value = {} if text is None else decode(text)
    if not isinstance(value, dict):
        raise TypeError("metadata is an object")
    return value


def size_of(row: Row) -> int:
    """How many bytes of UTF-8 the text of a message is. That of ASCII is known without writing them."""
    text = row[0]
    if type(text) is not str:
        return 0  # damaged: whoever shows it says so
    return len(text) if text.isascii() else len(text.encode())


def page_of(log: Log, span: Span, rows: list[Row]) -> Page[Message]:
    """The page of `span`, by its rows in the direction of reading. Raises CorruptData."""
    rows, rest = _page(log, span, rows)
    return Page(tuple(map(message_of, rows)), *rest)


def entries_of(log: Log, span: Span, rows: list[Row]) -> Entries:
    """The page of `span` as text, by rows of `ENTRY`. Raises CorruptData."""
    rows, rest = _page(log, span, rows)
    return Entries(",".join([_entry_text(row) for row in rows]), *rest)


def _page(log: Log, span: Span, rows: list[Row]) -> tuple[list[Row], tuple[str | None, str, str]]:
    """The rows of a page, oldest first, and its `next`, `end` and `etag`."""
    chosen, more = fitting(rows, span)
    following = Cursor.at(log.epoch, chosen[-1][2]) if more else None
    if span.newest:
        chosen.reverse()
    end = chosen[-1][2] if chosen else span.after or position.START
    return chosen, (following, Cursor.at(log.epoch, end), log.etag)


def _entry_text(row: Row) -> str:
    """A row of `ENTRY` on the wire. Raises CorruptData."""
    text, message_id, place, created, revision, expires, metadata, key, is_json = row
    if type(text) is not str or type(created) is not int:
        raise _damaged(row)
    # The database has looked at the text, but it may end for it where a character is zero.
    if not is_json or text[:1] != "{" or "\0" in text:
        raise CorruptData(f"the stored text of message {message_id!r} is damaged")
    etag = message_etag(message_id, revision)
    if expires is metadata is key is None:
        return plain_entry(text, message_id, place, created, etag)
    if not (_is_text(key) and (expires is None or type(expires) is int)):
        raise _damaged(row)
    if not (metadata is None or is_object(metadata)):
        raise CorruptData(f"the stored text of message {message_id!r} is damaged")
    return entries_text([(text, message_id, place, created, expires, etag, key, metadata)])


def _is_text(value: object) -> bool:
    return value is None or type(value) is str


def message_of(row: Row) -> Message:
    """The message of a row. Raises CorruptData, which names it and says nothing of what is stored."""
    text, message_id, place, created, revision, expires, metadata, key = row
    if type(text) is not str or not _is_text(key):
        raise _damaged(row)
    try:
        return Message(
            text,
            message_id,
            place,
            from_micros(created),
            message_etag(message_id, revision),
            None if expires is None else from_micros(expires),
            {} if metadata is None else _metadata(metadata),
            key,
        )
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _damaged(row) from error


def _damaged(row: Row) -> CorruptData:
    return CorruptData(f"the row of message {row[1]!r}, at position {row[2]!r}, is damaged")
