"""What becomes of a thread: changes made from a state, without a call to the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, cast

from chatstore import position
from chatstore.codec import encode
from chatstore.conditions import require, require_log, restored
from chatstore.contract import Cut, Draft, NewThread, Span
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import Change, View
from chatstore.engines.fenced.cuts import first_of, with_cut
from chatstore.engines.fenced.header import State, born, properties_text, thread_of
from chatstore.engines.fenced.keys import MOST_KEYS, released
from chatstore.engines.fenced.segments import Segment, Stored, laid_out, stored, widest
from chatstore.errors import Conflict, ThreadExists, ThreadNotFound
from chatstore.ids import token
from chatstore.models import Appended, Message, Thread, from_micros, to_micros

__all__ = [
    "Cutting",
    "anew",
    "appended",
    "beginning",
    "created",
    "cut_away",
    "earliest",
    "existing",
    "filled",
    "is_far",
    "replaced",
    "restored_at",
    "writable",
]


_RESTORED = 320
"""Messages that one group takes: they are twenty rows at most, unless they are large."""


def existing(view: View) -> State:
    """The thread's state. Raises ThreadNotFound."""
    state = view.state
    if state is None:
        raise ThreadNotFound(view.key.id)
    return state


def beginning(view: View, new: NewThread) -> Thread:
    """A new thread of those properties."""
    now = from_micros(view.now)
    return Thread(
        view.key.id, new.owner, new.topic, new.metadata, new.participants, now, now,
        None if new.ttl is None else now + new.ttl, token(), new.kind, new.ttl if new.sliding else None,
    )  # fmt: skip


def created(view: View, thread: Thread) -> State:
    """A new thread's state. Raises ThreadExists."""
    before = view.known.state
    if before is not None and before.lives(view.now):
        raise ThreadExists(view.key.id)
    return born(before, view.key.tenant, thread, view.now)


def writable(
    view: View, create: NewThread | None, if_match: str | None, *, appending: bool = False
) -> tuple[State, str | None]:
    """The thread as `if_match` expects it, or a new one with its properties where there is none.

    Raises Conflict, and ThreadNotFound where there is no thread and none is to be made.
    """
    state = view.state
    if state is not None:
        require_log(if_match, state.etag, appending=appending)
        return state, None
    require(if_match, None)
    if create is None:
        raise ThreadNotFound(view.key.id)
    thread = beginning(view, create)
    return created(view, thread), properties_text(thread)


class Cutting(NamedTuple):
    """What a cut makes of a thread: its header, the row in which it lies, and rows to be removed with it."""

    state: State
    first: str
    put: Sequence[Segment] = ()
    drop: Sequence[str] = ()
    due: int | None = None


def cut_away(
    view: View, state: State, cut: Cut, segment: Segment, place: int, later: Sequence[Segment] | None
) -> Cutting:
    """Cut at a message, given by its row and its place in there, and the rows behind if they are few.

    Where they are not known, or have many names, they are left to the sweep, and the header says that they
    were cut away.
    """
    left = segment.messages[: place + cut.behind]
    first = first_of(segment.messages[place].position, behind=cut.behind)
    after = state._replace(tail=state.tail + 1, edits=state.edits + 1)
    rows = [] if later is None else list(later)
    names = released([*segment.messages[len(left) :], *(one for row in rows for one in row.messages)])
    ends = layout.slots_around(segment.messages[-1].position)[0] == state.tail
    if len(names) > MOST_KEYS or (later is None and not ends):
        rows, names = [], []
        after = after._replace(cuts=with_cut(state.cuts, first, state.tail))
    large = any(one.large for one in (segment, *rows))
    return Cutting(
        after,
        first,
        [segment._replace(messages=left)] if left and len(left) < len(segment.messages) else (),
        [*(one.row for one in (rows if left else [segment, *rows])), *names],
        view.now if large or after.cuts != state.cuts else None,
    )


def appended(
    view: View,
    state: State,
    drafts: Sequence[Draft],
    text: str | None,
    kept: int = 0,
    cutting: Cutting | None = None,
) -> Change[Appended]:
    """`drafts` at the end of the log of `state`, which is a new thread's if it comes with its properties.

    With `cutting` that is the end which the cut leaves.
    """
    if cutting is not None:
        state = cutting.state
    messages = stored(drafts, state.tail, view.now)
    segments = laid_out(state.epoch, messages)
    state = state._replace(tail=state.tail + len(messages), widest=widest(segments, state.widest))
    if messages:
        state = state.touched(view.now)
    due = None
    if text is not None:
        # What is left of an earlier life is not waited for.
        due = state.expires if view.known.state is None else view.now
    result = Appended(tuple([one.message() for one in messages]), state.etag, kept)
    if cutting is not None:
        return Change(result, state, text, [*cutting.put, *segments], cutting.drop, cutting.due)
    return Change(result, state, text, segments, due=due)


