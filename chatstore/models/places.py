"""Places in a history and in a listing: what callers pass back to read on, and what it says."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import NamedTuple

from chatstore.errors import InvalidCursor
from chatstore.wire import from_micros, to_micros

__all__ = ["NAMED_BY_KEY", "Cursor", "Place", "ThreadCursor"]

NAMED_BY_KEY = "key:"
"""How the name of a message begins that is its key and not its id."""

_PLACE = re.compile(r"(?:([0-9A-Za-z]{1,64})~)?([0-9A-Za-z.]{1,512})")


class Cursor(str):
    """A place in a thread's history: opaque text, valid until that history is replaced.

    It carries the epoch of the history and a position in it. It grants no access: the call to which it is
    passed says which thread is read.
    """

    __slots__ = ()

    @classmethod
    def at(cls, epoch: str, position: str) -> Cursor:
        """The cursor of `position` within `epoch`."""
        return cls(f"{epoch}~{position}")


class Place(NamedTuple):
    """What a cursor or a bare position says: `epoch` is None for a position."""

    epoch: str | None
    position: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read a cursor or a position; raises InvalidCursor for any other text."""
        try:
            found = _PLACE.fullmatch(text)
        except TypeError:
            found = None
        if found is None:
            raise InvalidCursor(
                "not a cursor, a position, or a message's id: pass one back exactly as the store gave it"
            )
        return cls(found[1], found[2])


class ThreadCursor(NamedTuple):
    """Where a listing of threads goes on: below this activity time and, within it, this id."""

    active_at: datetime
    id: str

    def text(self) -> str:
        """The cursor as callers see it."""
        return (
            base64.urlsafe_b64encode(f"{to_micros(self.active_at)} {self.id}".encode()).decode().rstrip("=")
        )

    @classmethod
    def parse(cls, text: str) -> ThreadCursor:
        """Read what `text` wrote; raises InvalidCursor for anything else."""
        try:
            padded = text + "=" * (-len(text) % 4)
            micros, _, id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(" ")
            cursor = cls(from_micros(int(micros)), id)
        except (ValueError, OverflowError, TypeError, AttributeError) as error:
            raise InvalidCursor(
                "not a cursor of a listing: pass one back exactly as the store gave it"
            ) from error
        if cursor.text() != text:
            raise InvalidCursor("not a cursor of a listing: pass one back exactly as the store gave it")
        return cursor
