"""What becomes of a thread: changes made from a state, without a call to the table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from chatstore import position
from chatstore.conditions import expiry, require, require_log, restored
from chatstore.contract import Draft, NewThread, Span
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import Change, View
from chatstore.engines.fenced.header import State, born, properties_text, snapshot
from chatstore.engines.fenced.segments import Segment, Stored, cut, stored
from chatstore.errors import Conflict, ThreadExists, ThreadNotFound
from chatstore.ids import token
from chatstore.models import Appended, Message, Thread, to_micros

__all__ = [
    "anew",
    "appended",
    "created",
    "earliest",
    "existing",
    "is_far",
    "replaced",
    "restored_at",
    "widest",
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


def created(view: View, new: NewThread) -> State:
    """A new thread's state. Raises ThreadExists."""
    before = view.known.state
    if before is not None and before.lives(view.now):
        raise ThreadExists(view.key.id)
    return born(before, view.key.tenant, new, view.now, expiry(view.now, new.ttl))


def writable(
    view: View, create: NewThread | None, if_match: str | None, *, appending: bool = False
) -> tuple[State, str | None]:
    """The thread as `if_match` expects it, or a new one with its properties where there is none."""
    state = view.state
    if state is not None:
        require_log(if_match, state.etag, appending=appending)
        return state, None
    require(if_match, None)
    if create is None:
        raise ThreadNotFound(view.key.id)
    return created(view, create), properties_text(view.key.id, create)


def appended(
    view: View, state: State, drafts: Sequence[Draft], text: str | None, kept: int = 0
) -> Change[Appended]:
    """`drafts` at the end of the log of `state`, which is a new thread's if it comes with its properties."""
    messages = stored(drafts, state.tail, view.now)
    segments = [Segment.of(state.generation, row) for row in cut(messages)]
    state = state._replace(tail=state.tail + len(messages))
    state = state._replace(widest=widest(segments, state))
    if messages:
        state = state.touched(view.now)
    due = None
    if text is not None:
        # What is left of an earlier life is not waited for.
        due = state.expires if view.known.state is None else view.now
    result = Appended(tuple(one.message() for one in messages), state.etag, kept)
    return Change(result, state, text, segments, due=due)


def restored_at(
    view: View, thread: Thread, messages: Sequence[Message], if_match: str | None
) -> Change[Appended]:
    """A thread as it was, made or gone on with, and as many of the first messages as one group takes."""
    properties = NewThread(thread.owner, thread.topic, thread.metadata, thread.participants)
    if if_match is None:
        state = created(view, properties)
    elif view.state is None:
        raise Conflict(None)
    else:
        state = view.state
        require_log(if_match, state.etag, appending=True)
        present = snapshot(state, thread.id, properties)
        thread = restored(present, thread)
    expires = None if thread.expires_at is None else to_micros(thread.expires_at)
    rows: list[Stored] = []
    for slot, one in enumerate(messages[:_RESTORED], state.tail + 1):
        until = None if one.expires_at is None else to_micros(one.expires_at)
        at = to_micros(cast("datetime", one.created_at))
        rows.append(Stored(cast("str", one.id), position.nth(slot), at, 0, until, one.text))
        if layout.slot_in(rows[-1].id) != slot:
            state = state._replace(scattered=True)
    segments = [Segment.of(state.generation, row) for row in cut(rows)]
    state = state._replace(
        tail=state.tail + len(rows), created=to_micros(thread.created_at), revision=token(),
        active=to_micros(thread.active_at), expires=expires,
    )  # fmt: skip
    state = state._replace(widest=widest(segments, state))
    text = properties_text(thread.id, properties)
    due = expires if view.known.state is None or if_match is not None else view.now
    result = Appended(tuple(one.message() for one in rows), state.etag)
    return Change(result, state, text, segments, due=due)


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
    generation = layout.next_generation(state.generation, view.now)
    segments = [Segment.of(generation, row) for row in cut(messages)]
    state = state._replace(generation=generation, base=state.tail, tail=state.tail + len(messages), widest=1)
    state = state._replace(widest=widest(segments, state))
    if messages:
        state = state.touched(view.now)
    result = Appended(tuple(one.message() for one in messages), state.etag)
    return Change(result, state, put=segments, due=view.now)


def widest(segments: Sequence[Segment], state: State) -> int:
    """How many slots the widest row takes."""
    return max([state.widest, *(len(segment.messages) for segment in segments)])


def earliest(expires: int | None, segments: Sequence[Segment]) -> int | None:
    """When the first of a thread and its messages expires."""
    return min(
        [one for one in (expires, *(row.expires for row in segments)) if one is not None], default=None
    )


def is_far(state: State, span: Span) -> bool:
    """Whether a page lies too deep to come along with the header."""
    if span.newest:
        return span.before is not None and layout.slots_around(span.before)[1] + span.limit < state.tail
    begins = state.base if span.after is None else layout.slots_around(span.after)[0]
    return state.tail - begins > span.limit + 1
