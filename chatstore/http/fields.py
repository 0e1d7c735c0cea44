"""Values of requests that more than one model has, each with what it may be and how it is described."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from typing_extensions import TypeAliasType

from chatstore import store
from chatstore.codec import Json

__all__ = [
    "AnyMessages",
    "Count",
    "Form",
    "Message",
    "Messages",
    "Metadata",
    "Owner",
    "Place",
    "Seconds",
    "ThreadId",
    "Time",
    "TokenCount",
    "Topic",
]

_MOST_FIELDS = 100
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_PLACE = r"^([0-9A-Za-z]{1,64}~)?[0-9A-Za-z.]{1,512}$"
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|([+-])(\d\d):(\d\d))")


class Form(BaseModel):
    """Takes what it names, as it is, and nothing else."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        arbitrary_types_allowed=True,
        defer_build=True,  # a new instance answers its first request sooner than it could make all of them
    )

    @model_validator(mode="before")
    @classmethod
    def _few(cls, given: object) -> object:
        # Each unknown field is a fault of its own, and hundreds of thousands of them fill the memory.
        if isinstance(given, dict) and len(given) > _MOST_FIELDS:
            raise ValueError(f"this has {len(given):,} fields, and takes {len(cls.model_fields)}")
        return given


def _message(value: object) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ValueError("a message is a JSON object")
    role = value.get("role")
    if not isinstance(role, str) or not role:
        raise ValueError("a message needs a role: a string such as 'user' or 'assistant'")
    return value


def _object(value: object) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ValueError("this is a JSON object")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, str) or not _WHOLE.fullmatch(value):
        raise ValueError("this is a whole number in decimal digits")
    return int(value)


def _time(value: object) -> datetime:
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            "this is an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z; a + is sent as %2B"
        )
    year, month, day, hour, minute, second = (int(digits) for digits in found.groups()[:6])
    offset = timedelta(hours=int(found[10] or 0), minutes=int(found[11] or 0))
    # A leap second, which datetime does not know, is the first moment of the next minute; a year
    # before any thread or past the calendar selects all or none as the nearest one does.
    local = datetime(min(max(year, 4), 9996), month, day, hour, minute, min(second, 59), tzinfo=UTC)
    fraction = timedelta(seconds=second - local.second, microseconds=int(float(found[7] or 0) * 1_000_000))
    if second > 60 or offset >= timedelta(days=1) or int(found[11] or 0) > 59:
        raise ValueError("there is no such time")
    return local + fraction + (offset if found[9] == "-" else -offset)


Message = TypeAliasType(
    "Message",
    Annotated[
        Any,
        PlainValidator(_message),
        WithJsonSchema(
            {
                "type": "object",
                "description": "Any JSON object with a role. All of its fields are kept exactly as sent.",
                "properties": {"role": {"type": "string", "minLength": 1}},
                "required": ["role"],
                "additionalProperties": True,
                "examples": [{"role": "user", "content": "hello"}],
            }
        ),
    ],
)
Metadata: TypeAlias = Annotated[
    Any,
    PlainValidator(_object),
    WithJsonSchema(
        {"type": "object", "additionalProperties": True, "description": "Any JSON object, up to 64 KiB."}
    ),
]
# Fail fast: the faults of a million messages fill the memory, and the first one says enough.
AnyMessages: TypeAlias = Annotated[
    list[Message], Field(fail_fast=True, json_schema_extra={"x-limit": "max_messages"})
]
Messages: TypeAlias = Annotated[AnyMessages, Field(min_length=1)]
ThreadId: TypeAlias = Annotated[
    str, Field(max_length=store.MAX_THREAD_ID_BYTES, description="Any text, up to 1,024 bytes of UTF-8.")
]
Owner: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=store.MAX_OWNER_BYTES, description="Up to 256 bytes of UTF-8.")
]
Topic: TypeAlias = Annotated[str, Field(max_length=store.MAX_TOPIC_BYTES)]
Seconds: TypeAlias = Annotated[
    float,
    Field(
        ge=0.000001, le=store.MAX_TTL.total_seconds(), description="Seconds from now; null means for ever."
    ),
]
Count: TypeAlias = Annotated[int, Field(ge=1, le=store.MAX_LIMIT), BeforeValidator(_whole)]
TokenCount: TypeAlias = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_whole)]
Place: TypeAlias = Annotated[str, Field(pattern=_PLACE)]
Time: TypeAlias = Annotated[
    datetime, PlainValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
