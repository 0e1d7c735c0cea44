"""A thread's header: what every operation on the thread compares and changes."""

from __future__ import annotations

import json
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from chatstore.codec import Json, writer
from chatstore.conditions import log_etag
from chatstore.contract import Backend
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.cuts import Range
from chatstore.engines.fenced.port import Op, Properties
from chatstore.errors import CorruptData
from chatstore.models import CHAT, Origin, Participant, Thread, from_micros, to_micros
from chatstore.records import FOREVER
from chatstore.wire import micros_of

__all__ = [
    "CUTS",
    "GRACE",
    "LISTINGS",
    "MINUTE",
    "Known",
    "State",
    "born",
    "buried",
    "heading",
    "properties_text",
    "thread_of",
]

MINUTE = 60_000_000
"""How exactly activity is kept."""

GRACE = 60 * MINUTE
"""How long after its time something stays that a late writer could still need."""

LISTINGS = 32
"""How many listings a header names before those of the oldest lives are given up: it is one property."""

CUTS = 32
"""How many ranges of rows that were cut away a header names before the next writer removes them."""

_NONE: Properties = MappingProxyType({})
_FORM, _WITH_MORE = 1, 2
"""The stored form of a header, and that of one with fields that few threads need."""

_encoded = writer(ascii_only=True)

_MORE = ("sliding", "cuts", "over")
_REMEMBERED = 8
_WINDOW = micros_of(Backend.request_window)


