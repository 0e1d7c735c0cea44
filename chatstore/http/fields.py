"""Values of bodies that more than one model has, each with what it may be and how it is described."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from typing_extensions import TypeAliasType

from chatstore import store
from chatstore.codec import Json
from chatstore.http import bodies
from chatstore.http.parameters import ETAGS, time_of

__all__ = [
    "AnyMessages",
    "ETag",
    "Form",
    "Key",
    "Kind",
    "Message",
    "MessageMetadata",
    "MessageName",
    "Messages",
    "Metadata",
    "Owner",
    "Seconds",
    "ThreadId",
    "Time",
    "Topic",
]

_MOST_FIELDS = 100


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
    if bodies.message(value) is None:
        raise ValueError("a message needs a role: a string such as 'user' or 'assistant'")
    return value


def _object(value: object) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ValueError("this is a JSON object")
    return value


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
MessageMetadata: TypeAlias = Annotated[
    Any,
    PlainValidator(_object),
    WithJsonSchema(
        {"type": "object", "additionalProperties": True, "description": "Any JSON object, up to 16 KiB."}
    ),
]
Key: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        max_length=store.MAX_KEY_BYTES,
        description="Your own name for a message, which no other message of the thread has; up to 256 bytes.",
    ),
]
Kind: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        max_length=store.MAX_KIND_BYTES,
        description="What a thread is kept for, up to 64 bytes; only a list that asks for a kind other than "
        "`chat` shows it.",
    ),
]
MessageName: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        max_length=store.MAX_THREAD_ID_BYTES,
        description="A message's id, or `key:` and its key.",
    ),
]
ETag: TypeAlias = Annotated[
    str, Field(pattern=ETAGS, description="The thread's ETag, which has to hold; else the answer is 412.")
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


def _time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("this is an RFC 3339 time with its zone")
    return time_of(value)


Time: TypeAlias = Annotated[
    datetime, PlainValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
Seconds: TypeAlias = Annotated[
    float,
    Field(
        ge=0.000001, le=store.MAX_TTL.total_seconds(), description="Seconds from now; null means for ever."
    ),
]
