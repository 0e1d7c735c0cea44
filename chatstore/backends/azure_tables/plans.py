"""What becomes of a thread: changes made from a state, without a call to the table."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore.backends.azure_tables import keys
from chatstore.backends.azure_tables.header import State, born, properties_text
from chatstore.backends.azure_tables.segments import Segment, Stored, cut, stored
from chatstore.backends.azure_tables.writing import Change, View
from chatstore.conditions import expiry, require, require_log
from chatstore.contract import Draft, NewThread, Span
from chatstore.errors import ThreadExists, ThreadNotFound
from chatstore.models import Appended

__all__ = [
    "anew",
    "appended",
    "created",
    "earliest",
    "existing",
    "is_far",
    "replaced",
    "widest",
    "writable",
]


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
    generation = keys.next_generation(state.generation, view.now)
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
        return span.before is not None and keys.slots_around(span.before)[1] + span.limit < state.tail
    begins = state.base if span.after is None else keys.slots_around(span.after)[0]
    return state.tail - begins > span.limit + 1
