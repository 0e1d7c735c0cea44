"""Answers of the protocol's version 2, read from the bytes that came so far."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis import exceptions

__all__ = ["LOOKS", "Look", "Short", "answers", "looked", "looking", "packed"]

_INTEGER, _TEXT, _LIST, _LINE, _ERROR = b":$*+-"
_ROWS: Final = re.compile(rb"\*(\d+)\r\n")
_ENTRY: Final = re.compile(rb"\*2\r\n\$\d+\r\n(\d+-\d+)\r\n\*2\r\n\$1\r\n([bp])\r\n\$(\d+)\r\n")
_LONGEST: Final = 128
"""No beginning of an entry that `_ENTRY` matches is as long."""


LOOKS: Final = 4
"""Commands of a look."""

_LOOK: Final = (
    b"*2\r\n$7\r\nHGETALL\r\n%b"
    b"*6\r\n$9\r\nXREVRANGE\r\n%b%b%b$5\r\nCOUNT\r\n%b"
    b"*7\r\n$11\r\nZRANGEBYLEX\r\n%b%b%b$5\r\nLIMIT\r\n$1\r\n0\r\n%b"
    b"*3\r\n$4\r\nHGET\r\n%b$1\r\ne\r\n"
)


class Short(Exception):
    """An answer is not whole: at least so many bytes are missing."""

    def __init__(self, missing: int) -> None:
        super().__init__(missing)
        self.missing = missing


class Look(NamedTuple):
    """A thread's header, entries of its stream, members of its set, and the header's etag behind them."""

    header: list[bytes]
    entries: list[tuple[bytes, bytes, bytes]]
    """Each with its id, its field and its value."""
    members: list[bytes]
    etag: bytes | None


def packed(commands: tuple[tuple[Any, ...], ...]) -> bytes:
    """Commands as the protocol has them; words are text, bytes or whole numbers."""
    parts: list[bytes] = []
    for words in commands:
        parts.append(b"*%d" % len(words))
        for said in words:
            word = said if type(said) is bytes else str(said).encode()
            parts += (b"$%d" % len(word), word)
    return b"\r\n".join([*parts, b""])


def looking(keys: Sequence[str], bounds: Sequence[bytes], count: int) -> bytes:
    """The commands of a `Look` at a thread's set, header and stream.

    The last of them tells whether anything came between. `bounds` are the members' and the ids of the newest
    and the oldest entry; `count` is how many of each are read.
    """
    rows, head, stream = [_word(key.encode()) for key in keys]
    low, high, newest, oldest = map(_word, bounds)
    most = _word(b"%d" % count)
    return _LOOK % (head, stream, newest, oldest, most, rows, low, high, most, head)


def answers(data: bytes, count: int) -> tuple[list[Any], int]:
    """So many answers, and where they end; what the server refuses is an error among them. Raises Short."""
    found, at = [], 0
    for _ in range(count):
        value, at = _value(data, at)
        found.append(value)
    return found, at


def looked(data: bytes, count: int) -> tuple[list[Any], int]:
    """A `Look`, as answered to `looking`; where one of the first two is refused, as `answers` has it."""
    header, at = _value(data, 0)
    found = _ROWS.match(data, at)
    if found is None or not isinstance(header, list):
        return answers(data, count)
    entries, at, whole, entry = [], found.end(), len(data), _ENTRY.match
    for _ in range(int(found[1])):
        one = entry(data, at)
        if one is None:
            if whole - at >= _LONGEST:
                raise exceptions.InvalidResponse("no entry of a stream of ours")
            raise Short(1)
        id, field, size = one.groups()
        start = one.end()
        ends = start + int(size)
        at = ends + 2
        if at > whole:
            raise Short(at - whole)
        entries.append((id, field, data[start:ends]))
    members, at = _value(data, at)
    etag, at = _value(data, at)
    return [Look(header, entries, members, etag)], at


def _value(data: bytes, at: int) -> tuple[Any, int]:
    """The value that begins there, and where the next one does."""
    ends = data.find(b"\r\n", at)
    if ends < 0:
        raise Short(1)
    kind, told, after = data[at], data[at + 1 : ends], ends + 2
    if kind == _INTEGER:
        return int(told), after
    if kind == _LINE:
        return told, after
    if kind == _ERROR:
        return exceptions.ResponseError(told.decode(errors="replace")), after
    size = int(told)
    if size < 0:
        return None, after
    if kind == _TEXT:
        ends = after + size
        if ends + 2 > len(data):
            raise Short(ends + 2 - len(data))
        return data[after:ends], ends + 2
    if kind != _LIST:
        raise exceptions.InvalidResponse("no answer of a Redis")
    items = []
    for _ in range(size):
        value, after = _value(data, after)
        items.append(value)
    return items, after


def _word(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)
