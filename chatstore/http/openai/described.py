"""Models that only describe what bodies and answers look like, in OpenAPI, and are loaded for that alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from chatstore.http.fields import Owner, Seconds

__all__ = [
    "Conversation",
    "ConversationDeleted",
    "ConversationItem",
    "ConversationItemList",
    "ConversationList",
    "ConversationUpdate",
    "ConversationsError",
    "NewConversation",
    "NewItems",
]

ConversationMetadata: TypeAlias = Annotated[
    dict[
        Annotated[str, Field(max_length=64)],
        Annotated[str, Field(max_length=512)],
    ],
    Field(max_length=16, description="Up to 16 texts of up to 512 characters, by keys of up to 64."),
]
_TTL = "Seconds from now; null means for ever; absent, the service's default for the tenant."
_SLIDING = "Whether the ttl counts from the last item, at least."


class NewMessage(BaseModel):
    """A message. All of its fields are kept as they are sent."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"examples": [{"role": "user", "content": "hello"}]}
    )

    type: Literal["message"] = "message"
    role: str = Field(min_length=1)
    content: str | list[Any] | None = Field(description="Text, or a list of parts.")


class NewCall(BaseModel):
    """Any other item of OpenAI's Responses API but a reference, kept as it is sent."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(min_length=1, json_schema_extra={"not": {"enum": ["message", "item_reference"]}})


NewItem: TypeAlias = NewMessage | NewCall


class NewConversation(BaseModel):
    """A conversation to be made, with its first items."""

    model_config = ConfigDict(extra="forbid")

    items: list[NewItem] | None = Field(None, max_length=20)
    metadata: ConversationMetadata | None = None
    owner: Owner | None = None
    ttl: Seconds | None = Field(None, description=_TTL)
    sliding: bool = Field(False, description=_SLIDING)


class NewItems(BaseModel):
    """Items to be added together."""

    model_config = ConfigDict(extra="forbid")

    items: list[NewItem] = Field(min_length=1, max_length=20)


class ConversationUpdate(BaseModel):
    """What a conversation's metadata is to be, and when it expires."""

    model_config = ConfigDict(extra="forbid")

    metadata: ConversationMetadata | None
    ttl: Seconds | None = Field(None, description="Seconds from now; null means for ever.")
    sliding: bool = Field(False, description=f"{_SLIDING} Goes with a ttl.")


class Conversation(BaseModel):
    """A conversation. What the native API kept as its metadata may be any JSON."""

    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, Any]


class ListedConversation(Conversation):
    """A conversation as lists show it."""

    owner: str | None
    topic: str | None
    active_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    expires_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None


class ConversationDeleted(BaseModel):
    """It is gone."""

    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]


class ConversationItem(BaseModel):
    """An item as it was sent, under an id that was made here."""

    model_config = ConfigDict(extra="allow")

    id: str
    type: str


class ConversationItemList(BaseModel):
    """Items, in the order that was asked for."""

    object: Literal["list"]
    data: list[ConversationItem]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ConversationList(BaseModel):
    """Conversations, in the order of their activity. `last_id` is where the next page begins."""

    object: Literal["list"]
    data: list[ListedConversation]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ConversationsFault(BaseModel):
    """What is wrong. `param` names the place, `code` is stable."""

    message: str
    type: str
    param: str | None
    code: str | None


class ConversationsError(BaseModel):
    """An error as OpenAI's clients expect it."""

    error: ConversationsFault
