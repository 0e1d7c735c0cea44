"""What a turn makes of a thread: its properties, its totals, the result that a request is told again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

from chatstore import records
from chatstore.codec import decode, encode
from chatstore.conditions import changed_metadata
from chatstore.contract import Draft, MetadataPatch, NewThread, ThreadKey
from chatstore.engines.log.planning import Turn
from chatstore.engines.log.records import Entry, Header, Slot, Totals, chained
from chatstore.models import Message, Thread, from_micros, to_micros

__all__ = ["active_at", "answering", "beside", "born", "edited", "grown", "new_thread", "stays"]

_MINUTE = 60_000_000


def new_thread(key: ThreadKey, new: NewThread, turn: Turn) -> Thread:
    """A thread with the properties of `new`, made now."""
    at = from_micros(turn.now)
    expires = None if new.ttl is None else at + new.ttl
    return Thread(
        key.id,
        new.owner,
        new.topic,
        new.metadata,
        new.participants,
        at,
        born(turn),
        expires,
        turn.token,
        new.kind,
        new.ttl if new.sliding else None,
    )


def born(turn: Turn) -> datetime:
    """When a thread that is made now is active: later than all others that bore its id."""
    return from_micros(max(turn.now, turn.head.totals.active_at + 1))


def grown(totals: Totals, drafts: Sequence[Draft]) -> Totals:
    """The totals after `drafts` were appended."""
    return replace(
        totals,
        count=totals.count + len(drafts),
        chain=chained(totals.chain, [draft.text for draft in drafts]),
        expiring=totals.expiring or any(draft.ttl is not None for draft in drafts),
    )


def edited(
    turn: Turn, *, gone: int = 0, emptied: bool = False, expiring: bool = False, active: bool = False
) -> Totals:
    """The totals after an edit."""
    totals = turn.totals
    at = active_at(totals.active_at, turn.now) if active else totals.active_at
    return replace(
        totals,
        edits=totals.edits + 1,
        gone=totals.gone + gone,
        places=totals.places + 1 + emptied,
        expiring=totals.expiring or expiring,
        active_at=at,
    )


def stays(entry: Entry, draft: Draft) -> bool:
    """Whether a message is the one that a draft of its whole history asks for."""
    if entry.text != draft.text or draft.key not in (None, entry.key):
        return False
    return draft.metadata is None or decode(draft.metadata) == decode(entry.metadata or "{}")


def beside(entry: Entry, change: MetadataPatch) -> str | None:
    """What is kept beside a message after a change of it."""
    metadata = changed_metadata({} if entry.metadata is None else decode(entry.metadata), change)
    return encode(metadata) if metadata else None


def answering(turn: Turn, slot: Slot, message: Message, drafts: Sequence[Draft]) -> Slot:
    """The slot, with its result where a request asks for it; without `drafts` the text is in it."""
    if slot.request is None:
        return slot
    thread = cast("Header", turn.head.header).thread
    life = None if thread is None or thread.expires_at is None else to_micros(thread.expires_at)
    return slot._replace(result=records.dump(message, drafts, life))


def active_at(before: int, now: int) -> int:
    """When a thread was active, to the minute: never earlier than before, whatever the clock says."""
    return before if now // _MINUTE <= before // _MINUTE else now
