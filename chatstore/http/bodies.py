"""Bodies that carry messages. A message is taken as it is, so most of them need no schema.

Envelopes, and saying what is wrong, are left to `chatstore.http.schemas`, which loads pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from chatstore.codec import Json, Writer
from chatstore.contract import UNSET, Draft, Unset
from chatstore.store import MessageLike
from chatstore.store.arguments import Ttl, Ttls

__all__ = ["Change", "Turn", "drafted", "drafted_change", "drafted_turn", "history", "message", "turn"]


class Turn(NamedTuple):
    """Messages to be added, or put in place of all that are there, together.

    `owner` and `ttl` are of the thread, if it is created. `more` is what only an envelope has, by the names
    that the store's method has for it.
    """

    messages: Sequence[MessageLike]
    create: bool = True
    owner: str | None = None
    ttl: Ttl | Unset = UNSET
    expires_in: Ttls = None
    more: Mapping[str, Any] = MappingProxyType({})


class Change(NamedTuple):
    """What is to change of a message: what was sent, what is kept beside it, or both."""

    message: MessageLike | None = None
    metadata: Mapping[str, Json] | Unset | None = UNSET
    merge: bool = True
    if_thread: str | None = None


def message(value: Json) -> dict[str, Json] | None:
    """A message; None for anything else."""
    role = value.get("role") if isinstance(value, dict) else None
    return value if isinstance(role, str) and role else None


def turn(value: Json) -> Turn | None:
    """A message or a list of some, as a turn; None for anything else."""
    messages = _messages(value if isinstance(value, list) else [value])
    return Turn(messages) if messages else None


def history(value: Json) -> Turn | None:
    """A list of messages, to be all that are there; None for anything else."""
    messages = _messages(value) if isinstance(value, list) else None
    return None if messages is None else Turn(messages, create=False)


def drafted(value: MessageLike, write: Writer) -> Draft:
    """A message of a body as it is to be stored: the body was checked, so it is only written."""
    return Draft(write(value))


def drafted_turn(checked: Turn, write: Writer) -> Turn:
    """A turn with its messages as they are to be stored."""
    return checked._replace(messages=[Draft(write(value)) for value in checked.messages])


def drafted_change(checked: Change, write: Writer) -> Change:
    """A change with its message, if it has one, as it is to be stored."""
    return checked if checked.message is None else checked._replace(message=Draft(write(checked.message)))


def _messages(values: list[Json]) -> list[dict[str, Json]] | None:
    return values if all(message(value) for value in values) else None
