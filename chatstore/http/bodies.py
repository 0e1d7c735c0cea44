"""Bodies that carry messages. A message is taken as it is, so most of them need no schema.

Envelopes, and saying what is wrong, are left to `chatstore.http.schemas`, which loads pydantic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chatstore.codec import Json, Writer
from chatstore.contract import UNSET, Draft, Unset
from chatstore.store import MessageLike
from chatstore.store.arguments import Ttl, Ttls

__all__ = ["Turn", "drafted", "drafted_turn", "history", "message", "turn"]


class Turn(NamedTuple):
    """Messages to be added, or put in place of all that are there, together.

    `owner` and `ttl` are of the thread, if it is created.
    """

    messages: Sequence[MessageLike]
    create: bool = True
    owner: str | None = None
    ttl: Ttl | Unset = UNSET
    expires_in: Ttls = None


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
    """The same for each message of a turn."""
    return checked._replace(messages=[Draft(write(value)) for value in checked.messages])


def _messages(values: list[Json]) -> list[dict[str, Json]] | None:
    return values if all(message(value) for value in values) else None
