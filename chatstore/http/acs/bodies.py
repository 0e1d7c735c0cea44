"""What bodies hold, checked and refused in words that say what to change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from chatstore import store
from chatstore.codec import Json
from chatstore.errors import InvalidArgument
from chatstore.http.acs.forms import OWN, Given
from chatstore.http.parameters import time_of
from chatstore.http.problems import Invalid
from chatstore.store.arguments import owner_or_none

__all__ = [
    "Added",
    "Edit",
    "NewThread",
    "Receipt",
    "Retention",
    "Sent",
    "Typing",
    "Update",
    "added",
    "edit",
    "new_thread",
    "receipt",
    "removed",
    "sent",
    "typing",
    "update",
]

_KINDS = ("text", "html")
_FOREIGN = ("phoneNumber", "microsoftTeamsUser", "microsoftTeamsApp", "teamsExtensionUser")
_IDENTIFIERS = {"rawId", "kind", "communicationUser", *_FOREIGN}
_LONGEST_DAYS = store.MAX_TTL.days


class Retention(NamedTuple):
    """How many days after its creation a thread is deleted; None for never."""

    days: int | None

    @property
    def lifetime(self) -> timedelta | None:
        """How long the thread lives after its creation."""
        return None if self.days is None else timedelta(days=self.days)

    def shown(self) -> dict[str, Json]:
        """The policy in an answer."""
        if self.days is None:
            return {"kind": "none"}
        return {"kind": "threadCreationDate", "deleteThreadAfterDays": self.days}


class Added(NamedTuple):
    """Participants to be added, and what is wrong with those that cannot be."""

    participants: Sequence[Given]
    invalid: Sequence[dict[str, Json]]


class NewThread(NamedTuple):
    """A thread to be made."""

    topic: str
    added: Added
    metadata: Mapping[str, Json]
    retention: Retention | None


class Update(NamedTuple):
    """What becomes of a thread's properties; None leaves one as it is."""

    topic: str | None
    metadata: Mapping[str, Json] | None
    retention: Retention | None


class Sent(NamedTuple):
    """A message to be sent."""

    content: str
    type: str
    display_name: str | None
    metadata: Mapping[str, Json]


class Edit(NamedTuple):
    """What becomes of a message; None leaves its content or its metadata as it is."""

    content: str | None
    metadata: Mapping[str, Json] | None


class Receipt(NamedTuple):
    """Up to which message somebody has read."""

    message_id: str


class Typing(NamedTuple):
    """Somebody types."""

    display_name: str | None


def new_thread(value: Json) -> NewThread:
    """The body of a creation. Raises Invalid."""
    given = _fields(value, {"topic", "participants", "metadata", "retentionPolicy"})
    return NewThread(
        _text(given, "topic"),
        _participants(given.get("participants")),
        _metadata(given.get("metadata")) or {},
        _retention(given.get("retentionPolicy")),
    )


def update(value: Json) -> Update:
    """The body of a change of properties. Raises Invalid."""
    given = _fields(value, {"topic", "metadata", "retentionPolicy"})
    return Update(
        _text(given, "topic") if "topic" in given else None,
        _metadata(given.get("metadata"), removing=True),
        _retention(given.get("retentionPolicy")),
    )


def sent(value: Json) -> Sent:
    """The body of a message. Raises Invalid."""
    given = _fields(value, {"content", "type", "senderDisplayName", "metadata"})
    kind = "text" if given.get("type") is None else given["type"]
    if not isinstance(kind, str) or kind.lower() not in _KINDS:
        raise _wrong("type", "is text or html; the service makes the other types itself")
    return Sent(
        _text(given, "content"),
        kind.lower(),
        _text_or_none(given, "senderDisplayName"),
        _metadata(given.get("metadata")) or {},
    )


def edit(value: Json) -> Edit:
    """The body of a change of a message. Raises Invalid."""
    given = _fields(value, {"content", "metadata"})
    content = _text(given, "content") if given.get("content") is not None else None
    return Edit(content, _metadata(given.get("metadata"), removing=True))


def added(value: Json) -> Added:
    """The body of an addition of participants. Raises Invalid."""
    given = _fields(value, {"participants"})
    if not given.get("participants"):
        raise _wrong("participants", "names at least one")
    return _participants(given["participants"])


def removed(value: Json) -> Given:
    """The body of a removal: whom. Raises Invalid."""
    return Given(_identifier("body", value))