def filled(view: View, thread: Thread, messages: Sequence[Stored]) -> Change[Thread]:
    """A new thread with messages that are numbered from one."""
    state = created(view, thread)._replace(tail=len(messages))
    segments = laid_out(state.epoch, messages)
    state = state._replace(widest=widest(segments, state.widest))
    return Change(thread, state, properties_text(thread), segments, due=earliest(state.expires, segments))


def restored_at(
    view: View, thread: Thread, messages: Sequence[Message], if_match: str | None
) -> Change[Appended]:
    """A thread as it was, made or gone on with, and as many of the first messages as one group takes.

    Without `if_match` the thread is made. Raises Conflict where it is not as `if_match` expects it.
    """
    if if_match is None:
        state = created(view, thread)
    elif view.state is None:
        raise Conflict(None)
    else:
        state = view.state
        require_log(if_match, state.etag, appending=True)
        thread = restored(thread_of(state, properties_text(thread)), thread)
        own = layout.listing(view.key.tenant, thread.owner, thread.kind)
        state = state._replace(listings=(own, *(one for one in state.listings if one != own)))
    thread = replace(thread, id=view.key.id, etag=token())
    state = state.having(thread)
    rows: list[Stored] = []
    for slot, one in enumerate(_restorable(messages), state.tail + 1):
        until = None if one.expires_at is None else to_micros(one.expires_at)
        at = to_micros(cast("datetime", one.created_at))
        beside = encode(dict(one.metadata)) if one.metadata else None
        rows.append(Stored(cast("str", one.id), position.nth(slot), at, 0, until, one.text, beside, one.key))
        if layout.slot_in(rows[-1].id) != slot:
            state = state._replace(scattered=True)
    segments = laid_out(state.epoch, rows)
    state = state._replace(
        tail=state.tail + len(rows), created=to_micros(thread.created_at), active=to_micros(thread.active_at)
    )
    state = state._replace(widest=widest(segments, state.widest))
    due = state.expires if view.known.state is None or if_match is not None else view.now
    result = Appended(tuple(map(Stored.message, rows)), state.etag)
    return Change(result, state, properties_text(thread), segments, due=due)


def _restorable(messages: Sequence[Message]) -> Sequence[Message]:
    """The first of `messages`, as many as one group takes with their names."""
    named = [place for place, one in enumerate(messages[:_RESTORED]) if one.key is not None]
    return messages[: named[MOST_KEYS] if len(named) > MOST_KEYS else _RESTORED]


def replaced(
    view: View, state: State, drafts: Sequence[Draft], kept: int | None, text: str | None
) -> Change[Appended]:
    """`drafts` as the history, by adding what is new where the rest is there already."""
    if kept is not None:
        if kept == len(drafts) and text is None:
            return Change(Appended((), state.etag, kept))
        return appended(view, state, drafts[kept:], text, kept)
    return anew(view, state._replace(scattered=False), stored(drafts, state.tail, view.now))


def anew(view: View, state: State, messages: Sequence[Stored]) -> Change[Appended]:
    """`messages` as a history of its own, in the slots above the old one's."""
    epoch = layout.next_epoch(state.epoch, view.now)
    segments = laid_out(epoch, messages)
    state = state._replace(epoch=epoch, base=state.tail, tail=state.tail + len(messages), widest=1, cuts=())
    state = state._replace(widest=widest(segments, state.widest))
    if messages:
        state = state.touched(view.now)
    result = Appended(tuple(map(Stored.message, messages)), state.etag)
    return Change(result, state, put=segments, due=view.now)


def earliest(expires: int | None, segments: Sequence[Segment]) -> int | None:
    """When the first of a thread and its messages expires."""
    return min(
        [one for one in (expires, *(row.expires for row in segments)) if one is not None], default=None
    )


def is_far(state: State, span: Span) -> bool:
    """Whether a page lies too deep to come along with the header."""
    if span.newest:
        ends = _slot(span.before, span.before_message, above=True)
        return ends is not None and ends + span.limit < state.tail
    begins = _slot(span.after, span.after_message, above=False)
    return state.tail - (state.base if begins is None else begins) > span.limit + 1


def _slot(place: str | None, named: str | None, *, above: bool) -> int | None:
    """The slot at a position or at a message; None where none is given, or its name does not tell."""
    if named is not None:
        return layout.slot_in(named)
    return None if place is None else layout.slots_around(place)[above]
