"""Finds what concurrency must never do to a thread: lose, double, reorder or tear what was written.

Writers send messages that `marked` made, so that each says who wrote it, in which of its turns, and
which part of the turn it is. Afterwards `find_faults` is given what was acknowledged, what readers
saw meanwhile and what is there at the end. A turn is what one call wrote: an append, an insert (a turn of
one), or a `replace_all` with its whole history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from chatstore.codec import Json
from chatstore.models import Message

__all__ = ["Fault", "Mark", "Turn", "find_faults", "mark_of", "marked"]


class Turn(NamedTuple):
    """One call's messages; a writer numbers its turns upwards, in the order of its calls."""

    writer: str
    number: int
    size: int = 1


class Mark(NamedTuple):
    """What a message says about itself: part `part`, from 0, of its turn."""

    turn: Turn
    part: int


class Fault(NamedTuple):
    """Something that must not be: its `kind` and where it was seen.

    Kinds are lost, duplicated, reordered, torn, removed (a message that is there although its
    removal was acknowledged) and unknown (one that nobody wrote).
    """

    kind: str
    what: str


def marked(turn: Turn, content: str = "") -> list[dict[str, Json]]:
    """The messages of `turn`, to be sent in one call."""
    return [
        {"role": "user", "content": content, "mark": [turn.writer, turn.number, turn.size, part]}
        for part in range(turn.size)
    ]


def mark_of(message: Message) -> Mark | None:
    """What `marked` put on a message; None for any other."""
    mark = message.to_dict().get("mark")
    return None if mark is None else Mark(Turn(mark[0], mark[1], mark[2]), mark[3])


def find_faults(
    acknowledged: Iterable[Turn],
    views: Iterable[Sequence[Message]],
    final: Sequence[Message],
    *,
    removed: Collection[Mark] = (),
    inserted: Collection[str] = (),
    complete: bool = True,
) -> list[Fault]:
    """All faults of one thread; none is what a store promises.

    `acknowledged` are turns whose calls returned and that nothing took back as a whole; a turn
    beyond them may be there too, or not. `views` are what single reads gave, in any order, and
    `final` is the whole thread at the end. `removed` are messages that somebody set out to delete:
    they may be missing, and are not there at the end. `inserted` are writers that insert between
    others' messages, in no order of their own and without tearing a turn. Where `complete` is
    false, a view may begin or end inside a turn, as a page of limited length does.
    """
    gone = frozenset(removed)
    faults = [Fault("lost", f"{mark}") for mark in _lost(acknowledged, final, gone)]
    faults += [Fault("removed", f"{mark}") for mark in _marks(final) if mark in gone]
    order = {mark: place for place, mark in enumerate(_marks(final))}
    for name, view, whole in [
        *((f"view {number}", view, complete) for number, view in enumerate(views)),
        ("the end", final, True),
    ]:
        marks = [mark_of(message) for message in view]
        known = [mark for mark in marks if mark is not None]
        faults += [Fault("unknown", f"{name}: message {at}") for at, mark in enumerate(marks) if mark is None]
        faults += [
            Fault("duplicated", f"{name}: {mark}") for mark, count in Counter(known).items() if count > 1
        ]
        faults += [Fault("reordered", f"{name}: {what}") for what in _reordered(known, order, inserted)]
        faults += [Fault("torn", f"{name}: {turn}") for turn in _torn(known, gone, inserted, whole=whole)]
    return faults


def _marks(messages: Iterable[Message]) -> Iterator[Mark]:
    return (mark for mark in map(mark_of, messages) if mark is not None)


def _lost(acknowledged: Iterable[Turn], final: Sequence[Message], gone: frozenset[Mark]) -> Iterator[Mark]:
    there = set(_marks(final))
    for turn in acknowledged:
        parts = (Mark(turn, part) for part in range(turn.size))
        yield from (mark for mark in parts if mark not in there and mark not in gone)


def _reordered(marks: Sequence[Mark], order: dict[Mark, int], inserted: Collection[str]) -> Iterator[str]:
    """Where a view disagrees with the end, or with the order in which a writer wrote."""
    last: tuple[int, Mark] | None = None
    newest: dict[str, Mark] = {}
    for mark in marks:
        place = order.get(mark)
        if place is not None:
            if last is not None and place < last[0]:
                yield f"{mark} after {last[1]}, and in front of it at the end"
            last = place, mark
        writer = mark.turn.writer
        if writer not in inserted:
            before = newest.get(writer)
            if before is not None and (mark.turn.number, mark.part) < (before.turn.number, before.part):
                yield f"{mark} after {before}"
            newest[writer] = mark


def _torn(
    marks: Sequence[Mark], gone: frozenset[Mark], inserted: Collection[str], *, whole: bool
) -> Iterator[Turn]:
    """Turns with something foreign between their parts, or of which a part is missing."""
    run = [mark for mark in marks if mark.turn.writer not in inserted]
    seen: dict[Turn, list[int]] = {}
    for at, mark in enumerate(run):
        seen.setdefault(mark.turn, []).append(at)
    for turn, places in seen.items():
        adjacent = places[-1] - places[0] + 1 == len(places)
        present = {run[at].part for at in places}
        missing = {part for part in range(turn.size) if Mark(turn, part) not in gone} - present
        if not whole and adjacent:
            # What lies beyond either edge of the page is not missing.
            if places[0] == 0:
                missing = {part for part in missing if part > min(present)}
            if places[-1] == len(run) - 1:
                missing = {part for part in missing if part < max(present)}
        if missing or not adjacent:
            yield turn
