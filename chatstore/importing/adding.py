"""Adds conversations to a store: what it lacks of them, and nothing twice."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import BinaryIO

from chatstore.batching import batches
from chatstore.errors import (
    Conflict,
    CursorExpired,
    InvalidArgument,
    ThreadExists,
    ThreadNotFound,
)
from chatstore.exporting import history
from chatstore.importing.conversations import BadThread, Conversation
from chatstore.importing.reading import read_threads
from chatstore.models import Message, rfc3339
from chatstore.store import ChatStore, arguments

__all__ = ["Outcome", "Status", "import_conversations", "import_thread", "import_threads"]

_BATCH_MESSAGES = 100
_BATCH_BYTES = 1024 * 1024
_TRIES = 5


class Status(enum.Enum):
    """What became of a thread."""

    ADDED = "added"
    RESUMED = "resumed"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import did about one thread: `messages` counts those that it added.

    `damage` says what its source had lost. `digest` is of the id and the messages as they were read back from
    the store. It is None where the thread is not there as its source has it.
    """

    where: str
    status: Status
    thread_id: str | None = None
    messages: int = 0
    reason: str | None = None
    damage: Sequence[str] = ()
    digest: int | None = None


def import_threads(store: ChatStore, source: BinaryIO) -> Iterator[Outcome]:
    """Add every thread of `source` to `store`, yielding after each what was done about it.

    A bad thread is reported and writes nothing. Raises StorageError where the store fails; what was
    yielded before that is kept, and the next import goes on from there.
    """
    return import_conversations(store, read_threads(source))


def import_conversations(
    store: ChatStore, conversations: Iterable[Conversation | BadThread]
) -> Iterator[Outcome]:
    """Add `conversations` of any source to `store`, and yield an outcome for each.

    A thread that was written is read back and compared.
    """
    for found in conversations:
        if isinstance(found, BadThread):
            yield Outcome(found.where, Status.BAD, reason=found.reason)
            continue
        alive = _alive(store, found)
        try:
            outcome = import_thread(store, alive)
        except InvalidArgument as error:
            yield Outcome(found.where, Status.BAD, found.id, reason=str(error), damage=found.damage)
        else:
            yield _checked(store, alive, replace(outcome, damage=alive.damage))


def import_thread(store: ChatStore, conversation: Conversation) -> Outcome:
    """Add what `store` lacks of one thread: all of it, or the rest of one that it begins with.

    A thread whose messages are not the first ones of `conversation` is left alone and reported as
    changed. Messages are appended under the condition that nobody else adds any.
    """
    created, added = False, 0
    for _ in range(_TRIES):
        try:
            present, etag = _present(store, conversation)
            if present is None:
                return _changed(conversation, added, "the store has other messages under this id")
            if etag is None:
                _create(store, conversation)
                created = True
                continue  # and look at it, for the etag to append under
            new = conversation.messages[present:]
            for batch in batches(new, _length, most=_BATCH_MESSAGES, size_most=_BATCH_BYTES):
                left = [_left(store, message.expires_at) for message in batch]
                appended = store.append(conversation.id, *batch, create=False, if_match=etag, expires_in=left)
                etag = appended.etag
                added += len(batch)
        except (Conflict, CursorExpired, ThreadExists, ThreadNotFound):
            continue  # somebody else is writing to it: look again
        status = Status.ADDED if created else Status.RESUMED if added else Status.UNCHANGED
        return Outcome(conversation.where, status, conversation.id, added)
    return _changed(conversation, added, "somebody else keeps writing to it")


def _create(store: ChatStore, conversation: Conversation) -> None:
    """Make the thread; a time to live that slides begins anew, with the messages that are added here."""
    properties = dict(conversation.properties)
    ttl: arguments.Ttl = properties.pop("sliding", None)
    sliding = ttl is not None
    left = _left(store, conversation.expires_at)
    store.create_thread(conversation.id, **properties, ttl=ttl if sliding else left, sliding=sliding)


def _checked(store: ChatStore, conversation: Conversation, outcome: Outcome) -> Outcome:
    if outcome.status is Status.CHANGED:
        return outcome
    digest = _digest(conversation.id, conversation.messages)
    if outcome.status is not Status.UNCHANGED:  # of which every message has just been compared
        kept = chain.from_iterable(history(store, conversation.id))
        if _digest(conversation.id, kept) != digest:
            return replace(outcome, status=Status.CHANGED, reason="what was read back differs")
    return replace(outcome, digest=digest)


def _digest(thread_id: str, messages: Iterable[Message]) -> int:
    digest = hashlib.sha256()
    for text in chain([thread_id], (message.text for message in messages)):
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8) + encoded)
    return int.from_bytes(digest.digest())


def _present(store: ChatStore, conversation: Conversation) -> tuple[int | None, str | None]:
    """How many messages of `conversation` the store has, and its log's etag.

    Where it has others, there is no number; where it has no such thread, no etag.
    """
    count, etag = 0, None
    for page in history(store, conversation.id):
        texts = [message.text for message in page]
        if texts != [message.text for message in conversation.messages[count : count + len(texts)]]:
            return None, page.etag
        count += len(texts)
        etag = page.etag
    return count, etag


def _left(store: ChatStore, expires_at: datetime | None) -> timedelta | None:
    """What is left until `expires_at` by the store's clock. Raises InvalidArgument where nothing is."""
    if expires_at is None:
        return None
    left = expires_at - store.now()
    if left <= timedelta(0):
        raise InvalidArgument(f"it expired at {rfc3339(expires_at)}")
    return left


def _alive(store: ChatStore, conversation: Conversation) -> Conversation:
    """`conversation` without the messages whose own time is over, each of which is named."""
    now = store.now()
    over = [message.expires_at is not None and message.expires_at <= now for message in conversation.messages]
    if not any(over):
        return conversation
    kept = [message for message, gone in zip(conversation.messages, over, strict=True) if not gone]
    said = f"{sum(over):,} of its messages have expired, the first of them number {over.index(True) + 1}"
    return replace(conversation, messages=kept, damage=(*conversation.damage, said))


def _changed(conversation: Conversation, added: int, reason: str) -> Outcome:
    return Outcome(conversation.where, Status.CHANGED, conversation.id, added, reason)


def _length(message: Message) -> int:
    return len(message.text.encode())
