"""Bodies that carry messages. A message is taken as it is, so most of them need no schema.

Envelopes, and saying what is wrong, are left to `chatstore.http.schemas`, which loads pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar, cast

from chatstore.codec import Json
from chatstore.contract import UNSET, Unset
from chatstore.models import Message
from chatstore.store.arguments import Ttl, Ttls, Written

__all__ = ["Turn", "history", "message", "turn", "written"]

T = TypeVar("T")


class Turn(NamedTuple):
    """Messages to be added, or put in place of all that are there, together.

    `owner` and `ttl` are of the thread, if it is created.
    """

    messages: Sequence[Mapping[str, Json] | Message]
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


def written(body: T) -> T:
    """`body` with its messages as they are stored, so that the store need not write them again."""
    if not isinstance(body, Turn):
        return body
    messages = [one if isinstance(one, Message) else Written.from_dict(one) for one in body.messages]
    return cast("T", body._replace(messages=messages))


def _messages(values: list[Json]) -> list[dict[str, Json]] | None:
    return values if all(message(value) for value in values) else None
