"""Rows of threads: their columns, and what is read from them and written to them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from chatstore.codec import Json
from chatstore.conditions import log_etag
from chatstore.engines.sql.port import Row
from chatstore.errors import CorruptData
from chatstore.models import CHAT, Origin, Participant, Thread, from_micros, to_micros
from chatstore.wire import micros_of

__all__ = [
    "KINDS",
    "LIVING",
    "LOG",
    "PROPERTIES",
    "WRITTEN",
    "Log",
    "Range",
    "compact",
    "log_of",
    "participants_text",
    "ranges_of",
    "ranges_text",
    "thread_of",
    "written",
]

KINDS = f"kind = '{CHAT}'", f"kind <> '{CHAT}'"
"""The conditions of the indexes, which are apart for chats and for all other kinds of threads."""

LIVING = "(expires_at IS NULL OR expires_at > ?)"
"""The condition on rows that have not expired; its parameter is the present."""

LOG = "key, epoch, tail, edits, cuts, sliding, expires_at"
"""The columns of a `Log`."""

PROPERTIES = (
    "id, owner, topic, metadata, participants, created_at, active_at, expires_at, revision, "
    "kind, sliding, origin"
)
"""The columns of a `Thread`."""

WRITTEN = (
    "owner = ?, topic = ?, metadata = ?, participants = ?, created_at = ?, active_at = ?, expires_at = ?, "
    "kind = ?, sliding = ?, origin = ?"
)
"""Sets the properties of a thread but for its id and revision, to what `written` gives."""

_CUTS = re.compile(r"[0-9A-Za-z ]+-[0-9A-Za-z]+(?:,[0-9A-Za-z ]+-[0-9A-Za-z]+)*")


class Range(NamedTuple):
    """Positions from `low` to `high`, both in it."""

    low: str
    high: str

    def __contains__(self, position: object) -> bool:
        return isinstance(position, str) and self.low <= position <= self.high


class Log(NamedTuple):
    """A thread's row as the operations on its messages need it.

    Messages whose position is in one of `cuts` are not there: they are only still to be removed.
    """

    key: int
    epoch: str
    tail: int
    edits: int
    cuts: tuple[Range, ...] = ()
    sliding: int | None = None
    expires_at: int | None = None

    @property
    def etag(self) -> str:
        return log_etag(self.epoch, self.tail, self.edits)

    def is_cut(self, position: str | None) -> bool:
        """Whether what stands at a position was cut away."""
        return any(position in cut for cut in self.cuts)


def log_of(row: Row) -> Log:
    """The log of a row of `LOG`. Raises CorruptData."""
    key, epoch, tail, edits, cuts, sliding, expires = row
    if (type(epoch), type(tail), type(edits)) != (str, int, int) or not (
        (sliding is None or type(sliding) is int) and (expires is None or type(expires) is int)
    ):
        raise CorruptData(f"the row of a thread, whose key is {key}, is damaged")
    return Log(key, epoch, tail, edits, () if cuts is None else ranges_of(key, cuts), sliding, expires)


def ranges_of(key: int, cuts: object) -> tuple[Range, ...]:
    """What was cut from the thread of a key, by the text in its row. Raises CorruptData."""
    if not isinstance(cuts, str) or not _CUTS.fullmatch(cuts):
        raise CorruptData(f"the row of a thread, whose key is {key}, is damaged")
    return tuple(Range(*cut.split("-")) for cut in cuts.split(","))


def ranges_text(cuts: Iterable[Range]) -> str | None:
    """What `ranges_of` reads; None for no ranges."""
    return ",".join("-".join(cut) for cut in cuts) or None


def thread_of(row: Row) -> Thread:
    """The thread of a row. Raises CorruptData, which names it and says nothing of what is stored."""
    thread_id, owner, topic, metadata, participants, created, active, expires, revision, *rest = row
    kind, sliding, origin = rest
    try:
        if {type(one) for one in (thread_id, owner, topic, revision, kind)} - {str, type(None)}:
            raise TypeError("text is stored as something else")
        return Thread(
            thread_id,
            owner,
            topic,
            _object(json.loads(metadata)),
            tuple(_participant(*fields) for fields in json.loads(participants)),
            from_micros(created),
            from_micros(active),
            None if expires is None else from_micros(expires),
            revision,
            kind,
            None if sliding is None else timedelta(microseconds=sliding),
            None if origin is None else Origin(*json.loads(origin)),
        )
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise CorruptData(f"the row of thread {thread_id!r} is damaged") from error


def written(thread: Thread) -> tuple[object, ...]:
    """The parameters of `WRITTEN` for the properties of `thread`."""
    return (
        thread.owner,
        thread.topic,
        compact(thread.metadata),
        participants_text(thread.participants),
        to_micros(thread.created_at),
        to_micros(thread.active_at),
        None if thread.expires_at is None else to_micros(thread.expires_at),
        thread.kind,
        None if thread.sliding is None else micros_of(thread.sliding),
        None if thread.forked_from is None else compact(thread.forked_from),
    )


def compact(value: object) -> str:
    """`value` as JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def participants_text(participants: Iterable[Participant]) -> str:
    """What `thread_of` makes participants of."""
    return compact([[one.id, one.display_name, one.metadata] for one in participants])


def _participant(id: str, display_name: str | None, metadata: Json) -> Participant:
    return Participant(id, display_name, _object(metadata))


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError("metadata is an object")
    return value
