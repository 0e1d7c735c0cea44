"""Checks of what callers pass: each gives the argument in the form that a backend relies on.

They raise InvalidArgument, with what to change, before anything is done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias, TypeVar

from chatstore.codec import Json, decode, encode
from chatstore.conditions import require_window
from chatstore.contract import ABSENT, Draft, Request, Span, Unset
from chatstore.errors import (
    CursorExpired,
    InvalidArgument,
    InvalidMessage,
    MessageTooLarge,
)
from chatstore.ids import time_of
from chatstore.models import Message, Participant, Place, Thread

MAX_TENANT_BYTES = 128
MAX_OWNER_BYTES = 256
RESERVED_TENANTS = "chatstore:"
"""How the names of tenants begin that hold what a service itself keeps."""
MAX_THREAD_ID_BYTES = 1024
MAX_TOPIC_BYTES = 4096
MAX_REQUEST_ID_BYTES = 256
MAX_METADATA_BYTES = 64 * 1024
MAX_PARTICIPANTS = 1000
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
MAX_TTL = timedelta(days=36525)
"""A century: beyond it, pass None."""

MessageLike: TypeAlias = Message | Mapping[str, Json] | Draft
"""A message as callers have it. A `Draft` is one whose text was checked and written by `chatstore.codec`."""
Ttl: TypeAlias = timedelta | float | None
"""A time to live: a timedelta, or seconds; None means for ever."""

Ttls: TypeAlias = Ttl | Sequence[Ttl]
"""One time to live for all, or a list of one for each."""

T = TypeVar("T")
R = TypeVar("R")


class RequestId(str):
    """A request id that says when the request was first sent, for one whose text carries no time."""

    __slots__ = ("sent_at",)
    sent_at: datetime | None

    def __new__(cls, text: str, sent_at: datetime | None = None) -> RequestId:
        """`text` as a request id, first sent at the aware time `sent_at`."""
        self = super().__new__(cls, text)
        self.sent_at = aware("sent_at", sent_at)
        return self


def request_of(
    request_id: str | None, now: int | None, window: timedelta, what: tuple[object, ...]
) -> Request | None:
    """`request_id` with a digest of `what` is requested; None without one.

    Raises RequestExpired where the id carries a time outside the window; where `now` is not known yet,
    the backend does.
    """
    if request_id is None:
        return None
    text("a request id", request_id, MAX_REQUEST_ID_BYTES, empty=False)
    sent_at = getattr(request_id, "sent_at", None) or time_of(request_id)
    # Not `encode`: what is checked on its own may be as deep as can be, and is deeper in here.
    digest = hashlib.sha256(json.dumps(_plain(what), default=repr).encode()).hexdigest()[:32]
    request = Request(str(request_id), digest, sent_at)
    if now is not None:
        require_window(request, now, window)
    return request


def _plain(value: object) -> Json:
    """A part of a request in a form that can be digested."""
    if isinstance(value, timedelta):
        return ["seconds", value.total_seconds()]
    if isinstance(value, Unset):
        return ["unset"]
    if isinstance(value, Participant):
        return [value.id, value.display_name, value.metadata]
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def changed(value: T | Unset | None, check: Callable[[T], R]) -> R | Unset | None:
    """A property of an update: None and UNSET as they are, anything else checked."""
    return value if value is None or isinstance(value, Unset) else check(value)


def text(name: str, value: str, most: int, *, empty: bool = True) -> str:
    """`value`, if it is Unicode text of at most `most` bytes of UTF-8."""
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} is a string, not {type(value).__name__}")
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"{name} holds a lone surrogate, which is not Unicode text") from error
    if size > most:
        raise InvalidArgument(f"{name} takes at most {most:,} bytes of UTF-8, not {size:,}")
    if not size and not empty:
        raise InvalidArgument(f"{name} cannot be empty")
    return value


def callers_tenant(tenant: str) -> str:
    """A tenant that callers may name: any but those that are reserved."""
    if text("tenant", tenant, MAX_TENANT_BYTES, empty=False).startswith(RESERVED_TENANTS):
        raise InvalidArgument(f"tenants whose names begin with {RESERVED_TENANTS!r} are reserved")
    return tenant


def owner_or_none(owner: str | None) -> str | None:
    """An owner, if it can be one."""
    return None if owner is None else text("owner", owner, MAX_OWNER_BYTES, empty=False)


def topic_or_none(topic: str | None) -> str | None:
    """A topic, if it can be one."""
    return None if topic is None else text("topic", topic, MAX_TOPIC_BYTES)


def message_id_of(message_id: str) -> str:
    """A message id, if it can be one."""
    return text("a message id", message_id, MAX_THREAD_ID_BYTES)


def etag_or_none(if_match: str | None) -> str | None:
    """A condition, if it can be one; whether it holds is the backend's to say."""
    if if_match is not None and not isinstance(if_match, str):
        raise InvalidArgument(f"if_match is an etag, which is a string, not {type(if_match).__name__}")
    return if_match


