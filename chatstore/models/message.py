"""One message, as it was sent and as the store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, final

from chatstore.codec import Json, decode, encode, is_object
from chatstore.errors import CorruptData, InvalidMessage
from chatstore.models.cost import Cost
from chatstore.models.quick import quickly_made
from chatstore.wire import Entry, entries_text, rfc3339, to_micros

__all__ = ["Message", "message_text"]


@final
@quickly_made
@dataclass(frozen=True, slots=True)
class Message:
    """One message: what the caller sent, and beside it what the store added.

    `text` is the JSON that was sent. `to_dict` gives it as an object, equal in every type and in the order of
    its keys. A number that is not exactly a float becomes the nearest one, an `ExactFloat` of
    `chatstore.codec`, whose own `text` is what was sent. `id`, `position`, `created_at` and `etag` are None
    until the message is stored. `id` never changes and is never used again. `position` sorts in the thread's
    order and holds until the history is replaced. `etag` changes with each `replace_message` and
    `update_message`. `metadata` is kept beside what was sent, and changed without touching it. `key` is the
    client's own name for the message within its thread.
    """

    text: str
    id: str | None = None
    position: str | None = None
    created_at: datetime | None = None
    etag: str | None = None
    expires_at: datetime | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict, hash=False)
    key: str | None = None
    cost: Cost | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> Message:
        """A message from any JSON object that has a ``role``, all its other fields kept as they are.

        Raises InvalidMessage for anything else, and for values that JSON cannot carry.
        """
        return cls(message_text(data))

    def to_dict(self) -> dict[str, Json]:
        """What was sent, as a new dictionary each time. Raises CorruptData if that is damaged."""
        try:
            data = decode(self.text)
        except (ValueError, RecursionError) as error:
            raise CorruptData(f"the stored text of message {self.id!r} is damaged") from error
        if not isinstance(data, dict) or not isinstance(data.get("role"), str):
            raise CorruptData(f"the stored text of message {self.id!r} is no object with a role")
        return data

    def to_entry(self) -> dict[str, Json]:
        """The form on the wire and in an export: the store's fields, and ``message`` as it was sent."""
        return {
            "id": self.id,
            "position": self.position,
            "created_at": None if self.created_at is None else rfc3339(self.created_at),
            "expires_at": None if self.expires_at is None else rfc3339(self.expires_at),
            "etag": self.etag,
            "key": self.key,
            "metadata": dict(self.metadata),
            "message": self.to_dict(),
        }

    def entry_text(self) -> str:
        """The message as JSON text, with the text that was sent inside as it is.

        Raises CorruptData where that is not one JSON object.
        """
        return entries_text([self._entry()])

    def _entry(self) -> Entry:
        if not is_object(self.text):
            raise CorruptData(f"the stored text of message {self.id!r} is damaged")
        return (
            self.text,
            self.id,
            self.position,
            None if self.created_at is None else to_micros(self.created_at),
            None if self.expires_at is None else to_micros(self.expires_at),
            self.etag,
            self.key,
            encode(dict(self.metadata)) if self.metadata else None,
        )

    @property
    def role(self) -> str:
        """Who speaks: user, assistant, system, developer, tool, or whatever was sent."""
        role: str = self.to_dict()["role"]
        return role

    @property
    def content(self) -> Any:
        """The ``content`` that was sent, text or blocks; None where there is none."""
        return self.to_dict().get("content")


def message_text(data: Mapping[str, Json]) -> str:
    """The JSON text of a message. Raises InvalidMessage where it is none."""
    if type(data) is not dict and not isinstance(data, Mapping):
        raise InvalidMessage(f"a message is a JSON object with a role, not {type(data).__name__}")
    role = data.get("role")
    if not isinstance(role, str) or not role:
        raise InvalidMessage("a message needs a role: a string such as 'user' or 'assistant'")
    return encode(data if isinstance(data, dict) else dict(data))
