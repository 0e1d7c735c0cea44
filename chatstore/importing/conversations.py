"""Conversations as a file has them, and what makes one of what was recognised."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chatstore.codec import Json, encode
from chatstore.errors import InvalidArgument, InvalidMessage, MessageTooLarge
from chatstore.importing.values import Unkept, fault
from chatstore.models import CHAT, Message
from chatstore.store import MAX_MESSAGE_BYTES, MAX_METADATA_BYTES, drafts

__all__ = ["BadThread", "Conversation", "Draft", "Drafted", "Finisher", "time_of"]

_PROPERTIES = ("topic", "owner", "metadata", "participants")
_OF_THE_STORE = ("href", "created_at", "active_at", "etag")
_KNOWN = ("id", "expires_at", "messages", *_PROPERTIES, *_OF_THE_STORE)
_OF_AN_EXPORT = {"kind", "sliding", "forked_from", "active_at"}
_NEEDED = ("id", "owner", "expires_at")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread as a file has it: where it stands there, its id, properties and messages."""

    where: str
    id: str
    properties: Mapping[str, Json]
    expires_at: datetime | None
    messages: Sequence[Message]
    damage: Sequence[str] = ()
    """What of it could not be read, or looks wrong; the rest is in `messages`."""


@dataclass(frozen=True, slots=True)
class BadThread:
    """A part of a file that cannot be imported, and why."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Drafted:
    """A message in chatstore's form, and where it stands in its thread; `refused` says why, if it is bad.

    `beside` is what an export has of its key and metadata.
    """

    place: str
    message: Json
    expires_at: Json = None
    refused: str | None = None
    beside: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """A thread that was recognised: its properties in chatstore's names, and its messages."""

    within: str
    form: Mapping[str, Json]
    messages: Sequence[Drafted]
    damage: Sequence[str] = field(default=())


class Finisher:
    """Makes conversations of a file's drafts, no two of which are taken for one.

    A thread without an id gets one that is made of its messages and properties, and counts those
    that are equal. For that some 200 bytes are remembered of each thread.
    """

    def __init__(self) -> None:
        self._equal: Counter[bytes] = Counter()
        self._properties: dict[bytes, bytes] = {}

    def conversation(self, where: str, draft: Draft) -> Conversation:
        """Raises InvalidArgument for what is not a thread, or not one of its own."""
        form = draft.form
        for name in _NEEDED:
            reason = fault(form.get(name))
            if reason is not None:
                raise InvalidArgument(f"its {name} cannot be kept: it {reason}")
        damage = list(draft.damage)
        messages: list[Message] = []
        for drafted in draft.messages:
            try:
                messages.append(_message(drafted))
            except InvalidArgument as error:
                damage.append(f"{drafted.place}: {error}")
        if draft.messages and not messages:
            raise InvalidArgument("nothing of it can be read: " + "; ".join(damage))
        properties, left_out = _properties(form)
        expires_at = time_of(form.get("expires_at"))
        thread_id = self._id(form.get("id"), properties, form.get("expires_at"), messages)
        return Conversation(where, thread_id, properties, expires_at, messages, (*damage, *left_out))

    def _id(self, given: Json, properties: dict[str, Json], until: Json, messages: Sequence[Message]) -> str:
        said = json.dumps([properties, until], sort_keys=True).encode() if properties or until else b""
        if given is None:
            digest = hashlib.sha256("\n".join(message.text for message in messages).encode() + said).digest()
            self._equal[digest[:16]] += 1
            count = self._equal[digest[:16]]
            return f"sha256-{digest.hex()[:32]}" + (f"-{count}" if count > 1 else "")
        if not isinstance(given, str):
            raise InvalidArgument(f"a thread's id is a string, not {given!r}")
        key, of_properties = (hashlib.sha256(each).digest()[:16] for each in (given.encode(), said))
        if self._properties.setdefault(key, of_properties) != of_properties:
            raise InvalidArgument(f"its id {given!r} is that of an earlier thread with other properties")
        return given


