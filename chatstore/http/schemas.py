"""What bodies and answers look like: the models that check the ones and describe both in OpenAPI.

Nothing is coerced and no unknown field is taken. Messages and metadata pass through untouched.
What each value may be beyond its shape is the store's to say.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, RootModel, Tag, TypeAdapter

from chatstore import store
from chatstore.codec import Json
from chatstore.http.fields import (
    AnyMessages,
    Form,
    Message,
    Messages,
    Metadata,
    Owner,
    Seconds,
    ThreadId,
    Topic,
)

__all__ = [
    "FORK",
    "HISTORY",
    "MESSAGE",
    "PATCH",
    "THREAD",
    "TURN",
    "Appended",
    "Deleted",
    "Entry",
    "Erased",
    "Fork",
    "Health",
    "History",
    "Html",
    "MessagePage",
    "NewThread",
    "OpenApi",
    "Problem",
    "Thread",
    "ThreadPage",
    "ThreadPatch",
    "Turn",
]


_TTL = "Seconds from now; null means for ever; absent, the service's default for the tenant."


class Participant(Form):
    """Somebody who takes part in a thread; ids within a thread are unique."""

    id: ThreadId
    display_name: Topic | None = None
    metadata: Metadata = Field({})


Participants: TypeAlias = Annotated[
    list[Participant], Field(max_length=store.MAX_PARTICIPANTS, description="Ids within a thread are unique.")
]


class NewThread(Form):
    """A thread to be created, without messages."""

    id: ThreadId | None = Field(
        None, description="Any text, up to 1,024 bytes of UTF-8; one is made unless given."
    )
    topic: Topic | None = None
    owner: Owner | None = None
    metadata: Metadata = Field({})
    participants: Participants = Field([])
    ttl: Seconds | None = Field(None, description=_TTL)


class ThreadPatch(Form):
    """A merge patch (RFC 7396): what is not named stays, null removes."""

    topic: Topic | None = None
    metadata: Metadata | None = None
    participants: Participants | None = None
    ttl: Seconds | None = None


class Fork(Form):
    """Where a copy of a thread goes, and how far it reaches."""

    id: ThreadId | None = Field(None, description="The new thread's id; one is made unless given.")
    through: ThreadId | None = Field(
        None, description="The id of the last message to copy; all unless given."
    )


class Turn(Form):
    """Messages to be added together."""

    messages: Messages
    create: bool = Field(True, description="Whether to create the thread where there is none.")
    owner: Owner | None = Field(None, description="Of the thread, if it is created.")
    ttl: Seconds | None = Field(None, description=f"Of the thread, if it is created. {_TTL}")
    expires_in: Seconds | None = Field(None, description="How many seconds these messages live.")


class History(Turn):
    """Messages to be put in place of all that are there."""

    messages: AnyMessages
    create: bool = Field(False, description="Whether to create the thread where there is none.")


def _kind(value: object) -> str | None:
    if isinstance(value, list):
        return "messages"
    if isinstance(value, dict):
        return "message" if "role" in value else "envelope"
    return None


def _turn(value: Json | Turn) -> Turn:
    if isinstance(value, Turn):
        return value
    return Turn.model_validate({"messages": value if isinstance(value, list) else [value]})


def _history(value: list[dict[str, Json]] | History) -> History:
    return value if isinstance(value, History) else History.model_validate({"messages": value})


_NO_KIND = {
    "custom_error_type": "no_kind",
    "custom_error_message": "send a message, a list, or {messages: […]}",
}

MESSAGE: TypeAdapter[dict[str, Json]] = TypeAdapter(Message)
THREAD = TypeAdapter(NewThread)
PATCH = TypeAdapter(ThreadPatch)
FORK = TypeAdapter(Fork)
TURN: TypeAdapter[Turn] = TypeAdapter(
    Annotated[  # type: ignore[arg-type]  # its last validator gives a Turn
        Annotated[Message, Tag("message")]
        | Annotated[Messages, Tag("messages")]
        | Annotated[Turn, Tag("envelope")],
        Discriminator(_kind, **_NO_KIND),
        AfterValidator(_turn),
    ]
)
HISTORY: TypeAdapter[History] = TypeAdapter(
    Annotated[  # type: ignore[arg-type]  # its last validator gives a History
        Annotated[AnyMessages, Tag("messages")] | Annotated[History, Tag("envelope")],
        Discriminator(_kind, **_NO_KIND),
        AfterValidator(_history),
    ]
)


Stamp: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Cursor: TypeAlias = Annotated[str | None, Field(description="Goes on where this page ends; null at the end.")]


class Thread(BaseModel):
    """A thread's properties."""

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


class ThreadPage(BaseModel):
    """Threads, newest activity first."""

    items: list[Thread]
    next: Cursor


class Entry(BaseModel):
    """What the store adds to a message, and the message exactly as it was sent."""

    id: str
    position: str
    created_at: Stamp
    etag: str
    message: Message


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
    """What was stored. `kept` counts the leading messages that a replacement left as they were."""

    items: list[Entry]
    kept: int
    etag: str
    href: str


class Deleted(BaseModel):
    """Whether there was anything to delete; a cleared log has an `etag`."""

    existed: bool
    etag: str | None


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
    """RFC 9457. `code` is stable; `current` is the ETag that holds, for 412."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    current: str | None = None
    errors: list[Fault] = Field([])


class OpenApi(BaseModel):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class Html(RootModel[str]):
    """A page of HTML."""