def condition(if_match: str | None, if_none_match: str | None, *, creating: bool) -> str | None:
    """What a write asks of what is there, as a backend takes it."""
    if if_none_match is None:
        return etag_or_none(if_match)
    if if_none_match != "*":
        raise InvalidArgument(f"if_none_match is '*', that nothing be there yet, not {if_none_match!r}")
    if if_match is not None:
        raise InvalidArgument("if_match asks for a thread that is there, if_none_match for none: pass one")
    if not creating:
        raise InvalidArgument("if_none_match asks for a thread that is not there: pass create=True with it")
    return ABSENT


def index_or_none(index: int | None) -> int | None:
    """An index, if it can be one."""
    if index is not None and (type(index) is not int or not -(2**63) <= index < 2**63):
        raise InvalidArgument(f"index is an integer of at most 64 bits, not {index!r}")
    return index


def page_limit(limit: int | None) -> int:
    """How many items a page takes."""
    if limit is None:
        return DEFAULT_LIMIT
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        raise InvalidArgument(f"a page takes 1 to {MAX_LIMIT:,} items, not {limit!r}; iterate to read more")
    return limit


def page_bytes(size: int | None) -> int | None:
    """How much text a page takes."""
    if size is not None and (type(size) is not int or size < 1):
        raise InvalidArgument(f"max_bytes is a positive number of bytes, not {size!r}")
    return size


def duration(name: str, ttl: Ttl) -> timedelta | None:
    """A time to live as a timedelta."""
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float, timedelta)):
        raise InvalidArgument(f"{name} is a timedelta or a number of seconds, not {type(ttl).__name__}")
    try:
        length = ttl if isinstance(ttl, timedelta) else timedelta(seconds=ttl)
    except (OverflowError, ValueError):
        length = timedelta.max
    if not timedelta(0) < length <= MAX_TTL:
        raise InvalidArgument(
            f"{name} is more than 0 and at most {MAX_TTL.days:,} days, not {ttl!r}; None means never"
        )
    return length


def aware(name: str, time: datetime | None) -> datetime | None:
    """A time, if it says its zone."""
    if time is not None and getattr(time, "tzinfo", None) is None:
        raise InvalidArgument(f"{name} is a datetime with a time zone, not {time!r}")
    return time