def time_of(text: Json) -> datetime | None:
    """The UTC time of RFC 3339 text. Raises InvalidArgument for any other text."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise InvalidArgument(f"expires_at needs a time zone: {text!r}")
        return time.astimezone(UTC)
    except OverflowError as error:
        raise InvalidArgument(f"expires_at lies outside the years 1 to 9999: {text!r}") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(f"expires_at is an RFC 3339 time, not {text!r}") from error


def _message(drafted: Drafted) -> Message:
    reason = drafted.refused
    if reason is not None:
        raise InvalidMessage(reason)
    if isinstance(drafted.message, (dict, Unkept)):
        reason = fault(drafted.message)
    if reason is not None:
        raise InvalidMessage(f"the message {reason}")
    message = Message.from_dict(drafted.message)
    if len(message.text.encode()) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"it takes more than {MAX_MESSAGE_BYTES:,} bytes of JSON")
    key, metadata = drafted.beside.get("key"), drafted.beside.get("metadata", {})
    reason = fault(dict(drafted.beside))
    if reason is not None:
        raise InvalidMessage(f"what is beside the message {reason}")
    if key is not None:
        drafts.key_of(key)
    drafts.message_metadata(metadata)
    return Message(message.text, expires_at=time_of(drafted.expires_at), metadata=metadata, key=key)


def _properties(form: Mapping[str, Json]) -> tuple[dict[str, Json], list[str]]:
    """A thread's properties, its further fields in its metadata; and what cannot be kept of them."""
    damage: list[str] = []
    properties: dict[str, Json] = {}
    for name in _PROPERTIES:
        value = form.get(name)
        reason = fault(value)
        if reason is not None and name == "metadata" and isinstance(value, dict):
            properties[name] = _undamaged(value, damage)
        elif reason is not None:
            damage.append(f"its {name} is left out: it {reason}")
        elif value is not None:
            properties[name] = value
    if not isinstance(properties.get("participants", []), list):
        raise InvalidArgument("a thread's participants are a list")
    further = {name: value for name, value in form.items() if name not in _KNOWN}
    if form.keys() >= _OF_AN_EXPORT:
        properties |= _taken(further)
    if further:
        metadata = properties.get("metadata", {})
        if not isinstance(metadata, dict) or further.keys() & metadata.keys():
            raise InvalidArgument(f"the fields {', '.join(further)} do not fit into its metadata")
        properties["metadata"] = _with_further(metadata, further, damage)
    return properties, damage


def _taken(further: dict[str, Json]) -> dict[str, Json]:
    """What only an export of chatstore's own has, taken out of the further fields.

    Where a thread came from stays one of them: the thread that is made here was not forked.
    """
    kind, seconds = further.pop("kind"), further.pop("sliding")
    if further["forked_from"] is None:
        del further["forked_from"]
    return {
        **({} if kind == CHAT else {"kind": kind}),
        **({} if seconds is None else {"sliding": seconds}),
    }


def _undamaged(metadata: dict[str, Json], damage: list[str]) -> dict[str, Json]:
    """What of it can be kept; adds to `damage` what cannot."""
    kept = {key: item for key, item in metadata.items() if fault({key: item}) is None}
    damage += [
        f"metadata: {key!a} is left out: it {fault(metadata[key]) or 'is no text'}"
        for key in metadata
        if key not in kept
    ]
    return kept


def _with_further(metadata: dict[str, Json], further: dict[str, Json], damage: list[str]) -> dict[str, Json]:
    """The metadata with the further fields that it has room for; adds to `damage` what is left out."""
    metadata = dict(metadata)
    size = len(encode(metadata).encode())
    for name, value in further.items():
        reason = fault({name: value})
        more = 0 if reason is not None else len(encode({name: value}).encode())
        if size + more > MAX_METADATA_BYTES:
            reason = f"takes the metadata past {MAX_METADATA_BYTES:,} bytes"
        if reason is None:
            metadata[name] = value
            size += more
        else:
            damage.append(f"its field {name!a} is left out: it {reason}")
    return metadata
