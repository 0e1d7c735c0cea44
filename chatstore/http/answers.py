"""What answers look like: models that only describe them, in OpenAPI, and are loaded for that alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, RootModel

from chatstore.http.fields import Message, MessageMetadata, Metadata
from chatstore.http.schemas import Origin, Participant

__all__ = [
    "Appended",
    "Changes",
    "ClearedOrCut",
    "Count",
    "Deleted",
    "Entry",
    "Erased",
    "FoundPage",
    "Health",
    "Html",
    "MessagePage",
    "Metrics",
    "OpenApi",
    "Problem",
    "Thread",
    "ThreadPage",
]

Stamp: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Cursor: TypeAlias = Annotated[str | None, Field(description="Goes on where this page ends; null at the end.")]


class Thread(BaseModel):
    """A thread's properties. `sliding` is how many seconds it lives after its last append, if that slides."""

    id: str
    href: str
    owner: str | None
    topic: str | None
    metadata: Metadata
    participants: list[Participant]
    created_at: Stamp
    active_at: Stamp
    expires_at: Stamp | None
    etag: str
    kind: str
    sliding: float | None
    forked_from: Origin | None
    message_count: int = Field(0, description="Only in a list with `preview=true`.")
    preview: str | None = Field(None, description="Only in a list with `preview=true`.")


class ThreadPage(BaseModel):
    """Threads, in the order of their activity."""

    items: list[Thread]
    next: Cursor


class Changes(BaseModel):
    """Threads that became active, the oldest activity first. `next` is always there: keep it for later."""

    items: list[Thread]
    next: str


class Count(BaseModel):
    """How many threads there are."""

    threads: int


class Entry(BaseModel):
    """What the store adds to a message, and the message exactly as it was sent."""

    id: str
    position: str
    created_at: Stamp
    expires_at: Stamp | None
    etag: str
    key: str | None
    metadata: MessageMetadata
    message: Message


class Found(BaseModel):
    """A message that has the words, its thread, and a part of its text around one of them."""

    thread_id: str
    href: str
    snippet: str
    entry: Entry


class FoundPage(BaseModel):
    """Messages that a search found."""

    items: list[Found]
    next: Cursor


class Tokens(BaseModel):
    """How large a window is, and how that was counted."""

    total: int
    counter: Literal["estimate", "messages"]


class MessagePage(BaseModel):
    """Messages, oldest first. `end` goes on after the newest of them, now or later."""

    items: list[Entry]
    next: Cursor
    end: str | None
    etag: str | None
    href: str
    tokens: Tokens = Field(
        Tokens(total=0, counter="messages"), description="Only where max_tokens was asked for."
    )


class Appended(BaseModel):
    """What was stored. `kept` counts the leading messages that a replacement left as they were.

    `thread_etag` names the properties, where they were changed or compared.
    """

    items: list[Entry]
    kept: int
    etag: str
    href: str
    thread_etag: str | None = None


class Deleted(BaseModel):
    """Whether there was anything to delete; a cleared log has an `etag`."""

    existed: bool
    etag: str | None


ClearedOrCut: TypeAlias = Deleted | Appended


class Erased(BaseModel):
    """What was removed: threads, messages, remembered results of requests, and API keys."""

    threads: int
    messages: int
    requests: int
    keys: int


class Health(BaseModel):
    """The service is there."""

    status: Literal["ok"]


class Fault(BaseModel):
    """Where a request does not fit its schema."""

    model_config = ConfigDict(serialize_by_alias=True)

    where: str = Field(alias="in")
    detail: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable; `current` is the ETag that holds, for 412.

    `key` and `message_id` name the message that is there, for `message-exists`.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    current: str | None = None
    key: str | None = None
    message_id: str | None = None
    errors: list[Fault] = Field([])


class OpenApi(BaseModel):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class Metrics(RootModel[str]):
    """Metrics as Prometheus reads them."""


class Html(RootModel[str]):
    """A page of HTML."""
