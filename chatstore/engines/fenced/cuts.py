"""What was cut away of a history and is still there: rows that nobody reads, until they are removed.

A cut leaves the slot behind it vacant. Messages that are later inserted in front of what follows go there,
so that no row of theirs is among those that were cut away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chatstore import position
from chatstore.engines.fenced import layout

__all__ = ["Range", "around", "cut_off", "first_of", "vacant", "with_cut"]


class Range(NamedTuple):
    """The rows that begin at the position `first` or behind it, up to those in the slot `last`."""

    first: str
    last: int


def first_of(place: str, *, behind: bool) -> str:
    """The first position that is cut away: `place`, or the least one behind it."""
    return f"{place}0" if behind else place


def with_cut(cuts: Sequence[Range], first: str, last: int) -> tuple[Range, ...]:
    """The ranges with another behind them, which takes in those that begin there."""
    return (*(one for one in cuts if one.first < first), Range(first, last))


def cut_off(cuts: Sequence[Range], row: str) -> bool:
    """Whether a row of messages was cut away."""
    if not cuts:
        return False
    place, slot = layout.place_of(row), layout.slot_of(row)
    return any(one.first <= place and slot <= one.last for one in cuts)


def around(cuts: Sequence[Range], low: int, high: int) -> Iterator[tuple[int, int]]:
    """The slots from `low` to `high`, from and to, in which rows may begin that stayed."""
    for one in cuts:
        begins = layout.slots_around(one.first)[0] + (len(one.first) > len(position.START))
        if low < begins:
            yield low, min(high, begins - 1)
        low = max(low, one.last + 1)
    if low <= high:
        yield low, high


def vacant(cuts: Sequence[Range], low: str, high: str) -> str | None:
    """The vacant slot of a cut that lies between two positions; None where there was none."""
    free = [position.nth(one.last + 1) for one in cuts if low < one.first]
    return max((place for place in free if place < high), default=None)
