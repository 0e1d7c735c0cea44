"""What bodies look like: the models that check them, and describe them in OpenAPI.

Nothing is coerced and no unknown field is taken. Messages and metadata pass through untouched.
What each value may be beyond its shape is the store's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from chatstore import store
from chatstore.codec import Json
from chatstore.contract import UNSET
from chatstore.http import bodies
from chatstore.http.fields import (
    AnyMessages,
    ETag,
    Form,
    Key,
    Kind,
    Message,
    MessageMetadata,
    MessageName,
    Messages,
    Metadata,
    Owner,
    Seconds,
    ThreadId,
    Time,
    Topic,
)
from chatstore.http.parameters import etags
from chatstore.http.problems import Invalid
from chatstore.models import CHAT

__all__ = [
    "BODIES",
    "Change",
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
_SLIDING = "Whether the ttl counts from the last append, at least."
_MERGE = "Whether metadata is merged into what is there, null removing a key, or replaces it."


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
    sliding: bool = Field(False, description=_SLIDING)
    kind: Kind = CHAT


class ThreadPatch(Form):
    """A merge patch (RFC 7396): what is not named stays, null removes."""

    topic: Topic | None = None
    metadata: Metadata | None = None
    participants: Participants | None = None
    ttl: Seconds | None = None
    sliding: bool = Field(False, description=f"{_SLIDING} Goes with a ttl.")
    merge: bool = Field(True, description=_MERGE)

    def given(self) -> dict[str, Any]:
        """What it names, by the names that the store has."""
        named = {name: getattr(self, name) for name in self.model_fields_set}
        if self.participants is not None:
            named["participants"] = [one.model_dump() for one in self.participants]
        return named


class Fork(Form):
    """Where a copy of a thread goes, and how far it reaches."""

    id: ThreadId | None = Field(None, description="The new thread's id; one is made unless given.")
    through: ThreadId | None = Field(
        None, description="The last message to copy, by its id, or `key:` and its key; all unless given."
    )
    before: ThreadId | None = Field(
        None, description="The first message to leave out, named alike, in place of `through`."
    )
    topic: Topic | None = Field(None, description="In place of the source's; null for none.")
    metadata: Metadata | None = Field(None, description="Changes what the new thread has of the source's.")
    merge: bool = Field(True, description=_MERGE)
    owner: Owner | None = Field(None, description="In place of the source's; null for nobody.")


Lives: TypeAlias = Seconds | Annotated[list[Seconds | None], Field(fail_fast=True)]


_ONE_OR_EACH = "One for all of the messages, or a list with one or null for each."


class Envelope(Form):
    """What goes with messages, and makes the thread, if it is created, what it is to be."""

    create: bool = Field(True, description="Whether to create the thread where there is none.")
    owner: Owner | None = Field(None, description="Of the thread, if it is created.")
    ttl: Seconds | None = Field(None, description=f"Of the thread, if it is created. {_TTL}")
    expires_in: Lives | None = Field(
        None, description="How many seconds these messages live; a list has one number or null for each."
    )
    metadata: MessageMetadata | Annotated[list[MessageMetadata | None], Field(fail_fast=True)] | None = Field(
        None, description=f"What is kept beside these messages. {_ONE_OR_EACH}"
    )
    key: Key | Annotated[list[Key | None], Field(fail_fast=True)] | None = Field(
        None, description="The name of the message, or a list with one or null for each."
    )
    topic: Topic | None = Field(None, description="Of the thread, if it is created.")
    thread_metadata: Metadata = Field({}, description="Of the thread, if it is created.")
    participants: Participants = Field([], description="Of the thread, if it is created.")
    kind: Kind = CHAT
    sliding: bool = Field(False, description=f"Of the thread, if it is created. {_SLIDING}")

    def more(self) -> dict[str, Any]:
        """What few envelopes have, by the names that the store's methods have."""
        named = {name: getattr(self, name) for name in _MORE & self.model_fields_set}
        if self.participants:
            named["participants"] = [one.model_dump() for one in self.participants]
        return named


_MORE = {"metadata", "key", "topic", "thread_metadata", "participants", "kind", "sliding", "after"}


class Turn(Envelope):
    """Messages to be added together."""

    messages: Messages
    after: MessageName | None = Field(
        None,
        description="Everything that follows this message is taken away first, in the same step: its id, or "
        "`key:` and its key.",
    )
    patch: ThreadPatch | None = Field(
        None, description="Changes to the thread's properties, in the same step."
    )
    if_thread: ETag | None = None

    def more(self) -> dict[str, Any]:
        """What few envelopes have, by the names that the store's methods have."""
        named = super().more()
        if self.patch is not None:
            named["patch"] = self.patch.given()
        if self.if_thread is not None:
            named["if_thread"] = etags(self.if_thread)
        return named


class History(Envelope):
    """Messages to be put in place of all that are there."""

    messages: AnyMessages
    create: bool = Field(
        False, description="Whether to create the thread where there is none; not unless given."
    )


class Change(Form):
    """What is to change of a message: what was sent, what is kept beside it, or both in one step."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["message"]}, {"required": ["metadata"]}]}
    )

    message: Message = Field(None, description="In place of what was sent.")
    metadata: MessageMetadata | None = Field(None, description="What is kept beside it; null removes it.")
    merge: bool = Field(True, description=_MERGE)
    if_thread: ETag | None = None


class Origin(Form):
    """What a thread was forked from: that thread's id, and its last message that was copied."""

    thread: ThreadId
    message: ThreadId | None = None


class KeptThread(Form):
    """A thread's properties as they were."""

    owner: Owner | None = None
    topic: Topic | None = None
    metadata: Metadata = Field({})
    participants: Participants = Field([])
    created_at: Time
    active_at: Time
    expires_at: Time | None = None
    kind: Kind = CHAT
    sliding: Seconds | None = Field(None, description="How many seconds it lives after its last append.")
    forked_from: Origin | None = None


class KeptMessage(Form):
    """A message as it was."""

    id: str = Field(min_length=1, max_length=store.MAX_THREAD_ID_BYTES)
    created_at: Time
    expires_at: Time | None = None
    key: Key | None = None
    metadata: MessageMetadata = Field({})
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


def _turn(value: Json | Turn | History) -> bodies.Turn:
    if not isinstance(value, (Turn, History)):
        return bodies.Turn(value if isinstance(value, list) else [value])
    ttl = value.ttl if "ttl" in value.model_fields_set else UNSET
    return bodies.Turn(value.messages, value.create, value.owner, ttl, value.expires_in, value.more())


def _history(value: Json | History) -> bodies.Turn:
    turn = _turn(value)
    return turn if isinstance(value, History) else turn._replace(create=False)


def _change(value: Change) -> bodies.Change:
    named = value.model_fields_set
    if value.message is None and "metadata" not in named:
        raise ValueError("a change names message, metadata, or both")
    metadata = value.metadata if "metadata" in named else UNSET
    return bodies.Change(value.message, metadata, value.merge, etags(value.if_thread))


_BY_KIND = Discriminator(
    _kind,
    custom_error_type="no_kind",
    custom_error_message="send a message, a list, or {messages: […]}",
)

BODIES: Mapping[str, Any] = {
    "message": Message,
    "change": Annotated[Change, AfterValidator(_change)],
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
