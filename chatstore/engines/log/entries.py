"""The messages in a slot's row, and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chatstore.codec import decode
from chatstore.conditions import expiry
from chatstore.contract import Draft
from chatstore.models import Message, from_micros

__all__ = ["Blob", "Entry", "dumped", "loaded", "of_drafts"]

_DIGITS = "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FIELDS = 9
_FADED = 1
"""When what has faded expired, in microseconds: before all that was ever stored."""


class Blob(NamedTuple):
    """A text that is kept in other rows: where it starts in what they hold."""

    ref: str
    size: int
    start: int = 0


class Entry(NamedTuple):
    """A message in its slot. `text` is empty where a `blob` keeps it; `metadata` is JSON text or None."""

    text: str
    id: str
    position: str
    created_at: int
    expires_at: int | None = None
    revision: int = 0
    blob: Blob | None = None
    metadata: str | None = None
    key: str | None = None

    @property
    def etag(self) -> str:
        """Names the message as it is: changes with each replacement of it."""
        return f"{self.id}.{self.revision}"

    def message(self) -> Message:
        """The message as callers see it."""
        expires = None if self.expires_at is None else from_micros(self.expires_at)
        beside = {} if self.metadata is None else decode(self.metadata)
        created = from_micros(self.created_at)
        return Message(self.text, self.id, self.position, created, self.etag, expires, beside, self.key)

    def expired(self, now: int) -> bool:
        """Whether it is no longer there."""
        return self.expires_at is not None and self.expires_at <= now

    @property
    def faded(self) -> bool:
        """Whether nothing is left of it but its place."""
        return self.expires_at == _FADED and not self.text and self.blob is None

    def fade(self, token: str, at: int) -> Entry:
        """What is left of it in its slot, which says its id and its time."""
        return Entry("", f"{self.position}-{token}", self.position, at, _FADED)


def of_drafts(drafts: Sequence[Draft], position: str, token: str, at: int) -> tuple[Entry, ...]:
    """The entries that appending `drafts` in the slot of that position makes."""
    entries = []
    for index, draft in enumerate(drafts):
        place = position + _fraction(index)
        entries.append(
            Entry(
                draft.text,
                f"{place}-{token}",
                place,
                at,
                expiry(at, draft.ttl),
                metadata=draft.metadata,
                key=draft.key,
            )
        )
    return tuple(entries)


def dumped(entries: Sequence[Entry], position: str, token: str, at: int) -> list[list[Any]]:
    """The fields of each entry; what its slot tells by itself is left out at the end."""
    return [_fields(entry, position + _fraction(index), token, at) for index, entry in enumerate(entries)]


def loaded(forms: list[list[Any]], texts: bytes, position: str, token: str, at: int) -> tuple[Entry, ...]:
    """The entries of a slot, of which `forms` are the fields."""
    entries, start = [], 0
    for index, form in enumerate(forms):
        size, expires, revision, place, id, created, blob, beside, key = form + [None] * (_FIELDS - len(form))
        place = place or position + _fraction(index)
        entries.append(
            Entry(
                texts[start : start + size].decode(),
                id or f"{place}-{token}",
                place,
                created or at,
                expires,
                revision or 0,
                None if blob is None else Blob(*blob),
                beside,
                key,
            )
        )
        start += size
    return tuple(entries)


def _fields(entry: Entry, place: str, token: str, at: int) -> list[Any]:
    fields = [
        len(entry.text.encode()),
        entry.expires_at,
        entry.revision,
        None if entry.position == place else entry.position,
        None if entry.id == f"{entry.position}-{token}" else entry.id,
        None if entry.created_at == at else entry.created_at,
        entry.blob if entry.blob is None or entry.blob.start else entry.blob[:2],
        entry.metadata,
        entry.key,
    ]
    while len(fields) > 1 and not fields[-1]:
        fields.pop()
    return fields


def _fraction(index: int) -> str:
    """What orders the messages of one slot: nothing, then as many digits as the first one says."""
    digits = ""
    while index:
        index, digit = divmod(index - 1, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return f"{len(digits)}{digits}" if digits else ""
