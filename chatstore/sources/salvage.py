"""A thread put together from what a source still has of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from chatstore.codec import Json, parse
from chatstore.errors import InvalidMessage, MessageTooLarge
from chatstore.importing import BadThread, Conversation
from chatstore.integrations.statuses import ACTIVE, ARCHIVED, Entry, written
from chatstore.models import Message
from chatstore.store import MAX_MESSAGE_BYTES

__all__ = ["Part", "salvaged"]


class Part(NamedTuple):
    """A message as a source has it: where, its JSON or the text of it, and its status."""

    place: str
    data: Json
    status: str = ACTIVE


def salvaged(
    where: str,
    key: str,
    parts: Iterable[Part],
    damage: Sequence[str] = (),
    *,
    expires_at: datetime | None = None,
) -> Conversation | BadThread:
    """The thread of those `parts` that are messages; the others are added to its `damage`.

    A thread of which nothing is left is bad.
    """
    found: list[Entry] = []
    faults = list(damage)
    for place, data, its in parts:
        status = its if its in (ACTIVE, ARCHIVED) else ACTIVE
        try:
            message = _message(data)
        except InvalidMessage as error:
            faults.append(f"{place}: {error}")
            continue
        if its != status:
            faults.append(f"{place}: its status {its!r} is unknown, it is taken as active")
        found.append(Entry(message, status))
    if faults and not found:
        return BadThread(where, "nothing of it can be read: " + "; ".join(faults))
    return Conversation(where, key, {}, expires_at, written(found), tuple(faults))


def _message(data: Json) -> Message:
    # YugabyteDB's store writes the text of a message as JSON once more.
    for _ in range(2):
        if isinstance(data, (str, bytes)):
            data = parse(data, "it")
    message = Message.from_dict(data)
    if len(message.text.encode()) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"it takes more than {MAX_MESSAGE_BYTES:,} bytes of JSON")
    return message
