"""Which entry of a thread's stream a row of messages is: their order is the rows', turned round.

A row's name is a history and a slot, both of which fall as time goes on. An entry's id is a number of 128
bits that only grows: a stream takes no other. So rows written one after another are entries in that order.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

from chatstore import position

__all__ = ["entries_between", "entry_of", "row_of", "rows_of"]

_ROW: Final = re.compile(r"m([0-9a-f]{20})([0-9]{10})~")
_HISTORY, _SLOT = "0123456789abcdef", "0123456789"
_HISTORIES: Final = 16**20
_SLOTS: Final = 10**10
_ROWS: Final = _HISTORIES * _SLOTS
_SLOT_BITS, _HALF = 48, 64
_SLOT_MASK: Final = (1 << _SLOT_BITS) - 1


def entry_of(row: str) -> str:
    """The id of a row's entry; empty for a row that is never one."""
    found = _ROW.fullmatch(row)
    if found is None:
        return ""
    high, low = _history(found[1])
    return f"{high}-{low | _SLOTS - 1 - int(found[2])}"


def row_of(entry: bytes) -> str:
    """The row that an entry's id names."""
    return rows_of([entry])[0]


def rows_of(entries: Iterable[bytes]) -> list[str]:
    """The rows that the ids of entries name."""
    rows = []
    history, half, front = b"", -1, ""
    for entry in entries:
        high, _, digits = entry.partition(b"-")
        low = int(digits)
        if high != history or low >> _SLOT_BITS != half:
            # Most follow one of the same history.
            history, half = high, low >> _SLOT_BITS
            front = f"m{_HISTORIES - 1 - (int(high) << _HALF - _SLOT_BITS | half):020x}"
        rows.append(f"{front}{position.nth(_SLOTS - 1 - (low & _SLOT_MASK))}~")
    return rows


def entries_between(low: str, high: str) -> tuple[str, str] | None:
    """The ids of the newest and the oldest entry of rows from `low` to before `high`; None for none."""
    first, end = _rank(low), _rank(high)
    if first >= end:
        return None
    newest = "+" if first == 0 else _id(first)
    return newest, "-" if end == _ROWS else _id(end - 1)


def _rank(text: str) -> int:
    """How many names that a row could have come before `text`."""
    if text <= "m":
        return 0
    if text >= "n":
        return _ROWS
    rank = 0
    for place, character in enumerate(text[1:31].ljust(30, "\0")):
        digits = _HISTORY if place < 20 else _SLOT
        above = next((value for value, digit in enumerate(digits) if digit >= character), len(digits))
        rank = rank * len(digits) + above
        if above == len(digits) or digits[above] != character:
            # Whatever follows, names with these digits come behind it.
            for later in range(place + 1, 30):
                rank *= 16 if later < 20 else 10
            return rank
    return rank + (text[31:] > "~")


@functools.lru_cache(4096)
def _history(digits: str) -> tuple[int, int]:
    """The halves of the id of a history's first slot."""
    number = (_HISTORIES - 1 - int(digits, 16)) << _SLOT_BITS
    return number >> _HALF, number & (1 << _HALF) - 1


def _id(rank: int) -> str:
    history, slot = divmod(rank, _SLOTS)
    number = (_HISTORIES - 1 - history) << _SLOT_BITS | (_SLOTS - 1 - slot)
    return f"{number >> _HALF}-{number & (1 << _HALF) - 1}"
