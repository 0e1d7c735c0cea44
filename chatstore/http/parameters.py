"""What comes in paths, queries and headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema

from chatstore import RequestId, paths, store
from chatstore.http.fields import Count, Form, Owner, Place, Time, TokenCount

__all__ = [
    "ETAG",
    "KEY",
    "IfNoneMatch",
    "MessagePath",
    "MessagesQuery",
    "Mutation",
    "NoHeaders",
    "NoPath",
    "NoQuery",
    "OwnerPath",
    "ThreadPath",
    "ThreadsQuery",
]

ETAG = r'^("[!#-~]{1,512}"|\*)$'
"""One strong entity tag, or any."""

KEY = r'^("[!#-~]{1,254}"|[!#-~]{1,256})$'
"""A request id, in quotes or not."""

_UNBRACKETED = r"^[^\[\]]+$"
_HTTP_DATE = (
    r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"[0-9]{4} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT$"
)


def _http_date(value: object) -> datetime:
    if not isinstance(value, str) or not re.match(_HTTP_DATE, value):
        raise ValueError("this is an HTTP date, such as Sat, 31 Jan 2026 12:00:00 GMT")
    return parsedate_to_datetime(value).replace(tzinfo=UTC)


class NoPath(Form):
    """No parameters in the path."""


class ThreadPath(Form):
    """Names a thread."""

    id: Annotated[
        str,
        PlainValidator(paths.thread_id),
        WithJsonSchema({"type": "string", "pattern": paths.THREAD_PATTERN}),
    ] = Field(
        description="The thread's id as it is, if it is made of letters, digits and ._~@:- only; otherwise, "
        "and for an empty one, '.', '..' and those that begin with b64:, `b64:` and the base64url of its "
        "UTF-8 without padding. Every answer has it ready in `href`."
    )


class OwnerPath(Form):
    """Names an owner."""

    owner: Annotated[
        str,
        PlainValidator(paths.thread_id),
        WithJsonSchema({"type": "string", "pattern": paths.THREAD_PATTERN}),
    ] = Field(description="The owner, written in a path as a thread's id is.")


class MessagePath(ThreadPath):
    """Names a message of a thread."""

    message_id: Annotated[
        str,
        PlainValidator(paths.message_id),
        WithJsonSchema({"type": "string", "pattern": paths.MESSAGE_PATTERN}),
    ] = Field(description="The message's id, as the store gave it.")


class NoQuery(Form):
    """No parameters in the query."""


class ThreadsQuery(Form):
    """Which threads to list."""

    limit: Count = Field(store.DEFAULT_LIMIT, description="The most threads in an answer.")
    cursor: Annotated[str, Field(json_schema_extra={"format": "thread-cursor"})] | None = Field(
        None, description="The `next` of the page before."
    )
    owner: Owner | None = Field(None, description="Only the threads of this owner.")
    active_since: Time | None = Field(None, description="Only threads with messages, or created, since then.")
    metadata: Annotated[
        Mapping[Annotated[str, Field(pattern=_UNBRACKETED)], str],
        WithJsonSchema(
            {
                "type": "object",
                "propertyNames": {"pattern": _UNBRACKETED},
                "additionalProperties": {"type": "string"},
            }
        ),
    ] = Field(
        {}, description="`metadata[KEY]=VALUE`: only threads whose metadata has this text under this key."
    )


class MessagesQuery(Form):
    """Which messages to read."""

    last: Count | None = Field(
        None, description="The newest so many. Not together with after, before, limit or max_tokens."
    )
    after: Place | None = Field(None, description="A cursor or position: what follows it, from there on.")
    before: Place | None = Field(None, description="A cursor or position: alone, the nearest before it.")
    limit: Count | None = Field(None, description="The most messages in an answer; 100 unless given.")
    max_tokens: TokenCount | None = Field(
        None, description="The newest messages that fit into so many tokens. Stands alone, but for keep."
    )
    keep: str | None = Field(
        None,
        max_length=1000,
        description="Only with max_tokens: the roles, separated by commas, of leading messages that stay; "
        "system,developer unless given.",
    )


class NoHeaders(Form):
    """No headers of our own."""


class IfNoneMatch(Form):
    """A read that may answer 304."""

    if_none_match: str | None = Field(
        None, alias="If-None-Match", description="ETags already held: if one is current, the answer is 304."
    )


class Mutation(Form):
    """Every write: safe to repeat, and conditional where wanted."""

    if_match: Annotated[str, Field(pattern=ETAG, json_schema_extra={"format": "entity-tag"})] | None = Field(
        None,
        alias="If-Match",
        description="One strong ETag that must still hold, or *; else the answer is 412.",
    )
    idempotency_key: Annotated[str, Field(pattern=KEY)] | None = Field(
        None,
        alias="Idempotency-Key",
        description="Makes the request safe to repeat: the same key gives the first answer again. A UUIDv7 "
        "or ULID is remembered for 24 hours. The same key with another request is refused.",
    )
    repeatability_request_id: Annotated[str, Field(pattern=KEY)] | None = Field(
        None, alias="Repeatability-Request-ID", description="The same under its OASIS name."
    )
    repeatability_first_sent: (
        Annotated[
            datetime,
            PlainValidator(_http_date),
            WithJsonSchema({"type": "string", "format": "http-date"}),
        ]
        | None
    ) = Field(
        None,
        alias="Repeatability-First-Sent",
        description="When the request was first sent, for a key without a time.",
    )

    @property
    def request_id(self) -> str | None:
        """What makes the request repeatable; a key in quotes is the key without them."""
        key = self.idempotency_key or self.repeatability_request_id
        if key is None:
            return None
        key = key.strip('"')
        return key if self.repeatability_first_sent is None else RequestId(key, self.repeatability_first_sent)

    @property
    def etag(self) -> str | None:
        """The condition as the store takes it."""
        return None if self.if_match is None else self.if_match.strip('"')
