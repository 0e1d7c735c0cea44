"""What the store takes and gives: messages, threads, participants, pages, cursors, costs.

All of them are immutable snapshots: nothing that is done to one changes what is stored.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from chatstore.codec import Json, decode, encode, is_object
from chatstore.errors import CorruptData, InvalidCursor, InvalidMessage
from chatstore.wire import Entry, entries_text, from_micros, rfc3339, to_micros

__all__ = [
    "CHAT",
    "Appended",
    "Cost",
    "Cursor",
    "Deleted",
    "Entries",
    "Erased",
    "Found",
    "Message",
    "Origin",
    "Page",
    "Participant",
    "Swept",
    "Thread",
    "ThreadCursor",
    "Window",
    "from_micros",
    "rfc3339",
    "to_micros",
]

T = TypeVar("T")

CHAT = "chat"
"""The kind of a thread that is a conversation, which is the one that listings show."""

NAMED_BY_KEY = "key:"
"""How the name of a message begins that is its key and not its id."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one operation cost where the storage bills or meters it.

    `backend` names the price list, `units` counts each billed unit by its vendor's name
    (``{"wru": 1, "rru": 0}``), `trips` the round trips to the storage.
    """

    backend: str
    units: Mapping[str, float]
    trips: int

    def __add__(self, other: Cost) -> Cost:
        """What two steps of one operation cost together."""
        names = {**self.units, **other.units}
        units = {name: self.units.get(name, 0) + other.units.get(name, 0) for name in names}
        return Cost(self.backend, units, self.trips + other.trips)


@dataclass(frozen=True, slots=True)
class Message:
    """One message: what the caller sent, and beside it what the store added.

    `text` is the JSON that was sent. `to_dict` gives it as an object, equal in every type and in the order
    of its keys. A number between two floats becomes the nearest float; its own `text` is what was sent
    (`chatstore.codec.ExactFloat`). `id`, `position`, `created_at` and `etag` are None until the message is
    stored. `id` never changes and is never used again. `position` sorts in the thread's order and holds
    until the history is replaced. `etag` changes with each `replace_message` and `update_message`.
    `metadata` is kept beside what was sent, and changed without touching it. `key` is the client's own name
    for the message within its thread.
    """

    text: str
    id: str | None = None
    position: str | None = None
    created_at: datetime | None = None
    etag: str | None = None
    expires_at: datetime | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict, hash=False)
    key: str | None = None
    cost: Cost | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> Message:
        """A message from any JSON object that has a ``role``, all its other fields kept as they are.

        Raises InvalidMessage for anything else, and for values that JSON cannot carry.
        """
        if not isinstance(data, Mapping):
            raise InvalidMessage(f"a message is a JSON object with a role, not {type(data).__name__}")
        role = data.get("role")
        if not isinstance(role, str) or not role:
            raise InvalidMessage("a message needs a role: a string such as 'user' or 'assistant'")
        return cls(encode(data if isinstance(data, dict) else dict(data)))

    def to_dict(self) -> dict[str, Json]:
        """What was sent, as a new dictionary each time. Raises CorruptData where that is damaged."""
        try:
            data = decode(self.text)
        except (ValueError, RecursionError) as error:
            raise CorruptData(f"the stored text of message {self.id!r} is damaged") from error
        if not isinstance(data, dict) or not isinstance(data.get("role"), str):
            raise CorruptData(f"the stored text of message {self.id!r} is no object with a role")
        return data

    def to_entry(self) -> dict[str, Json]:
        """The form on the wire and in an export: the store's fields, and ``message`` as it was sent."""
        return {
            "id": self.id,
            "position": self.position,
            "created_at": None if self.created_at is None else rfc3339(self.created_at),
            "expires_at": None if self.expires_at is None else rfc3339(self.expires_at),
            "etag": self.etag,
            "key": self.key,
            "metadata": dict(self.metadata),
            "message": self.to_dict(),
        }

    def entry_text(self) -> str:
        """The message as JSON text, with the text that was sent inside as it is.

        Raises CorruptData where that is not one JSON object.
        """
        return entries_text([self._entry()])

    def _entry(self) -> Entry:
        if not is_object(self.text):
            raise CorruptData(f"the stored text of message {self.id!r} is damaged")
        return (
            self.text,
            self.id,
            self.position,
            None if self.created_at is None else to_micros(self.created_at),
            None if self.expires_at is None else to_micros(self.expires_at),
            self.etag,
            self.key,
            encode(dict(self.metadata)) if self.metadata else None,
        )

    @property
    def role(self) -> str:
        """Who speaks: user, assistant, system, developer, tool, or whatever was sent."""
        role: str = self.to_dict()["role"]
        return role

    @property
    def content(self) -> Any:
        """The ``content`` that was sent, text or blocks; None where there is none."""
        return self.to_dict().get("content")


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody who takes part in a thread; `metadata` is any JSON object."""

    id: str
    display_name: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)


class Origin(NamedTuple):
    """What a thread was forked from: the other thread's id, and its last message that was copied."""

    thread: str
    message: str | None


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread's properties; its messages are read on their own.

    `active_at` is when messages were last added; a backend may keep it to the minute. `etag` is the
    revision of the properties. It changes when one of them does, never when messages do. `sliding` is how
    long after its last append a thread expires at least, if its expiry slides. A listing that was asked for
    them has `message_count` and `preview`, the first 200 characters of the newest message's text.
    """

    id: str
    owner: str | None
    topic: str | None
    metadata: Mapping[str, Json]
    participants: tuple[Participant, ...]
    created_at: datetime
    active_at: datetime
    expires_at: datetime | None
    etag: str
    kind: str = CHAT
    sliding: timedelta | None = None
    forked_from: Origin | None = None
    message_count: int | None = field(default=None, compare=False)
    preview: str | None = field(default=None, compare=False)
    cost: Cost | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A message that a search found, the thread that it is in, and a snippet of its text."""

    thread_id: str
    message: Message
    snippet: str


