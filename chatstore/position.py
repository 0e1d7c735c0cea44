"""Positions: strings that sort, byte by byte, in a thread's order.

An appended message takes the next *slot*, ten decimal digits. A message inserted between two others takes the
slot of the one before it, and a *fraction* behind that. A fraction is digits of base 62 that never end in
zero, so there is always room for another. A fraction grows by a digit for about six insertions at the same
place; `crowded` says when it is time to number a thread anew.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["START", "between", "crowded", "nth"]

START = "0000000000"
"""Sorts before every message's position."""

_SLOT = len(START)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUE = {digit: value for value, digit in enumerate(_DIGITS)}
_CROWDED = 120


@lru_cache(8192)
def nth(slot: int) -> str:
    """The position of the `slot`-th appended message, counted from one."""
    # Few threads are so long that others have not the same slots.
    return "%010d" % slot  # noqa: UP031 - half the time of a format, for every message


def between(low: str, high: str) -> str:
    """A position above `low` (or `START`) and below `high`."""
    slot = low[:_SLOT]
    return slot + _middle(low[_SLOT:], high[_SLOT:] if high[:_SLOT] == slot else None)


def crowded(position: str) -> bool:
    """Whether so many were inserted at one place that the thread should be numbered anew."""
    return len(position) > _CROWDED


def _middle(low: str, high: str | None) -> str:
    """A fraction above `low` and below `high`, where None is above everything."""
    digits: list[str] = []
    while True:
        place = len(digits)
        floor = _VALUE[low[place]] if place < len(low) else 0
        ceiling = _VALUE[high[place]] if high is not None else len(_DIGITS)
        if ceiling - floor > 1:
            digits.append(_DIGITS[(floor + ceiling) // 2])
            return "".join(digits)
        digits.append(_DIGITS[floor])
        if ceiling > floor:
            high = None
