"""Text as the database takes it: its type `text` knows no character zero, and ids may hold one.

Zero is written as one and one, one itself as one and two, and everything else as it is. So texts differ where
they differed, and sort as they sorted. No JSON holds either character as it is: messages are stored as sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from chatstore.engines.sql import Row

__all__ = ["ESCAPE", "escaped", "read", "written"]

ESCAPE = "\1"


def written(values: Iterable[Any]) -> list[Any]:
    """Values as they are stored."""
    return [escaped(value) if isinstance(value, str) else value for value in values]


def read(rows: Sequence[Row]) -> Sequence[Row]:
    """Rows as they were before they were sent; where none holds `ESCAPE`, they are so already."""
    return [tuple(_read(value) if type(value) is str else value for value in row) for row in rows]


def escaped(value: str) -> str:
    """A text as it is stored."""
    if "\0" in value or "\1" in value:
        return value.replace("\1", "\1\2").replace("\0", "\1\1")
    return value


def _read(value: str) -> str:
    parts = value.split("\1\1")
    return "\0".join(part.replace("\1\2", "\1") for part in parts)