def receipt(value: Json) -> Receipt:
    """The body of a receipt. Raises Invalid."""
    return Receipt(_text(_fields(value, {"chatMessageId"}), "chatMessageId"))


def typing(value: Json) -> Typing:
    """The body of a notice that somebody types. Raises Invalid."""
    return Typing(_text_or_none(_fields(value, {"senderDisplayName"}), "senderDisplayName"))


def _participants(value: Json) -> Added:
    if value is not None and not isinstance(value, list):
        raise _wrong("participants", "is a list")
    found: dict[str, Given] = {}
    invalid: list[dict[str, Json]] = []
    for index, one in enumerate(value or ()):
        given = _participant(f"participants[{index}]", one)
        try:
            owner_or_none(given.id)
        except InvalidArgument as error:
            invalid.append({"code": "BadRequest", "message": str(error), "target": given.id})
        else:
            found.setdefault(given.id, given)
    return Added(tuple(found.values()), invalid)


def _participant(place: str, value: Json) -> Given:
    known = {"communicationIdentifier", "displayName", "shareHistoryTime", "metadata"}
    given = _fields(value, known, place)
    since = _text_or_none(given, "shareHistoryTime", place)
    return Given(
        _identifier(f"{place}.communicationIdentifier", given.get("communicationIdentifier")),
        _text_or_none(given, "displayName", place),
        None if since is None else _time(f"{place}.shareHistoryTime", since),
        _metadata(given.get("metadata"), place) or {},
    )


def _identifier(place: str, value: Json) -> str:
    """Whose id it is. Others than users of this service cannot sign in to it, so they take no part."""
    given = _fields(value, _IDENTIFIERS, place)
    others = [name for name in _FOREIGN if given.get(name) is not None]
    if others:
        raise _wrong(place, f"is of a kind that is not served here: {others[0]}; name a communicationUser")
    _text_or_none(given, "kind", place)
    user = given.get("communicationUser")
    id = None if user is None else _text(_fields(user, {"id"}, f"{place}.communicationUser"), "id")
    raw = given.get("rawId")
    named = raw if raw is not None else id
    if not isinstance(named, str) or not named or (id is not None and id != named):
        raise _wrong(place, "has a communicationUser with an id, which is its rawId, too")
    return named


def _retention(value: Json) -> Retention | None:
    if value is None:
        return None
    place = "retentionPolicy"
    given = _fields(value, {"kind", "deleteThreadAfterDays"}, place)
    kind, days = given.get("kind"), given.get("deleteThreadAfterDays")
    if kind == "none" and days is None:
        return Retention(None)
    if kind != "threadCreationDate" or type(days) is not int or not 1 <= days <= _LONGEST_DAYS:
        raise _wrong(
            place,
            f"is of kind none, or threadCreationDate with deleteThreadAfterDays from 1 to {_LONGEST_DAYS}",
        )
    return Retention(days)


def _metadata(value: Json, place: str = "", *, removing: bool = False) -> dict[str, Json] | None:
    if value is None:
        return None
    named = f"{place}.metadata".lstrip(".")
    if not isinstance(value, dict):
        raise _wrong(named, "is an object of texts")
    for name, text in value.items():
        if not (isinstance(text, str) or (removing and text is None)):
            raise _wrong(f"{named}.{name[:200]}", "is a text")
    if OWN in value:
        raise _wrong(f"{named}.{OWN}", "is the service's own: choose another name")
    return value


def _fields(value: Json, known: Collection[str], place: str = "body") -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _wrong(place, "is an object")
    for name in value:
        if name not in known:
            raise _wrong(f"{place}.{name[:200]}", "is not known here: leave it out")
    return value


def _text(given: Mapping[str, Json], name: str) -> str:
    text = given.get(name)
    if not isinstance(text, str) or not text:
        raise _wrong(name, "is a text that is not empty")
    return text


def _text_or_none(given: Mapping[str, Json], name: str, place: str = "") -> str | None:
    text = given.get(name)
    if text is not None and not isinstance(text, str):
        raise _wrong(f"{place}.{name}".lstrip("."), "is a text")
    return text


def _time(place: str, text: str) -> datetime:
    try:
        return time_of(text)
    except ValueError as error:
        raise _wrong(place, "is an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z") from error


def _wrong(place: str, reason: str) -> Invalid:
    return Invalid([(place, reason)])
