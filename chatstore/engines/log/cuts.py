"""What was cut out of a history: ranges of positions, which the sums that slots carry name.

A cut is a slot. It says that what lies between some position and that slot is no longer there. Nobody removes
it at once: who reads passes the ranges by. What was cut at one place again and again is one range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from chatstore import position

if TYPE_CHECKING:
    from chatstore.engines.log.records import Slot

__all__ = ["MOST_CUTS", "Range", "added", "behind", "dumped", "floor", "is_cut", "loaded", "shown", "spans"]

MOST_CUTS = 16
"""Ranges that slots carry before the history goes on in an epoch without them."""

_DIGITS = len(position.START)


class Range(NamedTuple):
    """The positions from `low` on that were there when the slot of the number `slot` was taken."""

    low: str
    slot: int

    @property
    def high(self) -> str:
        """Above all that was cut, and below all that comes later.

        The last message of a slot has a fraction that begins with 3 at most. An inserted message comes in
        front of one that is there. So there is room left between this position and the slot.
        """
        return f"{position.nth(self.slot - 1)}4"

    def holds(self, place: str) -> bool:
        """Whether that position was cut."""
        return self.low <= place < self.high


def behind(place: str) -> str:
    """Where a cut begins that leaves the position `place`: no other lies between the two."""
    return f"{place}0"


def added(ranges: Sequence[Range], low: str, slot: int) -> tuple[Range, ...]:
    """The ranges once a slot has cut all from `low` on, which is behind what stays."""
    left = [one for one in ranges if one.low < low]
    if left and behind(left[-1].high) == low:
        # Nothing lies between the two.
        low = left.pop().low
    return (*left, Range(low, slot))


def floor(ranges: Sequence[Range], place: str, above: str) -> str:
    """The least position above which a message may be put in front of `place`, and behind `above`."""
    return max([above, *(one.high for one in ranges if one.high <= place)])


def is_cut(ranges: Sequence[Range], place: str) -> bool:
    """Whether a position lies in one of the ranges."""
    return any(one.holds(place) for one in ranges)


def shown(ranges: Sequence[Range], slot: Slot) -> Slot | None:
    """A row without the messages that were cut; None where the row was. Those that stay keep their places."""
    if not ranges:
        return slot
    if is_cut(ranges, slot.position):
        return None
    left = tuple(entry for entry in slot.messages if not is_cut(ranges, entry.position))
    return slot if len(left) == len(slot.messages) else slot._replace(entries=left)


def spans(ranges: Sequence[Range], start: str | None, *, newest: bool) -> list[tuple[str, str | None]]:
    """What is left between the ranges, in the order of reading, from the row on that may hold `start`.

    Each is its first and its last position; None is the end.
    """
    lows = ["", *(one.high for one in ranges)]
    highs = [*(one.low for one in ranges), None]
    found: list[tuple[str, str | None]] = []
    for low, high in zip(lows, highs, strict=True):
        if start is None:
            found.append((low, high))
        elif newest and low <= start:
            found.append((low, start if high is None else min(high, start)))
        elif not newest and (high is None or high >= start[:_DIGITS]):
            found.append((max(low, start[:_DIGITS]), high))
    return found[::-1] if newest else found


def dumped(ranges: Sequence[Range]) -> list[Any]:
    """The form of ranges: of each, the slot and the fraction where it begins, and the slot that cut."""
    return [[int(one.low[:_DIGITS]), one.low[_DIGITS:], one.slot] for one in ranges]


def loaded(form: Sequence[Any]) -> tuple[Range, ...]:
    """The ranges of a form."""
    return tuple(Range(position.nth(number) + fraction, slot) for number, fraction, slot in form)
