"""Writes threads as JSON Lines: one thread a line, its properties and then its messages.

A line is ``{"id", "owner", "topic", "metadata", "participants", "created_at", "active_at",
"expires_at", "kind", "sliding", "forked_from", "messages": [{"id", "position", "created_at", "expires_at",
"etag", "key", "metadata", "message"}]}``, which `chatstore.importing` reads back. Threads of every kind
are in it. It is for other systems: a copy of all that a store knows is a backup (`chatstore.backup`).
Neither the number of threads nor the length of one is held in memory.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, BinaryIO, NamedTuple

from chatstore.codec import Json
from chatstore.errors import CursorExpired
from chatstore.models import Message, Page, Thread
from chatstore.store import MAX_LIMIT, ChatStore
from chatstore.thread_form import thread_form

__all__ = ["Exported", "export_threads", "history", "json_line"]

_PAGE_BYTES = 4 * 1024 * 1024
_IN_MEMORY = 8 * 1024 * 1024
_TRIES = 5
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Exported(NamedTuple):
    """A thread that has been written, and how many messages it has."""

    thread_id: str
    messages: int


def export_threads(store: ChatStore, out: BinaryIO) -> Iterator[Exported]:
    """Write every thread of `store` to `out`, the most recently active first, yielding after each.

    Threads of every kind are written. A line is written when the whole thread has been read, so that each
    shows one history even if it is replaced meanwhile. A thread that becomes active while others are written
    may be missed. Raises CursorExpired if a thread is replaced again and again.
    """
    for thread in store.iter_threads(kind=None):
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as line:
            messages = _read_into(line, store, thread)
            if messages is None:
                continue
            line.seek(0)
            shutil.copyfileobj(line, out)
        yield Exported(thread.id, messages)


def history(store: ChatStore, thread_id: str) -> Iterator[Page[Message]]:
    """A thread's messages, oldest first, in pages; the first one's `end` is None for an unknown thread."""
    page = store.read(thread_id, limit=MAX_LIMIT, max_bytes=_PAGE_BYTES)
    yield page
    while page.next is not None:
        page = store.read(thread_id, after=page.next, limit=MAX_LIMIT, max_bytes=_PAGE_BYTES)
        yield page


def json_line(value: Json) -> bytes:
    """`value` as one line of UTF-8 JSON."""
    return _encoder.encode(value).encode() + b"\n"


def _read_into(line: IO[bytes], store: ChatStore, thread: Thread) -> int | None:
    """Write the thread's line and count its messages; None if it has been deleted meanwhile."""
    for tried in range(1, _TRIES + 1):
        line.seek(0)
        line.truncate()
        try:
            return _write(line, store, thread)
        except CursorExpired:
            if tried == _TRIES:
                raise
    return None


def _write(line: IO[bytes], store: ChatStore, thread: Thread) -> int | None:
    line.write(_encoder.encode(thread_form(thread))[:-1].encode() + b',"messages":[')
    count = 0
    for page in history(store, thread.id):
        if page.end is None:
            return None
        for message in page:
            line.write(b"," * (count > 0) + message.entry_text().encode())
            count += 1
    line.write(b"]}\n")
    return count
