"""Models that only describe what bodies and answers look like, in OpenAPI, and are loaded for that alone."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AddedParticipants",
    "ChatMessage",
    "ChatMessages",
    "ChatParticipants",
    "ChatThread",
    "ChatThreads",
    "Error",
    "Identifier",
    "MessageChange",
    "NewChatThread",
    "NewMessage",
    "NewParticipants",
    "NewReceipt",
    "Notice",
    "Receipts",
    "SentMessage",
    "ThreadChange",
    "ThreadCreated",
]

Stamp: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
NextLink: TypeAlias = Annotated[
    str, Field(description="The next page, below the service's address; absent at the end.")
]
Texts: TypeAlias = Annotated[dict[str, str], Field(description="Texts by names of your choice but `acs`.")]
Changes: TypeAlias = Annotated[
    dict[str, str | None], Field(description="Merged into what is there; null removes a key.")
]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
User: TypeAlias = Annotated[str, Field(min_length=1, description="A user: the owner of a credential.")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CommunicationUser(_Asked):
    """A user of the service."""

    id: User


class Identifier(_Asked):
    """Who is meant: `rawId` and the user's `id` are the same."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "anyOf": [
                {"properties": {"rawId": {"type": "string"}}, "required": ["rawId"]},
                {"properties": {"communicationUser": {"type": "object"}}, "required": ["communicationUser"]},
            ]
        },
    )

    rawId: User | None = None  # noqa: N815 - the names here are the API's
    kind: str | None = None
    communicationUser: CommunicationUser | None = None  # noqa: N815


class ChatParticipant(_Asked):
    """Somebody who takes part, and from when on the history is shown to them: all of it unless given."""

    communicationIdentifier: Identifier  # noqa: N815
    displayName: str | None = None  # noqa: N815
    shareHistoryTime: Stamp | None = None  # noqa: N815
    metadata: Texts | None = None


class DeletedAfter(_Asked):
    """A thread is deleted so many days after it was created."""

    kind: Literal["threadCreationDate"]
    deleteThreadAfterDays: int = Field(ge=1, le=36525)  # noqa: N815


class NeverDeleted(_Asked):
    """A thread is never deleted by itself."""

    kind: Literal["none"]
    deleteThreadAfterDays: None = None  # noqa: N815


RetentionPolicy: TypeAlias = DeletedAfter | NeverDeleted


class NewChatThread(_Asked):
    """A thread to be made; the caller takes part in any case."""

    topic: Text
    participants: list[ChatParticipant] | None = None
    metadata: Texts | None = None
    retentionPolicy: RetentionPolicy | None = None  # noqa: N815


class ThreadChange(_Asked):
    """What is to change of a thread's properties; what is not given stays."""

    topic: Text = ""
    metadata: Changes | None = None
    retentionPolicy: RetentionPolicy | None = None  # noqa: N815


class NewMessage(_Asked):
    """A message to be sent."""

    content: Text
    type: Literal["text", "html"] | None = None
    senderDisplayName: str | None = None  # noqa: N815
    metadata: Texts | None = None


class MessageChange(_Asked):
    """What is to change of a message; what is not given stays."""

    content: Text | None = None
    metadata: Changes | None = None


class NewParticipants(_Asked):
    """Participants to be added."""

    participants: list[ChatParticipant] = Field(min_length=1)


class NewReceipt(_Asked):
    """Up to which message the caller has read."""

    chatMessageId: Text  # noqa: N815


class Notice(_Asked):
    """That the caller types."""

    senderDisplayName: str | None = None  # noqa: N815


class ChatThread(BaseModel):
    """A thread's properties."""

    id: str
    topic: str
    createdOn: Stamp  # noqa: N815
    createdByCommunicationIdentifier: Identifier = Identifier()  # noqa: N815
    metadata: Texts = {}
    retentionPolicy: RetentionPolicy = NeverDeleted(kind="none")  # noqa: N815


class ChatError(BaseModel):
    """What is wrong, and with whom."""

    code: str
    message: str
    target: str = ""


class ThreadCreated(BaseModel):
    """The new thread, and whom it could not take."""

    chatThread: ChatThread  # noqa: N815
    invalidParticipants: list[ChatError]  # noqa: N815


class AddedParticipants(BaseModel):
    """Whom the thread could not take."""

    invalidParticipants: list[ChatError]  # noqa: N815


class ChatThreadItem(BaseModel):
    """A thread in a list."""

    id: str
    topic: str
    lastMessageReceivedOn: Stamp  # noqa: N815


class ChatThreads(BaseModel):
    """A page of threads."""

    value: list[ChatThreadItem]
    nextLink: NextLink = ""  # noqa: N815


class SentMessage(BaseModel):
    """The new message's id."""

    id: str


class Content(BaseModel):
    """A text, or what was done to the thread, and who did it."""

    message: str = ""
    topic: str = ""
    participants: list[ChatParticipant] = []
    initiatorCommunicationIdentifier: Identifier = Identifier()  # noqa: N815


class ChatMessage(BaseModel):
    """A message; one that was deleted has no content."""

    id: str
    type: str
    sequenceId: str  # noqa: N815
    version: str
    createdOn: Stamp  # noqa: N815
    content: Content = Content()
    senderCommunicationIdentifier: Identifier = Identifier()  # noqa: N815
    senderDisplayName: str = ""  # noqa: N815
    editedOn: Stamp = ""  # noqa: N815
    deletedOn: Stamp = ""  # noqa: N815
    metadata: Texts = {}


class ChatMessages(BaseModel):
    """A page of messages, the newest first."""

    value: list[ChatMessage]
    nextLink: NextLink = ""  # noqa: N815


class ChatParticipants(BaseModel):
    """A page of participants."""

    value: list[ChatParticipant]
    nextLink: NextLink = ""  # noqa: N815


class Receipt(BaseModel):
    """Up to which message somebody has read, and when they said so."""

    senderCommunicationIdentifier: Identifier  # noqa: N815
    chatMessageId: str  # noqa: N815
    readOn: Stamp  # noqa: N815


class Receipts(BaseModel):
    """A page of receipts."""

    value: list[Receipt]
    nextLink: NextLink = ""  # noqa: N815


class Error(BaseModel):
    """What is refused: a code that says which kind it is, and what to change."""

    error: ChatError
