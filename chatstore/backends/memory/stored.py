"""One thread in memory, and what happens to it. The caller holds the lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chatstore import position
from chatstore.codec import decode
from chatstore.conditions import changed_metadata, log_etag, message_etag, renewed
from chatstore.contract import Cut, Draft, InsertAt, MetadataPatch
from chatstore.errors import MessageExists, MessageNotFound
from chatstore.ids import token, uuid7
from chatstore.models import NAMED_BY_KEY, Appended, Message, Origin, Thread, from_micros, to_micros

__all__ = ["Stored", "place_of"]


@dataclass(slots=True)
class Stored:
    """A thread: its properties as last given out, and its messages in order, expired ones perhaps too."""

    thread: Thread
    epoch: str = field(default_factory=token)
    tail: int = 0
    edits: int = 0
    messages: list[Message] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """Names the log."""
        return log_etag(self.epoch, self.tail, self.edits)

    def gone(self, now: int) -> bool:
        """Whether the thread has expired at `now`."""
        return _expired(self.thread.expires_at, now)

    def living(self, now: int) -> list[Message]:
        """The messages that have not expired at `now`."""
        return [message for message in self.messages if not _expired(message.expires_at, now)]

    def find(self, named: str) -> int:
        """Where in `messages` the message of that id or key is. Raises MessageNotFound."""
        key = named.removeprefix(NAMED_BY_KEY) if named.startswith(NAMED_BY_KEY) else None
        for index, message in enumerate(self.messages):
            if message.id == named if key is None else message.key == key:
                return index
        raise MessageNotFound(self.thread.id, named)

    def end(self, cut: Cut | None) -> int:
        """How many messages there are in front of a cut. Raises MessageNotFound."""
        if cut is None:
            return len(self.messages)
        return self.find(cut.message) + cut.behind

    def gap(self, at: InsertAt) -> int:
        """In front of which message to insert. Raises MessageNotFound."""
        if at.before is not None:
            return self.find(at.before)
        if at.after is not None:
            return self.find(at.after) + 1
        return slice(at.index, None).indices(len(self.messages))[0]

    def at_index(self, index: int) -> int:
        """The message at an index, from the end where that is negative. Raises MessageNotFound."""
        if -len(self.messages) <= index < len(self.messages):
            return index % len(self.messages)
        raise MessageNotFound(self.thread.id, index)

    def require_new_keys(self, drafts: Sequence[Draft | Message], end: int) -> None:
        """Raise MessageExists where one of the first `end` messages has the key of a draft."""
        taken = {one.key: one.id for one in self.messages[:end] if one.key is not None}
        for draft in drafts:
            if draft.key in taken:
                raise MessageExists(self.thread.id, draft.key or "", taken[draft.key])

    def append(self, drafts: Sequence[Draft], now: int, kept: int = 0) -> Appended:
        """Add messages at the end."""
        messages = []
        for draft in drafts:
            self.tail += 1
            messages.append(_message(draft, position.nth(self.tail), now))
        self.messages.extend(messages)
        if messages:
            self.touch(now)
        return Appended(tuple(messages), self.etag, kept)

    def cut(self, end: int) -> None:
        """Take away all but the first `end` messages. Counts in the tail, so that appends notice it."""
        del self.messages[end:]
        self.tail += 1

    def replace(self, drafts: Sequence[Draft], now: int) -> Appended:
        """Put other messages in place of all, or add what the present ones lack. Raises MessageExists."""
        kept = len(self.messages)
        if kept <= len(drafts) and all(map(_stays, self.messages, drafts[:kept])):
            self.require_new_keys(drafts[kept:], kept)
            return self.append(drafts[kept:], now, kept)
        self.epoch = token()
        self.messages.clear()
        return self.append(drafts, now)

    def insert(self, draft: Draft, at: InsertAt, now: int) -> Message:
        """Add a message between others. Raises MessageNotFound, MessageExists."""
        index = self.gap(at)
        self.require_new_keys([draft], len(self.messages))
        if index == len(self.messages):
            return self.append([draft], now).messages[0]
        before = place_of(self.messages[index - 1]) if index else position.START
        between = position.between(before, place_of(self.messages[index]))
        self.messages.insert(index, _message(draft, between, now))
        self.edits += 1
        self.touch(now)
        if position.crowded(between):
            self._renumber()
        return self.messages[index]

    def change(self, index: int, draft: Draft | None, metadata: MetadataPatch | None) -> Message:
        """Put another text, other metadata or both in the place of a message's."""
        present = self.messages[index]
        beside = present.metadata if metadata is None else changed_metadata(present.metadata, metadata)
        named = present.id or ""
        self.revisions[named] = self.revisions.get(named, 0) + 1
        self.messages[index] = replace(
            present,
            text=present.text if draft is None else draft.text,
            metadata=beside,
            etag=message_etag(named, self.revisions[named]),
        )
        self.edits += 1
        return self.messages[index]

    def copied(self, messages: Sequence[Message]) -> None:
        """Take copies of another thread's messages, with ids of their own."""
        for message in messages:
            id = uuid7()
            self.tail += 1
            at = position.nth(self.tail)
            self.messages.append(replace(message, id=id, position=at, etag=message_etag(id, 0)))

    def restore(self, messages: Sequence[Message]) -> Appended:
        """Take messages back as they were, at the end."""
        kept = []
        for message in messages:
            self.tail += 1
            at, etag = position.nth(self.tail), message_etag(message.id or "", 0)
            kept.append(replace(message, position=at, etag=etag, cost=None))
        self.messages.extend(kept)
        return Appended(tuple(kept), self.etag)

    def touch(self, now: int) -> None:
        """Note that messages were added."""
        self.thread = replace(renewed(self.thread, now), active_at=from_micros(now))

    def origin(self, end: int) -> Origin:
        """What a fork of the first `end` messages was forked from."""
        return Origin(self.thread.id, self.messages[end - 1].id if end else None)

    def _renumber(self) -> None:
        self.epoch = token()
        for index, message in enumerate(self.messages):
            self.tail += 1
            self.messages[index] = replace(message, position=position.nth(self.tail))


def place_of(message: Message) -> str:
    """A stored message's position."""
    return message.position or ""


def _message(draft: Draft, at: str, now: int) -> Message:
    id = uuid7(now // 1000)
    created = from_micros(now)
    expires = None if draft.ttl is None else created + draft.ttl
    metadata = {} if draft.metadata is None else decode(draft.metadata)
    return Message(draft.text, id, at, created, message_etag(id, 0), expires, metadata, draft.key)


def _stays(message: Message, draft: Draft) -> bool:
    if message.text != draft.text or draft.key not in (None, message.key):
        return False
    return draft.metadata is None or decode(draft.metadata) == message.metadata


def _expired(at: datetime | None, now: int) -> bool:
    return at is not None and to_micros(at) <= now
