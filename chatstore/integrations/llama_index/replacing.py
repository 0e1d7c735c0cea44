"""Replacing a history without losing what others added since it was read.

``set_messages`` is told what to write and not what its caller had read. `ChatSummaryMemoryBuffer` reads,
asks a model for a summary, deletes and sets, all within one blocking call. What somebody else adds
meanwhile would be lost. So when a Python thread reads a key and replaces it next, it replaces only what it
read. A deletion may come in between. Messages that it had not read are put behind the new history. Any
other call of that Python thread in between forgets the reading. A single user therefore sees exactly what a
list would do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from chatstore.errors import Conflict, CorruptData, ThreadNotFound
from chatstore.integrations.llama_index import histories
from chatstore.integrations.llama_index.histories import TRIES, History
from chatstore.integrations.llama_index.messages import read, write
from chatstore.models import Message
from chatstore.store import AsyncChatStore

__all__ = ["LastReading", "Reading", "replace"]


class Reading:
    """What a thread has read of a key, and what it deleted there without having read it."""

    def __init__(self, key: str, found: History) -> None:
        self.key = key
        self.etag = found.etag
        self.unread: list[Message] = []
        self._known = Counter(message.text for message in found.messages)
        self._expiring = [message for message in found.messages if message.expires_at is not None]

    def new(self, messages: Iterable[Message]) -> list[Message]:
        """Those of `messages` that had not been read."""
        known = self._known.copy()
        found = []
        for message in messages:
            if known[message.text]:
                known[message.text] -= 1
            else:
                found.append(message)
        return found

    def timed(self, messages: Iterable[Message]) -> list[Message]:
        """`messages`, of which those that were read keep their own expiry."""
        lives: dict[str, list[datetime | None]] = {}
        for was in self._expiring:
            # Another client's text is not what LlamaIndex writes of it. Who cannot hold it cannot return it.
            with contextlib.suppress(CorruptData):
                lives.setdefault(write(*read([was])).text, []).append(was.expires_at)
        return [
            dataclasses.replace(one, expires_at=lives[one.text].pop(0)) if lives.get(one.text) else one
            for one in messages
        ]

    def deleted(self, messages: Iterable[Message]) -> Reading:
        """This reading after all of `messages` were deleted: nothing of the key is known any more."""
        after = Reading(self.key, History([], None))
        after.unread = self.new(messages)
        after._expiring = self._expiring
        return after


class LastReading(threading.local):
    """Each thread's last reading, until the thread's next call."""

    reading: Reading | None = None

    def take(self, key: str | None = None) -> Reading | None:
        """The reading, if it was of `key`; forgotten in any case."""
        reading, self.reading = self.reading, None
        return reading if reading is not None and reading.key == key else None


async def replace(
    store: AsyncChatStore,
    key: str,
    messages: Sequence[Message],
    ttl: float | None,
    reading: Reading | None = None,
) -> None:
    """Replace the history of `key`, or what `reading` says of it; one trip unless somebody added to it."""
    if reading is None:
        await store.replace_all(key, messages, create=True, ttl=ttl)
        return
    etag, unread, messages = reading.etag, reading.unread, reading.timed(messages)
    for _ in range(TRIES):
        try:
            if etag is not None:
                await histories.rewrite(store, key, [*messages, *unread], etag)
                return
        except (Conflict, ThreadNotFound):
            pass
        found = await histories.history(store, key)
        etag, unread = found.etag, [*reading.unread, *reading.new(found.messages)]
        if etag is None and (messages or unread):
            # Not a replacement: were the thread made by somebody this moment, it would lose what is in it.
            await histories.begin(store, key, [*messages, *unread], ttl)
            return
        if etag is None:
            await store.replace_all(key, [], create=True, ttl=ttl)
            return
    raise Conflict(etag)
