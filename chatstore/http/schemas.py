"""What bodies look like: the models that check them, and describe them in OpenAPI.

Nothing is coerced and no unknown field is taken. Messages and metadata pass through untouched.
What each value may be beyond its shape is the store's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, TypeAdapter, ValidationError

from chatstore import store
from chatstore.codec import Json
from chatstore.contract import UNSET
from chatstore.http import bodies
from chatstore.http.fields import (
    AnyMessages,
    Form,
    Message,
    Messages,
    Metadata,
    Owner,
    Seconds,
    ThreadId,
    Time,
    Topic,
)
from chatstore.http.problems import Invalid

__all__ = [
    "BODIES",
    "Fork",
    "History",
    "NewThread",
    "Participant",
    "Restoration",
    "ThreadPatch",
    "Turn",
    "adapter",
    "check",
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


Lives: TypeAlias = Seconds | Annotated[list[Seconds | None], Field(fail_fast=True)]


class Turn(Form):
    """Messages to be added together."""

    messages: Messages
    create: bool = Field(True, description="Whether to create the thread where there is none.")
    owner: Owner | None = Field(None, description="Of the thread, if it is created.")
    ttl: Seconds | None = Field(None, description=f"Of the thread, if it is created. {_TTL}")
    expires_in: Lives | None = Field(
        None, description="How many seconds these messages live; a list has one number or null for each."
    )


class History(Turn):
    """Messages to be put in place of all that are there."""

    messages: AnyMessages
    create: bool = Field(
        False, description="Whether to create the thread where there is none; not unless given."
    )


class KeptThread(Form):
    """A thread's properties as they were."""

    owner: Owner | None = None
    topic: Topic | None = None
    metadata: Metadata = Field({})
    participants: Participants = Field([])
    created_at: Time
    active_at: Time
    expires_at: Time | None = None


class KeptMessage(Form):
    """A message as it was."""

    id: str = Field(min_length=1, max_length=store.MAX_THREAD_ID_BYTES)
    created_at: Time
    expires_at: Time | None = None
    message: Message


class Restoration(Form):
    """A thread as it was, and messages that follow those that are there."""

    thread: KeptThread
    messages: list[KeptMessage] = Field([], max_length=store.MAX_LIMIT)


def _kind(value: object) -> str | None:
    if isinstance(value, list):
        return "messages"
    if isinstance(value, dict):
        return "message" if "role" in value else "envelope"
    return None


def _turn(value: Json | Turn) -> bodies.Turn:
    if not isinstance(value, Turn):
        return bodies.Turn(value if isinstance(value, list) else [value])
    ttl = value.ttl if "ttl" in value.model_fields_set else UNSET
    return bodies.Turn(value.messages, value.create, value.owner, ttl, value.expires_in)


def _history(value: Json | History) -> bodies.Turn:
    turn = _turn(value)
    return turn if isinstance(value, History) else turn._replace(create=False)


_BY_KIND = Discriminator(
    _kind,
    custom_error_type="no_kind",
    custom_error_message="send a message, a list, or {messages: […]}",
)

BODIES: Mapping[str, Any] = {
    "message": Message,
    "thread": NewThread,
    "patch": ThreadPatch,
    "fork": Fork,
    "restoration": Restoration,
    "turn": Annotated[
        Annotated[Message, Tag("message")]
        | Annotated[Messages, Tag("messages")]
        | Annotated[Turn, Tag("envelope")],
        _BY_KIND,
        AfterValidator(_turn),
    ],
    "history": Annotated[
        Annotated[AnyMessages, Tag("messages")] | Annotated[History, Tag("envelope")],
        _BY_KIND,
        AfterValidator(_history),
    ],
}
"""What each body is, by the name that routes have for it."""


@cache
def adapter(name: str) -> TypeAdapter[Any]:
    """What checks a body and describes it; made when it is first needed, because that takes a while."""
    return TypeAdapter(BODIES[name])


def check(name: str, value: Json) -> Any:
    """What a body says, by the schema of this name. Raises Invalid with what is wrong with it."""
    try:
        return adapter(name).validate_python(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise Invalid(
            (".".join(map(str, ("body", *fault["loc"]))), fault["msg"].removeprefix("Value error, "))
            for fault in faults
        ) from error
