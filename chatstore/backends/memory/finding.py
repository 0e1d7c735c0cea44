"""Pages of threads and of messages, and searches, over what is in memory. The caller holds the lock."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chatstore import position
from chatstore.backends.memory.stored import Stored, place_of
from chatstore.conditions import fitting, listed
from chatstore.contract import Listing, Query, Span
from chatstore.errors import InvalidCursor
from chatstore.models import Cursor, Found, Message, Page, Thread, ThreadCursor
from chatstore.words import preview_of, said, snippet, words

__all__ = ["found_by", "messages_of", "threads_of"]


def threads_of(living: Sequence[Stored], listing: Listing) -> Page[Thread]:
    """A page of the threads that a listing shows."""
    found = [one for one in living if listed(one.thread, listing) and _beyond(one.thread, listing)]
    found.sort(key=lambda one: _activity(one.thread), reverse=not listing.oldest_first)
    chosen = found[: listing.limit]
    chosen = chosen[: fitting([one.thread for one in chosen], listing.max_bytes)]
    items = tuple(_shown(one, preview=listing.preview) for one in chosen)
    more = len(found) > len(items)
    return Page(items, next=ThreadCursor(*_activity(items[-1])).text() if more else None)


def messages_of(stored: Stored, span: Span) -> Page[Message]:
    """A page of a thread's messages. Raises MessageNotFound for the one where it begins or ends."""
    after = _bound(stored, span.after_message, span.after) or position.START
    before = _bound(stored, span.before_message, span.before)
    found = [
        message
        for message in stored.messages
        if after < place_of(message) and (before is None or place_of(message) < before)
    ]
    chosen = _fitting(found[::-1] if span.newest else found, span.limit, span.max_bytes)
    more = len(chosen) < len(found)
    items = tuple(chosen[::-1] if span.newest else chosen)
    edge = (items[0] if span.newest else items[-1]) if more else None
    return Page(
        items,
        next=None if edge is None else Cursor.at(stored.epoch, place_of(edge)),
        end=Cursor.at(stored.epoch, place_of(items[-1]) if items else after),
        etag=stored.etag,
    )


def found_by(living: Sequence[Stored], query: Query) -> Page[Found]:
    """A page of the messages that have every word."""
    wanted = words(query.text)
    start = _start(query.cursor)
    hits: list[tuple[int, Message, str]] = []
    for stored in living:
        if listed(stored.thread, Listing(limit=1, owner=query.owner)):
            for message in stored.messages:
                counted = Counter(words(said(message.text)))
                if wanted and all(counted[word] for word in wanted):
                    hits.append((sum(counted[word] for word in wanted), message, stored.thread.id))
    hits.sort(key=lambda hit: (0 if query.newest else hit[0], hit[1].created_at, hit[1].id), reverse=True)
    page = hits[start : start + query.limit]
    fitting = len(_fitting([message for _, message, _ in page], query.limit, query.max_bytes))
    page = page[:fitting]
    found = tuple(Found(thread, message, snippet(said(message.text), wanted)) for _, message, thread in page)
    end = start + len(page)
    return Page(found, next=str(end) if end < len(hits) else None)


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()):
        raise InvalidCursor("not a cursor of a search: pass one back exactly as the store gave it")
    return int(cursor)


def _activity(thread: Thread) -> tuple[datetime, str]:
    return thread.active_at, thread.id


def _beyond(thread: Thread, listing: Listing) -> bool:
    if listing.beyond is None:
        return True
    at = _activity(thread)
    return at > listing.beyond if listing.oldest_first else at < listing.beyond


def _shown(stored: Stored, *, preview: bool) -> Thread:
    thread = copy.deepcopy(stored.thread)
    if not preview:
        return thread
    newest = stored.messages[-1:]
    return replace(
        thread, message_count=len(stored.messages), preview=preview_of(newest[0].text) if newest else None
    )


def _bound(stored: Stored, message: str | None, given: str | None) -> str | None:
    return given if message is None else place_of(stored.messages[stored.find(message)])


def _fitting(messages: list[Message], limit: int, max_bytes: int | None) -> list[Message]:
    """The first of `messages` that fit into a page."""
    chosen: list[Message] = []
    size = 0
    for message in messages[:limit]:
        size += len(message.text.encode())
        if chosen and max_bytes is not None and size > max_bytes:
            break
        chosen.append(message)
    return chosen