class State(NamedTuple):
    """What a header says, but for the thread's properties; times in microseconds.

    `epoch` names the history, whose messages took the slots above `base` up to `tail`, in rows of
    at most `widest` slots each. `scattered` says that ids no longer tell slots. `listings` are the partitions
    that list the thread, the present owner's first, then those of earlier lives, the latest first. `due` is
    when the next visit of a sweep to the thread is. `writes` are the last writes' names, the
    newest first: whoever lost an answer finds out here whether the write took place. `sliding` is how long
    after the last append the thread expires at least, if that slides. `cuts` are rows to be passed over, in
    their order. `over` is the last epoch of the threads that bore the id before, and when they expired
    or were to.
    """

    epoch: str
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
    sliding: int | None = None
    cuts: tuple[Range, ...] = ()
    over: tuple[str, int] | None = None

    @property
    def etag(self) -> str:
        """Names the log."""
        return log_etag(self.epoch, self.tail, self.edits)

    def lives(self, now: int) -> bool:
        """Whether there is a thread: neither deleted nor expired."""
        return self.deleted is None and (self.expires is None or self.expires > now)

    def ended(self, now: int) -> tuple[str, int] | None:
        """What `over` becomes where this thread ends: the earliest expiry of which results may be kept."""
        if self.deleted is not None or not self.epoch:
            return self.over
        expires = FOREVER if self.expires is None else self.expires
        if self.over is not None and self.over[1] + _WINDOW > now:
            expires = min(expires, self.over[1])
        return self.epoch, expires

    def shown_until(self, epoch: str | None) -> int | None:
        """When what a request showed that wrote in an epoch expires; None where that is not known."""
        if epoch is None:
            return None
        # A later epoch sorts before an earlier one.
        if self.over is not None and epoch >= self.over[0]:
            return self.over[1]
        if self.deleted is not None:
            return None
        return FOREVER if self.expires is None else self.expires

    def same_history(self, other: State) -> bool:
        """Whether nothing but appends lies between the two."""
        return (self.epoch, self.edits, self.deleted) == (other.epoch, other.edits, other.deleted)

    def touched(self, now: int) -> State:
        """Active now; kept to the minute, so that most appends need not tell the listing.

        An expiry that slides is renewed as `chatstore.conditions.renewed` says. The visit that is there comes
        earlier, and whoever follows it writes the next.
        """
        state = self if now // MINUTE == self.active // MINUTE else self._replace(active=now)
        if self.sliding is None or self.expires is None or self.expires >= now + self.sliding:
            return state
        return state._replace(expires=now + self.sliding + self.sliding // 8)

    def added(self, count: int, name: str) -> State:
        """With so many more messages in a row, by the write of that name; the rest is as it was."""
        values = list(self)
        values[_TAIL] = self.tail + count
        values[_WIDEST] = max(self.widest, count)
        values[_WRITES] = (name, *self.writes)[:_REMEMBERED]
        return State._make(values)

    def having(self, thread: Thread) -> State:
        """With what is kept here of the thread's properties."""
        return self._replace(
            expires=None if thread.expires_at is None else to_micros(thread.expires_at),
            revision=thread.etag,
            sliding=None if thread.sliding is None else micros_of(thread.sliding),
        )

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
        usual = self[: -len(_MORE)]
        more = {}
        if self.sliding or self.cuts or self.over:
            more = {name: value for name in _MORE if (value := getattr(self, name))}
        form = [_WITH_MORE, *usual, more] if more else [_FORM, *usual]
        return _encoded(form)

    @classmethod
    def load(cls, text: object) -> State:
        """What `dump` gave. Raises CorruptData."""
        try:
            form, *values = json.loads(text)  # type: ignore[arg-type]
            if form not in (_FORM, _WITH_MORE):
                raise CorruptData(f"a thread of the stored form {form} needs a newer chatstore")
            more = values.pop() if form == _WITH_MORE else {}
            given: dict[str, Any] = dict(zip(cls._fields[: -len(_MORE)], values, strict=True))
            given |= {name: tuple(given[name]) for name in ("listings", "writes")} | more
            if "over" in more:
                epoch, expires = more["over"]
                given["over"] = str(epoch), int(expires)
            return cls(**given | {"cuts": tuple(Range(*one) for one in more.get("cuts", ()))})
        except (ValueError, TypeError) as error:
            raise CorruptData("a thread's header cannot be read") from error


_TAIL, _WIDEST, _WRITES = map(State._fields.index, ("tail", "widest", "writes"))


class Known(NamedTuple):
    """A header as it was read or written last: None where there is none.

    `row` holds messages as they are under this header. It is the one that this process wrote last, if that
    is short, and if none of its messages expires.
    """

    state: State | None = None
    etag: str | None = None
    properties: Properties = _NONE
    row: Op | None = None


def born(before: State | None, tenant: str, thread: Thread, now: int) -> State:
    """A new thread in the place of what is left of an earlier one."""
    own = layout.listing(tenant, thread.owner, thread.kind)
    earlier = before or State("")
    return State(
        layout.next_epoch(None if before is None else before.epoch, now),
        created=to_micros(thread.created_at),
        active=to_micros(thread.active_at),
        owner=thread.owner,
        listings=(own, *(one for one in earlier.listings if one != own)),
        due=earlier.due,
        writes=earlier.writes,
        over=earlier.ended(now),
    ).having(thread)


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
        layout.next_epoch(None if before is None else before.epoch, now),
        deleted=now,
        listings=earlier.listings,
        due=earlier.due,
        writes=earlier.writes,
        over=earlier.ended(now),
    )


def properties_text(thread: Thread) -> str:
    """What a header keeps of a thread's properties beside its `State`, as text for `thread_of`."""
    people = [[one.id, one.display_name, one.metadata] for one in thread.participants]
    form: list[Json] = [thread.id, thread.topic, thread.metadata, people]
    if thread.kind != CHAT or thread.forked_from is not None:
        form += [thread.kind, thread.forked_from]
    return json.dumps(form, ensure_ascii=False, separators=(",", ":"))


def thread_of(state: State, text: str) -> Thread:
    """The thread as callers see it. Raises CorruptData."""
    try:
        id, topic, metadata, people, *more = json.loads(text)
        kind, origin = more or (CHAT, None)
        participants = tuple(Participant(*fields) for fields in people)
        forked_from = None if origin is None else Origin(*origin)
    except (ValueError, TypeError) as error:
        raise CorruptData("a thread's properties cannot be read") from error
    return Thread(
        id,
        state.owner,
        topic,
        metadata,
        participants,
        from_micros(state.created),
        from_micros(state.active),
        None if state.expires is None else from_micros(state.expires),
        state.revision,
        kind,
        None if state.sliding is None else timedelta(microseconds=state.sliding),
        forked_from,
    )
