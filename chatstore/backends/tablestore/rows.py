"""How the log's rows are written in Tablestore: two columns of text as the key, the rest as attributes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from chatstore.engines.log import Key, Row

__all__ = ["PrimaryKey", "attributes", "behind", "below", "primary_key", "row_at", "size_of", "sort_key"]

PrimaryKey: TypeAlias = list[tuple[str, str]]

MOST_OF_A_KEY: Final = 1024
"""Bytes that a column of a key takes."""

_BARE: Final = "n"
"""A column for rows that are nothing but their key: only what has an attribute is sure to be found."""


def primary_key(key: Key) -> PrimaryKey:
    """The key of a row.

    The table is cut into ranges of the first column. A few digits of a digest in front of it spread over
    them what is named alike, or written at the same time. A name that is too long is its digest.
    """
    digest = hashlib.sha256(key.pk.encode()).hexdigest()
    named = f"{digest[:4]}#{key.pk}"
    return [("pk", named if len(named.encode()) <= MOST_OF_A_KEY else digest), ("sk", key.sk)]


def attributes(row: Row) -> list[tuple[str, Any]]:
    """What is beside the key. Bytes are a ``bytearray``: the SDK takes ``bytes`` for text."""
    found: list[tuple[str, Any]] = [
        (name, bytearray(value) if isinstance(value, bytes) else value)
        for name, value in row.items()
        if name not in ("pk", "sk")
    ]
    return found or [(_BARE, 1)]


def row_at(key: Key, columns: Iterable[Sequence[Any]]) -> Row:
    """A row from its attributes, of which each is a name, a value, and perhaps a version."""
    row: Row = {"pk": key.pk, "sk": key.sk}
    for name, value, *_ in columns:
        if name != _BARE:
            row[str(name)] = bytes(value) if isinstance(value, bytearray) else value
    return row


def sort_key(key: Iterable[Sequence[Any]]) -> str:
    """The sort key that a primary key has."""
    return next(str(column[1]) for column in key if column[0] == "sk")


def behind(text: str) -> str:
    """The lowest text above another."""
    return f"{text}\0"


def below(text: str) -> str:
    """A text below another that is not empty, with as little between as is easily had."""
    last = ord(text[-1])
    if last == 0:
        return text[:-1]
    # There is no text in surrogates.
    return f"{text[:-1]}{chr(0xD7FF if last == 0xE000 else last - 1)}\U0010ffff"


def size_of(row: Row) -> int:
    """Bytes of a row, as limits and prices count them: names and values, eight for a number."""
    key = primary_key(Key(str(row["pk"]), str(row["sk"])))
    return sum(len(name.encode()) + _value(value) for name, value in [*key, *attributes(row)])


def _value(value: str | int | bytearray) -> int:
    if isinstance(value, int):
        return 8
    return len(value.encode() if isinstance(value, str) else value)