def metadata_of(metadata: Mapping[str, Json] | None) -> dict[str, Json]:
    """A copy of `metadata`, if it is JSON and not too large."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidArgument(f"metadata is a JSON object, not {type(metadata).__name__}")
    written = encode(dict(metadata), "metadata", floats_only=True)
    if len(written.encode()) > MAX_METADATA_BYTES:
        raise InvalidArgument(f"metadata takes at most {MAX_METADATA_BYTES:,} bytes of JSON")
    copied: dict[str, Json] = decode(written)
    return copied


def participants_of(participants: Iterable[Participant | Mapping[str, Json]]) -> tuple[Participant, ...]:
    """Participants, each named once."""
    found = tuple(_participant(one) for one in participants)
    if len(found) > MAX_PARTICIPANTS:
        raise InvalidArgument(f"a thread takes at most {MAX_PARTICIPANTS:,} participants, not {len(found):,}")
    if len({one.id for one in found}) < len(found):
        raise InvalidArgument("a participant appears twice: ids within a thread are unique")
    return found


def _participant(one: Participant | Mapping[str, Json]) -> Participant:
    if isinstance(one, Mapping):
        unknown = set(one) - {"id", "display_name", "metadata"}
        if unknown or "id" not in one:
            raise InvalidArgument("a participant has an id, and may have a display_name and metadata")
        one = Participant(**one)
    if not isinstance(one, Participant):
        raise InvalidArgument(f"a participant is a Participant or a mapping, not {type(one).__name__}")
    name = one.display_name
    return Participant(
        text("a participant's id", one.id, MAX_THREAD_ID_BYTES),
        None if name is None else text("a participant's name", name, MAX_TOPIC_BYTES),
        metadata_of(one.metadata),
    )


def drafts_of(messages: Iterable[MessageLike], expires_in: Ttls = None) -> Sequence[Draft]:
    """Messages as they are to be stored."""
    texts = [_message_text(message) for message in messages]
    if not isinstance(expires_in, Sequence):
        ttl = duration("expires_in", expires_in)
        return [Draft(text, ttl) for text in texts]
    if len(expires_in) != len(texts):
        raise InvalidArgument(
            f"expires_in has {len(expires_in):,} times for {len(texts):,} messages: pass one for each, or "
            "one for all"
        )
    return [Draft(text, duration("expires_in", one)) for text, one in zip(texts, expires_in, strict=True)]


def thread_of(thread: Thread) -> Thread:
    """A thread's properties as they are to be restored."""
    created, active = (_stamp(name, getattr(thread, name)) for name in ("created_at", "active_at"))
    return Thread(
        text("a thread id", thread.id, MAX_THREAD_ID_BYTES),
        owner_or_none(thread.owner),
        topic_or_none(thread.topic),
        metadata_of(thread.metadata),
        participants_of(thread.participants),
        created,
        active,
        aware("expires_at", thread.expires_at),
        thread.etag,
    )


def kept_message(message: Message) -> Message:
    """A message as it is to be restored."""
    if message.id is None:
        raise InvalidArgument("a message to be restored needs its id")
    return Message(
        _message_text(message),
        text("a message id", message.id, MAX_THREAD_ID_BYTES, empty=False),
        created_at=_stamp("created_at", message.created_at),
        expires_at=aware("expires_at", message.expires_at),
    )


def _stamp(name: str, time: datetime | None) -> datetime:
    checked = aware(name, time)
    if checked is None:
        raise InvalidArgument(f"what is to be restored needs {name}, a datetime with a time zone")
    return checked


def _message_text(message: MessageLike) -> str:
    if isinstance(message, Draft):
        written = message.text
    else:
        # A Message may have been made by hand around any text, so it is read again like a mapping.
        written = Message.from_dict(_reread(message) if isinstance(message, Message) else message).text
    if len(written) * 4 > MAX_MESSAGE_BYTES and len(written.encode()) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"a message takes at most {MAX_MESSAGE_BYTES:,} bytes of JSON")
    return written


def _reread(message: Message) -> dict[str, Json]:
    try:
        data = decode(message.text)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidMessage(f"a Message's text is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidMessage("a Message's text is not a JSON object")
    return data


def page_span(
    last: int | None, after: str | None, before: str | None, limit: int | None, max_bytes: int | None
) -> Span:
    """What a page is to hold."""
    if last is not None and (after is not None or before is not None or limit is not None):
        raise InvalidArgument("last stands alone: pass either last, or after, before and limit")
    span = span_of(after, before, page_limit(limit if last is None else last), newest=last is not None)
    return span._replace(max_bytes=page_bytes(max_bytes))


def span_of(after: str | None, before: str | None, limit: int, *, newest: bool = False) -> Span:
    """What to read; a `before` without an `after` counts from its own end."""
    start = None if after is None else Place.parse(after)
    end = None if before is None else Place.parse(before)
    epochs = {place.epoch for place in (start, end) if place is not None and place.epoch is not None}
    if len(epochs) > 1:
        raise CursorExpired
    return Span(
        limit,
        after=None if start is None else start.position,
        before=None if end is None else end.position,
        newest=newest or (end is not None and start is None),
        epoch=epochs.pop() if epochs else None,
    )
