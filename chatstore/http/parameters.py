"""What comes in paths, queries and headers: each value is checked by what describes it in OpenAPI.

Each form is filled in by `chatstore.http.forms`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, NamedTuple

from chatstore import RequestId, paths
from chatstore.codec import Json
from chatstore.contract import ABSENT
from chatstore.http.forms import Parameter
from chatstore.http.problems import Malformed

__all__ = [
    "ETAGS",
    "KEY",
    "IfMatch",
    "IfNoneMatch",
    "MessagePath",
    "Mutation",
    "NoHeaders",
    "NoPath",
    "NoQuery",
    "OwnerPath",
    "TenantPath",
    "ThreadPath",
    "etags",
    "time_of",
]

_ETAG = r'((W/)?"[!#-~]{1,512}"|[!#-+\--~]{1,512})'
ETAGS = rf"^{_ETAG}( *, *{_ETAG}){{0,31}}$"
"""Entity tags, as people send them: in quotes or not, weak ones too, or `*` for any."""

KEY = r'^("[!#-~]{1,254}"|[!#-~]{1,256})$'
"""A request id, in quotes or not."""

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|([+-])(\d\d):(\d\d))")
_HTTP_DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"[0-9]{4} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT"
)


def _http_date(value: str) -> datetime:
    if not _HTTP_DATE.fullmatch(value):
        raise ValueError("this is an HTTP date, such as Sat, 31 Jan 2026 12:00:00 GMT")
    return parsedate_to_datetime(value).replace(tzinfo=UTC)


def time_of(value: str) -> datetime:
    """The time that RFC 3339 text says, to the microsecond. Raises ValueError."""
    found = _RFC3339.fullmatch(value)
    if found is None:
        raise ValueError(
            "this is an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z; a + is sent as %2B"
        )
    year, month, day, hour, minute, second = (int(digits) for digits in found.groups()[:6])
    offset = timedelta(hours=int(found[10] or 0), minutes=int(found[11] or 0))
    # datetime knows no leap seconds: one is the first moment of the next minute. A year before any thread, or
    # past the calendar, selects all or none as the nearest year does.
    local = datetime(min(max(year, 4), 9996), month, day, hour, minute, min(second, 59), tzinfo=UTC)
    fraction = timedelta(
        seconds=second - local.second, microseconds=int((found[7] or ".")[1:7].ljust(6, "0"))
    )
    if second > 60 or offset >= timedelta(days=1) or int(found[11] or 0) > 59:
        raise ValueError("there is no such time")
    return local + fraction + (offset if found[9] == "-" else -offset)


_TEXT: Mapping[str, Json] = {"type": "string"}
_THREAD: Mapping[str, Json] = {"pattern": paths.THREAD_PATTERN, "type": "string"}
_THREAD_ID = Parameter(
    _THREAD,
    "The thread's id as it is, if it is made of letters, digits and ._~@:- only; otherwise, "
    "and for an empty one, '.', '..' and those that begin with b64:, `b64:` and the base64url of its "
    "UTF-8 without padding. Every answer has it ready in `href`.",
    paths.thread_id,
)


def _anything(value: str) -> str:
    if value != "*":
        raise ValueError(
            "a write takes only * as If-None-Match: that nothing is there yet; ETags go into If-Match"
        )
    return value


class NoPath(NamedTuple):
    """No parameters in the path."""


class ThreadPath(NamedTuple):
    """Names a thread."""

    id: Annotated[str, _THREAD_ID]


class OwnerPath(NamedTuple):
    """Names an owner."""

    owner: Annotated[
        str, Parameter(_THREAD, "The owner, written in a path as a thread's id is.", paths.thread_id)
    ]


class TenantPath(NamedTuple):
    """Names a tenant."""

    tenant: Annotated[
        str, Parameter(_THREAD, "The tenant, written in a path as a thread's id is.", paths.thread_id)
    ]


class MessagePath(NamedTuple):
    """Names a message of a thread."""

    id: Annotated[str, _THREAD_ID]
    message_id: Annotated[
        str,
        Parameter(
            {"pattern": paths.MESSAGE_PATTERN, "type": "string"},
            "The message's id, as the store gave it, or `key:` and its key; written in a path as a thread's "
            "id is.",
            paths.message_id,
        ),
    ]


class NoQuery(NamedTuple):
    """No parameters in the query."""


def etags(header: str | None) -> str | None:
    """The ETags of an If-Match as the store takes them."""
    return None if header is None else re.sub(r" *, *", ",", header).replace('"', "")


class IfMatch(NamedTuple):
    """A condition alone, for what is safe to repeat by it."""

    if_match: Annotated[
        str | None,
        Parameter(
            {"format": "entity-tags", "pattern": ETAGS, "type": "string"},
            "The log's ETag, where the thread is there; without it, the thread is made.",
            name="If-Match",
        ),
    ] = None

    @property
    def etag(self) -> str | None:
        """The ETag without its quotes."""
        return etags(self.if_match)


class NoHeaders(NamedTuple):
    """No headers of our own."""


class IfNoneMatch(NamedTuple):
    """A read that may answer 304."""

    if_none_match: Annotated[
        str | None,
        Parameter(_TEXT, "ETags already held: if one is current, the answer is 304.", name="If-None-Match"),
    ] = None

    def holds(self, etag: str) -> bool:
        """Whether the caller already has what `etag` names, weakly compared."""
        held = (one.strip().removeprefix("W/") for one in (self.if_none_match or "").split(","))
        return any(one in ("*", etag, f'"{etag}"') for one in held)


class Mutation(NamedTuple):
    """Every write: safe to repeat, and conditional where wanted."""

    if_match: Annotated[
        str | None,
        Parameter(
            {"format": "entity-tags", "pattern": ETAGS, "type": "string"},
            "ETags of which one must still hold, or *, that it be there; else the answer is 412. A weak one "
            "never holds.",
            name="If-Match",
        ),
    ] = None
    if_none_match: Annotated[
        str | None,
        Parameter(
            {"enum": ["*"], "type": "string"},
            "Always *: nothing may be there yet; else the answer is 412.",
            _anything,
            name="If-None-Match",
        ),
    ] = None
    idempotency_key: Annotated[
        str | None,
        Parameter(
            {"pattern": KEY, "type": "string"},
            "Makes the request safe to repeat: the same key gives the first answer again. A UUIDv7 "
            "or ULID is remembered for 24 hours. The same key with another request is refused.",
            name="Idempotency-Key",
        ),
    ] = None
    repeatability_request_id: Annotated[
        str | None,
        Parameter(
            {"pattern": KEY, "type": "string"},
            "Idempotency-Key by its OASIS name; where both are sent, they are equal.",
            name="Repeatability-Request-ID",
        ),
    ] = None
    repeatability_first_sent: Annotated[
        datetime | None,
        Parameter(
            {"format": "http-date", "type": "string"},
            "When the request was first sent, for a key without a time.",
            _http_date,
            name="Repeatability-First-Sent",
        ),
    ] = None

    @property
    def request_id(self) -> str | None:
        """What makes the request repeatable; a key in quotes is the key without them.

        Raises Malformed where two different ones are given.
        """
        given = {
            key.strip('"') for key in (self.idempotency_key, self.repeatability_request_id) if key is not None
        }
        if len(given) > 1:
            raise Malformed("Idempotency-Key and Repeatability-Request-ID differ: send one of them")
        if not given:
            return None
        [key] = given
        return key if self.repeatability_first_sent is None else RequestId(key, self.repeatability_first_sent)

    @property
    def etag(self) -> str | None:
        """The condition as the store takes it."""
        if self.if_none_match is None:
            return etags(self.if_match)
        # Both at once ask that something be there and that nothing be: no etag is empty, so this never holds.
        return ABSENT if self.if_match is None else ""
