"""Reads conversations from files of several forms, and adds to a store what it does not have yet.

The forms, told apart by their content:

- JSON Lines of threads, ``{"id"?, "topic"?, "owner"?, "metadata"?, "participants"?, "messages": […]}``,
  which covers our own export and the lines of OpenAI's fine-tuning files; a thread's further
  fields are kept in its metadata;
- one JSON document: such a thread, a list of such threads, or a list of messages, which is one thread;
- LlamaIndex's ``SimpleChatStore`` files, ``{"store": {key: […]}}``: each key is a thread.

A thread without an id gets one made from its messages, the same each time. What a store has
already is compared, not remembered: an import that is run again adds nothing, and one that was
killed goes on where it was.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import BinaryIO

from chatstore.batching import batches
from chatstore.codec import Json, parse
from chatstore.errors import (
    Conflict,
    CursorExpired,
    InvalidArgument,
    InvalidMessage,
    MessageTooLarge,
    ThreadExists,
    ThreadNotFound,
)
from chatstore.exporting import history
from chatstore.models import Message, from_micros, rfc3339
from chatstore.store import MAX_MESSAGE_BYTES, ChatStore

__all__ = [
    "BadThread",
    "Conversation",
    "Outcome",
    "Status",
    "import_conversations",
    "import_thread",
    "import_threads",
    "read_threads",
]

_BATCH_MESSAGES = 100
_BATCH_BYTES = 1024 * 1024
_TRIES = 5
_LEVELS_AROUND = 4  # a message may lie in an entry, in a list, in a thread, in a list
_PROPERTIES = ("topic", "owner", "metadata", "participants")
_OF_THE_STORE = ("href", "created_at", "active_at", "expires_at", "etag")
_KNOWN = ("id", "messages", *_PROPERTIES, *_OF_THE_STORE)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = _BYTE_ORDER_MARK + b" \t\r\n"


class Status(enum.Enum):
    """What became of a thread."""

    ADDED = "added"
    RESUMED = "resumed"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread as a file has it: where it stands there, its id, properties and messages."""

    where: str
    id: str
    properties: Mapping[str, Json]
    expires_at: datetime | None
    messages: Sequence[Message]
    damage: Sequence[str] = ()
    """What of it could not be read, or looks wrong; the rest is in `messages`."""


@dataclass(frozen=True, slots=True)
class BadThread:
    """A part of a file that cannot be imported, and why."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import did about one thread: `messages` counts those that it added.

    `damage` says what its source had lost. `digest` is of the id and the messages as they were read back
    from the store; None where the thread is not there as its source has it.
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
    """The same for conversations of any source. A thread that was written is read back and compared."""
    for found in conversations:
        if isinstance(found, BadThread):
            yield Outcome(found.where, Status.BAD, reason=found.reason)
            continue
        try:
            outcome = import_thread(store, found)
        except InvalidArgument as error:
            yield Outcome(found.where, Status.BAD, found.id, reason=str(error))
        else:
            yield _checked(store, found, replace(outcome, damage=found.damage))


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
                store.create_thread(conversation.id, **conversation.properties, ttl=_ttl(store, conversation))
                created = True
                continue  # and look at it, for the etag to append under
            new = conversation.messages[present:]
            for batch in batches(new, _length, most=_BATCH_MESSAGES, size_most=_BATCH_BYTES):
                etag = store.append(conversation.id, *batch, create=False, if_match=etag).etag
                added += len(batch)
        except (Conflict, CursorExpired, ThreadExists, ThreadNotFound):
            continue  # somebody else is writing to it: look again
        status = Status.ADDED if created else Status.RESUMED if added else Status.UNCHANGED
        return Outcome(conversation.where, status, conversation.id, added)
    return _changed(conversation, added, "somebody else keeps writing to it")


def read_threads(source: BinaryIO) -> Iterator[Conversation | BadThread]:
    """The threads of a file, in its order; of JSON Lines, one line at a time is held in memory."""
    for line, text in _values(source):
        where = f"line {line}"
        try:
            value = _once(parse(text, "it", around=_LEVELS_AROUND))
        except InvalidMessage as error:
            yield BadThread(where, str(error))
            continue
        for within, form in _threads(value):
            try:
                yield _conversation(where + within, form)
            except InvalidArgument as error:
                yield BadThread(where + within, str(error))


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


def _once(value: Json) -> Json:
    """LlamaIndex reads files that hold its JSON as a JSON string; so do we."""
    return parse(value, "it", around=_LEVELS_AROUND) if isinstance(value, str) else value


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


def _ttl(store: ChatStore, conversation: Conversation) -> timedelta | None:
    """What is left of a thread's time by the store's clock. Raises InvalidArgument where nothing is."""
    if conversation.expires_at is None:
        return None
    left = conversation.expires_at - from_micros(store.backend.clock())
    if left <= timedelta(0):
        raise InvalidArgument(f"it expired at {rfc3339(conversation.expires_at)}")
    return left


def _changed(conversation: Conversation, added: int, reason: str) -> Outcome:
    return Outcome(conversation.where, Status.CHANGED, conversation.id, added, reason)


def _length(message: Message) -> int:
    return len(message.text.encode())


def _values(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """JSON texts with the number of the line that each begins at: every line, or the file as one."""
    lines = ((number, line) for number, line in enumerate(source, 1) if line.strip(_BLANK))
    start = list(islice(lines, 1))
    if start and _breaks_off(start[0][1]):
        # Only what may be a document written over several lines is read whole.
        start += lines
        document = b"".join(line for _, line in start)
        if _is_whole(document) or not any(_is_whole(line) for _, line in start[1:2]):
            start = [(start[0][0], document)]
    for number, line in chain(start, lines):
        yield number, line.strip(_BLANK)


def _is_whole(text: bytes) -> bool:
    return _fault(text.strip(_BLANK).decode(errors="replace")) is None


def _breaks_off(text: bytes) -> bool:
    """Whether JSON text ends before its value does."""
    characters = text.strip(_BLANK).decode(errors="replace")
    return _fault(characters) == len(characters)


def _fault(text: str) -> int | None:
    """The character at which `text` stops being JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos
    except (ValueError, RecursionError):
        return 0  # a number or a depth that is refused in any case
    return None