class Cursor(str):
    """A place in a thread's history: opaque text, valid until that history is replaced.

    It carries the epoch of the history and a position in it. It grants no access: the call to which it is
    passed says which thread is read.
    """

    __slots__ = ()

    @classmethod
    def at(cls, epoch: str, position: str) -> Cursor:
        """The cursor of `position` within `epoch`."""
        return cls(f"{epoch}~{position}")


class Place(NamedTuple):
    """What a cursor or a bare position says: `epoch` is None for a position."""

    epoch: str | None
    position: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read a cursor or a position; raises InvalidCursor for any other text."""
        try:
            found = _PLACE.fullmatch(text)
        except TypeError:
            found = None
        if found is None:
            raise InvalidCursor(
                "not a cursor, a position, or a message's id: pass one back exactly as the store gave it"
            )
        return cls(found[1], found[2])


class ThreadCursor(NamedTuple):
    """Where a listing of threads goes on: below this activity time and, within it, this id."""

    active_at: datetime
    id: str

    def text(self) -> str:
        """The cursor as callers see it."""
        return (
            base64.urlsafe_b64encode(f"{to_micros(self.active_at)} {self.id}".encode()).decode().rstrip("=")
        )

    @classmethod
    def parse(cls, text: str) -> ThreadCursor:
        """Read what `text` wrote; raises InvalidCursor for anything else."""
        try:
            padded = text + "=" * (-len(text) % 4)
            micros, _, id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(" ")
            cursor = cls(from_micros(int(micros)), id)
        except (ValueError, OverflowError, TypeError, AttributeError) as error:
            raise InvalidCursor(
                "not a cursor of a listing: pass one back exactly as the store gave it"
            ) from error
        if cursor.text() != text:
            raise InvalidCursor("not a cursor of a listing: pass one back exactly as the store gave it")
        return cursor


_PLACE = re.compile(r"(?:([0-9A-Za-z]{1,64})~)?([0-9A-Za-z.]{1,512})")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a listing.

    `items` are oldest first for messages, newest activity first for threads. `next` is None at the end.
    Pass it as ``before`` after reads of ``last`` or ``before``, else as ``after``; pass it as ``cursor`` to
    a listing. `end` is where a page of messages ends, or None for an unknown thread. Pass it as ``after``,
    now or later, to see what was added since. `etag` names the log as it was read, for ``if_match``.
    """

    items: tuple[T, ...]
    next: str | None = None
    end: str | None = None
    etag: str | None = None
    cost: Cost | None = field(default=None, compare=False, repr=False)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Entries:
    """A page of messages as JSON text, ready for the wire: their entries, as `Message.entry_text` gives them.

    `text` has commas between the entries; the rest is as in a `Page`.
    """

    text: str
    next: str | None = None
    end: str | None = None
    etag: str | None = None
    cost: Cost | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, page: Page[Message]) -> Entries:
        """The messages of `page`. Raises CorruptData where the text of one is damaged."""
        return cls(cls.text_of(page.items), page.next, page.end, page.etag, page.cost)

    @staticmethod
    def text_of(messages: Iterable[Message]) -> str:
        """The entries of messages, with commas between. Raises CorruptData as `Message.entry_text` does."""
        return entries_text([message._entry() for message in messages])


@dataclass(frozen=True, slots=True)
class Window(Page[T]):
    """The newest messages that fit a number of tokens: a page that says how it counted.

    `tokens` is the sum over its messages; `counter` is ``messages`` where every message carried
    its own count, ``estimate`` where at least one was estimated, ``caller`` for a counter passed in.
    """

    tokens: int = 0
    counter: str = "messages"


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append or a replace wrote.

    `messages` are those that were stored, with their ids and positions. `kept` counts the leading
    leading messages that a replace left as they were. `etag` names the log after the write, and
    `thread_etag` the properties, where the write changed them or compared them.
    """

    messages: tuple[Message, ...]
    etag: str
    kept: int = 0
    thread_etag: str | None = None
    cost: Cost | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Deleted:
    """Whether the thread to be deleted or cleared was there; `etag` names the log after a clear."""

    existed: bool
    etag: str | None = None
    cost: Cost | None = field(default=None, compare=False, repr=False)

    def __bool__(self) -> bool:
        return self.existed


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure removed: threads, messages, remembered results of requests, and API keys."""

    threads: int
    messages: int
    requests: int
    keys: int = 0
    cost: Cost | None = field(default=None, compare=False, repr=False)

    def __add__(self, then: Erased) -> Erased:
        """What both removed; the cost is that of the later."""
        return replace(
            then,
            threads=self.threads + then.threads,
            messages=self.messages + then.messages,
            requests=self.requests + then.requests,
            keys=self.keys + then.keys,
        )


@dataclass(frozen=True, slots=True)
class Swept:
    """What one step of a sweep removed, and whether there is `more` to remove."""

    threads: int
    messages: int
    requests: int
    more: bool
    cost: Cost | None = field(default=None, compare=False, repr=False)

    @property
    def removed(self) -> dict[str, int]:
        """How many were removed, by what they are."""
        return {"threads": self.threads, "messages": self.messages, "requests": self.requests}

    def __add__(self, then: Swept) -> Swept:
        """What both removed; the rest is as the later says it."""
        return replace(
            then,
            threads=self.threads + then.threads,
            messages=self.messages + then.messages,
            requests=self.requests + then.requests,
        )
