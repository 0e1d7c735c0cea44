"""The values that pass between the store and a backend: what is to be stored, changed, read or listed."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

from chatstore.codec import Json
from chatstore.models import CHAT, Participant, ThreadCursor
from chatstore.models.quick import quickly_made

__all__ = [
    "ABSENT",
    "SHORT_CHARACTERS",
    "UNSET",
    "Cut",
    "Draft",
    "InsertAt",
    "Listing",
    "MetadataPatch",
    "NewThread",
    "Query",
    "Request",
    "Span",
    "ThreadKey",
    "ThreadPatch",
    "Unset",
]


class Unset(enum.Enum):
    """The type of `UNSET`: a property that an update leaves alone, where None would remove it."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


SHORT_CHARACTERS: Final = 32 * 1024
"""How much text is decoded where it is, in about a quarter of a millisecond; a thread costs half as much."""


ABSENT: Final = "!*"
"""The `if_match` of a write that must find nothing there: of an append or a replacement that is the first."""


class ThreadKey(NamedTuple):
    """Which thread is meant: ids of different tenants never meet.

    With an `owner`, threads of other owners do not exist, in any operation. Their ids are taken all the same,
    so creating one raises ThreadExists. Requests are remembered for each owner separately.
    """

    tenant: str
    id: str
    owner: str | None = None


class Draft(NamedTuple):
    """A message to be stored: its JSON text, and how long it lives (None: as long as the thread).

    `metadata` is kept beside the message, as the text of a JSON object that is not empty. `key` is the
    client's own name for the message, which no other message of the thread has.
    """

    text: str
    ttl: timedelta | None = None
    metadata: str | None = None
    key: str | None = None


class MetadataPatch(NamedTuple):
    """A change of metadata: `value` is merged into what is there as RFC 7396 says, or replaces it."""

    value: Mapping[str, Json]
    merge: bool = True


class Cut(NamedTuple):
    """A place in a history: behind the message that is named by id or key, or in front of it."""

    message: str
    behind: bool = True


class Request(NamedTuple):
    """A request id and a digest of what was requested, without its `if_match`.

    `sent_at` is when it was first sent, for an id whose text carries no time and whose caller said so.
    """

    id: str
    digest: str
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class InsertAt:
    """Where to insert; exactly one is given. `index` means what it means to ``list.insert``."""

    index: int | None = None
    before: str | None = None
    after: str | None = None


class Span(NamedTuple):
    """Which messages to read: those after one position and before another.

    `newest` counts `limit` from the newest end, otherwise from the oldest. With `epoch`, the thread must
    exist and be of that epoch, or `CursorExpired` is raised. A page may end early once it holds `max_bytes`
    of text, but it has at least one message. `after_message` and `before_message` name a message by id or key
    in place of a position. MessageNotFound is raised if that message does not exist, ThreadNotFound if the
    thread does not.
    """

    limit: int
    after: str | None = None
    before: str | None = None
    newest: bool = False
    epoch: str | None = None
    max_bytes: int | None = None
    after_message: str | None = None
    before_message: str | None = None


@quickly_made
@dataclass(frozen=True, slots=True)
class NewThread:
    """The properties of a thread to be created.

    With `sliding` its `ttl` counts from the last append.
    """

    owner: str | None = None
    topic: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    participants: tuple[Participant, ...] = ()
    ttl: timedelta | None = None
    sliding: bool = False
    kind: str = CHAT


class ThreadPatch(NamedTuple):
    """Changes to a thread's properties: None removes one, `UNSET` leaves it alone.

    `metadata` is merged as RFC 7396 says, or replaces what is there unless `merge`; participants are
    replaced as a whole. A `ttl` counts from now, and with `sliding` from the last append from then on.
    """

    topic: str | Unset | None = UNSET
    metadata: Mapping[str, Json] | Unset | None = UNSET
    participants: tuple[Participant, ...] | Unset | None = UNSET
    ttl: timedelta | Unset | None = UNSET
    sliding: bool = False
    merge: bool = True


class Listing(NamedTuple):
    """Which threads to list. `metadata` values must be equal as JSON text.

    Ranges are half open: `since` is in, `before` is not. A `kind` of None is every kind. With `preview`,
    threads carry their `message_count` and their newest message's `preview`. `beyond` is the activity time
    and id that the last page ended at. A page may end early once its threads' properties have `max_bytes` of
    JSON, but not before one thread. It may also end early once a filter has looked through much.
    """

    limit: int
    owner: str | None = None
    active_since: datetime | None = None
    active_before: datetime | None = None
    created_since: datetime | None = None
    created_before: datetime | None = None
    topic_prefix: str | None = None
    metadata: Mapping[str, Json] = MappingProxyType({})
    kind: str | None = CHAT
    forked_from: str | None = None
    oldest_first: bool = False
    preview: bool = False
    beyond: ThreadCursor | None = None
    max_bytes: int | None = None


class Query(NamedTuple):
    """What to search for: messages with every word of `text`, of an owner's threads or of everybody's.

    `newest` puts the newest first, otherwise the best. `cursor` is the `next` of the page before. A page may
    end early once its messages have `max_bytes` of text, but it has at least one.
    """

    text: str
    limit: int
    owner: str | None = None
    newest: bool = True
    cursor: str | None = None
    max_bytes: int | None = None
