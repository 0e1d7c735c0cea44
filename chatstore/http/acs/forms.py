"""How threads, participants and messages are kept, and how they look in answers.

A message is kept as ``{"role": "user", "content": text, "acs": {…}}``. Changes of the topic and of the
participants are messages, too, of the role ``event``. A message of another face is answered as the text that
it says. One that is more than its role and a text is in the answer's metadata besides, whole, as JSON text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from chatstore.codec import Json, encode
from chatstore.models import Message, Participant, Thread, rfc3339, to_micros
from chatstore.words import said

__all__ = [
    "EVENT",
    "OWN",
    "Given",
    "event",
    "identifier",
    "kept",
    "member",
    "message",
    "participant",
    "participants",
    "properties",
    "sequence",
    "thread_item",
]

OWN = "acs"
"""The key under which this face keeps what is its own: in messages, and in metadata."""

EVENT = "event"
"""The role of messages that say what was done to a thread."""

_SLOT, _FRACTION = 10, 4
_DIGITS = {
    digit: value
    for value, digit in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
}


class Given(NamedTuple):
    """A participant as a request names one."""

    id: str
    display_name: str | None = None
    since: datetime | None = None
    """From when on the history is shown to them; None for all of it."""
    metadata: Mapping[str, str] = {}


def identifier(user: str) -> dict[str, Json]:
    """A user, as clients know one."""
    return {"rawId": user, "kind": "communicationUser", "communicationUser": {"id": user}}


def member(given: Given) -> Participant:
    """A participant as the thread keeps one."""
    own = {} if given.since is None else {OWN: {"shareHistoryTime": rfc3339(given.since)}}
    return Participant(given.id, given.display_name, {**given.metadata, **own})


def participants(found: Iterable[Participant]) -> list[Json]:
    """Participants in an answer or an event."""
    return [participant(one) for one in found]


def participant(found: Participant) -> dict[str, Json]:
    """A participant in an answer."""
    own = found.metadata.get(OWN)
    since = own.get("shareHistoryTime") if isinstance(own, dict) else None
    shown: dict[str, Json] = {"communicationIdentifier": identifier(found.id)}
    if found.display_name is not None:
        shown["displayName"] = found.display_name
    if since is not None:
        shown["shareHistoryTime"] = since
    metadata = _texts(found.metadata)
    return {**shown, "metadata": metadata} if metadata else shown


def properties(thread: Thread) -> dict[str, Json]:
    """A thread in an answer."""
    own = thread.metadata.get(OWN)
    own = own if isinstance(own, dict) else {}
    creator = own.get("createdBy", thread.owner)
    shown: dict[str, Json] = {
        "id": thread.id,
        "topic": thread.topic or "",
        "createdOn": rfc3339(thread.created_at),
    }
    if creator is not None:
        shown["createdByCommunicationIdentifier"] = identifier(creator)
    metadata = _texts(thread.metadata)
    if metadata:
        shown["metadata"] = metadata
    if "retentionPolicy" in own:
        shown["retentionPolicy"] = own["retentionPolicy"]
    return shown


def thread_item(thread: Thread) -> dict[str, Json]:
    """A thread in a list."""
    return {
        "id": thread.id,
        "topic": thread.topic or "",
        "lastMessageReceivedOn": rfc3339(thread.active_at),
    }


def event(kind: str, initiator: str, **content: Json) -> dict[str, Json]:
    """A message that says what `initiator` did to the thread."""
    return {"role": EVENT, "content": "", OWN: {"type": kind, "initiator": initiator, **content}}


def kept(data: Mapping[str, Json]) -> dict[str, Json] | None:
    """What this face keeps of a message; None for one of another face."""
    own = data.get(OWN)
    return own if isinstance(own, dict) and isinstance(own.get("type"), str) else None


def message(found: Message) -> dict[str, Json]:
    """A message in an answer. Raises CorruptData where its text is damaged."""
    data = found.to_dict()
    own = kept(data)
    created = found.created_at
    assert created is not None  # noqa: S101 - every stored message has one
    shown: dict[str, Json] = {
        "id": found.id,
        "type": "text" if own is None else own["type"],
        "sequenceId": str(sequence(found.position or "0")),
        "version": str(to_micros(created) // 1000),
        "createdOn": rfc3339(created),
    }
    metadata = _texts(found.metadata)
    if own is None:
        content = data.get("content")
        text = content if isinstance(content, str) else said(found.text)
        shown |= {"content": {"message": text}, "senderDisplayName": data["role"]}
        if data != {"role": data["role"], "content": text}:
            metadata[OWN] = found.text
    elif data["role"] == EVENT:
        shown["content"] = _told(own)
    else:
        shown |= _sent(data, own)
    return {**shown, "metadata": metadata} if metadata else shown


def _told(own: Mapping[str, Json]) -> dict[str, Json]:
    """The content of an event."""
    content = {name: own[name] for name in ("topic", "participants") if name in own}
    return {**content, "initiatorCommunicationIdentifier": identifier(own["initiator"])}


def _sent(data: Mapping[str, Json], own: Mapping[str, Json]) -> dict[str, Json]:
    """What somebody sent, as it is now."""
    shown: dict[str, Json] = {"senderCommunicationIdentifier": identifier(own["sender"])}
    if "deletedOn" not in own:
        shown["content"] = {"message": data["content"]}
    for name in ("senderDisplayName", "editedOn", "deletedOn"):
        if name in own:
            shown[name] = own[name]
    last = own.get("deletedOn", own.get("editedOn"))
    if last is not None:
        shown["version"] = str(to_micros(datetime.fromisoformat(last)) // 1000)
    return shown


def sequence(position: str) -> int:
    """A position as a number that sorts as it does: its slot, and four digits behind it."""
    fraction = 0
    for digit in position[_SLOT:].ljust(_FRACTION, "0")[:_FRACTION]:
        fraction = fraction * len(_DIGITS) + _DIGITS.get(digit, 0)
    room: int = len(_DIGITS) ** _FRACTION
    return int(position[:_SLOT]) * room + fraction


def _texts(metadata: Mapping[str, Json]) -> dict[str, Json]:
    """Metadata as these clients have it, all of them texts."""
    return {
        name: value if isinstance(value, str) else encode(value)
        for name, value in metadata.items()
        if name != OWN
    }
