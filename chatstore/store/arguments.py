"""Checks of what callers pass: each gives the argument in the form that a backend relies on.

They raise InvalidArgument, with what to change, before anything is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias, TypeVar

from chatstore.codec import Json, writer
from chatstore.conditions import require_window
from chatstore.contract import (
    ABSENT,
    Cut,
    Draft,
    Request,
    Span,
    Unset,
)
from chatstore.errors import (
    CursorExpired,
    InvalidArgument,
)
from chatstore.ids import is_message_id, time_of
from chatstore.models import NAMED_BY_KEY, Message, Participant, Place

MAX_TENANT_BYTES = 128
MAX_OWNER_BYTES = 256
RESERVED_TENANTS = "chatstore:"
"""How the names of tenants begin that hold what a service itself keeps."""
MAX_THREAD_ID_BYTES = 1024
MAX_TOPIC_BYTES = 4096
MAX_REQUEST_ID_BYTES = 256
MAX_METADATA_BYTES = 64 * 1024
MAX_KEY_BYTES = 256
MAX_KIND_BYTES = 64
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

MessageMetadata: TypeAlias = Mapping[str, Json] | Sequence[Mapping[str, Json] | None] | None
"""What is kept beside each of several messages: one for all, or a list of one for each."""

Keys: TypeAlias = str | Sequence[str | None] | None
"""A client's name for a message, or a list of one for each."""

T = TypeVar("T")
R = TypeVar("R")

_digested = writer(repr, ascii_only=True, between=", ", behind_name=": ")
_PLAIN = {str, bool, int}
"""Types whose values are digested as they are, and so are most parts of most requests."""


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
    digest = hashlib.sha256(_digested(_plain(what)).encode()).hexdigest()[:32]
    request = Request(str(request_id), digest, sent_at)
    if now is not None:
        require_window(request, now, window)
    return request


def _plain(value: object) -> Json:
    """A part of a request in a form that can be digested."""
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, Draft) and value.metadata is value.key is None:
        # As before there were metadata and keys: a request may be repeated by a newer program.
        return [value.text, _plain(value.ttl)]
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, timedelta):
        return ["seconds", value.total_seconds()]
    if isinstance(value, Unset):
        return ["unset"]
    if isinstance(value, Participant):
        return [value.id, value.display_name, value.metadata]
    return value


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


def thread_id_or_none(thread_id: str | None) -> str | None:
    """A thread id, if it can be one."""
    return None if thread_id is None else text("a thread id", thread_id, MAX_THREAD_ID_BYTES)


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
        raise InvalidArgument(
            f"if_none_match is '*', which means that nothing is there yet, not {if_none_match!r}"
        )
    if if_match is not None:
        raise InvalidArgument(
            "if_match requires an existing thread, if_none_match requires none: pass one of the two"
        )
    if not creating:
        raise InvalidArgument("if_none_match requires that there is no thread: pass create=True with it")
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


def stamp_of(name: str, time: datetime | None) -> datetime:
    """A time that what is to be restored needs."""
    checked = aware(name, time)
    if checked is None:
        raise InvalidArgument(f"a restore needs {name}, a datetime with a time zone")
    return checked


def cut_of(after: str | None, from_: str | None = None) -> Cut | None:
    """Where a history is cut: behind one message, or in front of one."""
    if after is not None and from_ is not None:
        raise InvalidArgument("a history is cut after a message, or from a message on: pass one of the two")
    if from_ is not None:
        return Cut(message_id_of(from_), behind=False)
    return None if after is None else Cut(message_id_of(after))


def page_span(
    last: int | None, after: str | None, before: str | None, limit: int | None, max_bytes: int | None
) -> Span:
    """What a page is to hold."""
    if last is not None and (after is not None or before is not None or limit is not None):
        raise InvalidArgument("last cannot be combined: pass either last, or after, before and limit")
    count, bytes_most = page_limit(limit if last is None else last), page_bytes(max_bytes)
    if after is None and before is None:
        return Span(count, newest=last is not None, max_bytes=bytes_most)
    return span_of(after, before, count)._replace(max_bytes=bytes_most)


def span_of(after: str | None, before: str | None, limit: int, *, newest: bool = False) -> Span:
    """What to read; a `before` without an `after` counts from its own end.

    A message's id or key stands for its position.
    """
    start, end = _place(after), _place(before)
    epochs = {place.epoch for place in (start, end) if isinstance(place, Place) and place.epoch is not None}
    if len(epochs) > 1:
        raise CursorExpired
    return Span(
        limit,
        after=start.position if isinstance(start, Place) else None,
        before=end.position if isinstance(end, Place) else None,
        newest=newest or (end is not None and start is None),
        epoch=epochs.pop() if epochs else None,
        after_message=start if isinstance(start, str) else None,
        before_message=end if isinstance(end, str) else None,
    )


def _place(given: str | None) -> Place | str | None:
    if given is None:
        return None
    if type(given) is str and (given.startswith(NAMED_BY_KEY) or is_message_id(given)):
        return message_id_of(given)
    return Place.parse(given)