def _threads(value: Json) -> Iterator[tuple[str, Json]]:
    """The threads in one JSON value, each with where in it they stand."""
    if isinstance(value, list):
        if any(isinstance(item, dict) and "role" in item for item in value):
            yield "", {"messages": value}
        else:
            yield from ((f", item {number}", item) for number, item in enumerate(value, 1))
    elif isinstance(value, dict) and "messages" not in value and isinstance(value.get("store"), dict):
        for key, messages in value["store"].items():
            yield f", key {key!r}", {"id": key, "messages": messages}
    else:
        yield "", value


def _conversation(where: str, form: Json) -> Conversation:
    """Raises InvalidArgument for what is not a thread."""
    if not isinstance(form, dict) or not isinstance(form.get("messages"), list):
        raise InvalidArgument("a thread is a JSON object with a list of messages")
    messages = [_message(number, item) for number, item in enumerate(form["messages"], 1)]
    thread_id = form.get("id")
    if thread_id is None:
        digest = hashlib.sha256("\n".join(message.text for message in messages).encode())
        thread_id = f"sha256-{digest.hexdigest()[:32]}"
    if not isinstance(thread_id, str):
        raise InvalidArgument(f"a thread's id is a string, not {thread_id!r}")
    return Conversation(where, thread_id, _properties(form), _time(form.get("expires_at")), messages)


def _message(number: int, item: Json) -> Message:
    if isinstance(item, dict) and "role" not in item and isinstance(item.get("message"), dict):
        item = item["message"]  # an entry of an export
    try:
        message = Message.from_dict(item)
    except InvalidMessage as error:
        raise InvalidMessage(f"message {number}: {error}") from error
    if len(message.text.encode()) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"message {number} takes more than {MAX_MESSAGE_BYTES:,} bytes of JSON")
    return message


def _properties(form: dict[str, Json]) -> dict[str, Json]:
    properties = {name: form[name] for name in _PROPERTIES if form.get(name) is not None}
    if not isinstance(properties.get("participants", []), list):
        raise InvalidArgument("a thread's participants are a list")
    further = {name: value for name, value in form.items() if name not in _KNOWN}
    if further:
        metadata = properties.get("metadata", {})
        if not isinstance(metadata, dict) or further.keys() & metadata.keys():
            raise InvalidArgument(f"the fields {', '.join(further)} have no place beside its metadata")
        properties["metadata"] = metadata | further
    return properties


def _time(text: Json) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"expires_at is an RFC 3339 time, not {text!r}") from error
    if time.tzinfo is None:
        raise InvalidArgument(f"expires_at needs a time zone: {text!r}")
    return time
