"""A thread's header: what every operation on the thread compares and changes."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from chatstore.conditions import log_etag
from chatstore.contract import NewThread
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.port import Op, Properties
from chatstore.errors import CorruptData
from chatstore.ids import token
from chatstore.models import Participant, Thread, from_micros

__all__ = [
    "GRACE",
    "LISTINGS",
    "MINUTE",
    "Known",
    "State",
    "born",
    "buried",
    "heading",
    "parse_properties",
    "properties_text",
    "snapshot",
]

MINUTE = 60_000_000
"""How exactly activity is kept."""

GRACE = 60 * MINUTE
"""How long after its time something stays that a late writer could still need."""

LISTINGS = 32
"""How many listings a header names before those of the oldest lives are given up: it is one property."""

_NONE: Properties = MappingProxyType({})
_FORM = 1
_REMEMBERED = 8


class State(NamedTuple):
    """What a header says, but for the thread's properties; times in microseconds.

    `generation` names the history, whose messages took the slots above `base` up to `tail`, in rows of
    at most `widest` slots each. `scattered` says that ids no longer tell slots. `listings` are the partitions
    that list the thread, the present owner's first, then those of earlier lives, the latest first. `due` is
    when the next note is that has the sweep look at the thread. `writes` are the last writes' names, the
    newest first: whoever lost an answer finds out here whether the write took place.
    """

    generation: str
    tail: int = 0
    base: int = 0
    edits: int = 0
    widest: int = 1
    scattered: bool = False
    created: int = 0
    active: int = 0
    expires: int | None = None
    deleted: int | None = None
    revision: str = ""
    owner: str | None = None
    listings: tuple[str, ...] = ()
    due: int | None = None
    writes: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        """Names the log."""
        return log_etag(self.generation, self.tail, self.edits)

    def lives(self, now: int) -> bool:
        """Whether there is a thread: neither deleted nor expired."""
        return self.deleted is None and (self.expires is None or self.expires > now)

    def same_history(self, other: State) -> bool:
        """Whether nothing but appends lies between the two."""
        return (self.generation, self.edits, self.deleted) == (other.generation, other.edits, other.deleted)

    def touched(self, now: int) -> State:
        """Active now; kept to the minute, so that most appends need not tell the listing."""
        return self if now // MINUTE == self.active // MINUTE else self._replace(active=now)

    def written(self, name: str) -> State:
        """Changed by the write of that name."""
        return self._replace(writes=(name, *self.writes)[:_REMEMBERED])

    def remembers_since(self, earlier: State | None) -> bool:
        """Whether every write since `earlier` is still among `writes`."""
        if earlier is None or not earlier.writes:
            return len(self.writes) < _REMEMBERED
        return earlier.writes[0] in self.writes

    def dump(self) -> str:
        """As text, for `load`."""
        return json.dumps([_FORM, *self], separators=(",", ":"))

    @classmethod
    def load(cls, text: object) -> State:
        """What `dump` gave. Raises CorruptData."""
        try:
            form, *values = json.loads(text)  # type: ignore[arg-type]
            if form != _FORM:
                raise CorruptData(f"a thread of the stored form {form} needs a newer chatstore")
            given: dict[str, Any] = dict(zip(cls._fields, values, strict=True))
        except (ValueError, TypeError) as error:
            raise CorruptData("a thread's header cannot be read") from error
        return cls(**given | {name: tuple(given[name]) for name in ("listings", "writes")})


class Known(NamedTuple):
    """A header as it was read or written last: None where there is none."""

    state: State | None = None
    etag: str | None = None
    properties: Properties = _NONE


def born(before: State | None, tenant: str, new: NewThread, now: int, expires: int | None) -> State:
    """A new thread in the place of what is left of an earlier one."""
    own = layout.listing(tenant, new.owner)
    earlier = before or State("")
    return State(
        layout.next_generation(None if before is None else before.generation, now),
        created=now,
        active=now,
        expires=expires,
        revision=token(),
        owner=new.owner,
        listings=(own, *(one for one in earlier.listings if one != own)),
        due=earlier.due,
        writes=earlier.writes,
    )


def heading(state: State, etag: str | None, properties: Properties = _NONE, *, whole: bool = False) -> Op:
    """Writes a header over the one of that `etag`, or where there is none.

    What it does not name stays, unless it is `whole` or says that the thread is deleted.
    """
    named = {"s": state.dump(), **properties}
    if etag is None:
        return Op("insert", layout.HEADER, named)
    kind: Literal["replace", "merge"] = "replace" if whole or state.deleted is not None else "merge"
    return Op(kind, layout.HEADER, named, etag)


def buried(before: State | None, now: int) -> State:
    """What stays of a thread for a while, so that nothing late brings it back: nothing of its content."""
    earlier = before or State("")
    return State(
        layout.next_generation(None if before is None else before.generation, now),
        deleted=now,
        listings=earlier.listings,
        due=earlier.due,
        writes=earlier.writes,
    )


def properties_text(thread: str, new: NewThread) -> str:
    """The properties as text, for `parse_properties`."""
    people = [[one.id, one.display_name, one.metadata] for one in new.participants]
    return json.dumps([thread, new.topic, new.metadata, people], ensure_ascii=False, separators=(",", ":"))


def parse_properties(text: str, owner: str | None) -> tuple[str, NewThread]:
    """A thread's id and its properties. Raises CorruptData."""
    try:
        thread, topic, metadata, people = json.loads(text)
        return thread, NewThread(owner, topic, metadata, tuple(Participant(*fields) for fields in people))
    except (ValueError, TypeError) as error:
        raise CorruptData("a thread's properties cannot be read") from error


def snapshot(state: State, thread: str, properties: NewThread) -> Thread:
    """The thread as callers see it."""
    return Thread(
        thread,
        state.owner,
        properties.topic,
        properties.metadata,
        properties.participants,
        from_micros(state.created),
        from_micros(state.active),
        None if state.expires is None else from_micros(state.expires),
        state.revision,
    )
