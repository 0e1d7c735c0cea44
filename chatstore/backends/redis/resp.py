"""Answers of the protocol's version 2, read from the bytes that came so far."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis import exceptions

__all__ = ["LOOKS", "Look", "Short", "answers", "looked", "looking", "packed"]

_INTEGER, _TEXT, _LIST, _LINE, _ERROR = b":$*+-"
_ENDS: Final = re.compile(rb"\r\n")
_LINES: Final = 8
"""Lines of an entry in an answer: how many values it has, its id, how many its pair has, a field, a value."""

LOOKS: Final = 4
"""Commands of a look."""

_LOOK: Final = (
    b"*2\r\n$7\r\nHGETALL\r\n%b"
    b"*6\r\n$9\r\nXREVRANGE\r\n%b$1\r\n+\r\n$1\r\n-\r\n$5\r\nCOUNT\r\n%b"
    b"*7\r\n$11\r\nZRANGEBYLEX\r\n%b$2\r\n[m\r\n$2\r\n(n\r\n$5\r\nLIMIT\r\n$1\r\n0\r\n%b"
    b"*3\r\n$4\r\nHGET\r\n%b$1\r\ne\r\n"
)


class Short(Exception):
    """An answer is not whole: at least so many bytes are missing."""

    def __init__(self, missing: int) -> None:
        super().__init__(missing)
        self.missing = missing


class Look(NamedTuple):
    """A thread's header, its newest messages, and the header's etag behind them.

    The messages are entries of its stream, each an id, a field and a value, and members of its set.
    """

    header: list[bytes]
    ids: list[bytes]
    fields: list[bytes]
    values: list[bytes]
    members: list[bytes]
    etag: bytes | None


def packed(commands: tuple[tuple[Any, ...], ...]) -> bytes:
    """Commands as the protocol has them; words are text, bytes or whole numbers."""
    parts: list[bytes] = []
    for words in commands:
        parts.append(b"*%d\r\n" % len(words))
        parts += [
            b"$%d\r\n%b\r\n" % (len(word), word) if type(word) is bytes else _named(word) for word in words
        ]
    return b"".join(parts)


@functools.lru_cache(8192)
def _named(word: object) -> bytes:
    # Names of commands, scripts and keys come again and again.
    return _word(str(word).encode())


def looking(keys: Sequence[str], count: int) -> bytes:
    """The commands of a `Look` at a thread's set, header and stream, for so many entries and members.

    The last of them tells whether anything came between.
    """
    rows, head, stream = [_word(key.encode()) for key in keys]
    most = _word(b"%d" % count)
    return _LOOK % (head, stream, most, rows, most, head)


def answers(data: bytes, count: int) -> tuple[list[Any], int]:
    """So many answers, and where they end; what the server refuses is an error among them. Raises Short."""
    found, at = [], 0
    for _ in range(count):
        value, at = _value(data, at)
        found.append(value)
    return found, at


def looked(data: bytes, count: int) -> tuple[list[Any], int]:
    """A `Look`, as answered to `looking`; where one of the commands is refused, as `answers` has it."""
    look = _columns(_ENDS.split(data)) if data.endswith(b"\r\n") else None
    if look is not None:
        return [look], len(data)
    found, ends = answers(data, count)
    header, entries, members, etag = found
    if any(isinstance(one, Exception) for one in found):
        return found, ends
    ids, pairs = [id for id, _ in entries], [pair for _, pair in entries]
    fields, values = [field for field, _ in pairs], [value for _, value in pairs]
    return [Look(header, ids, fields, values, members, etag)], ends


def _columns(lines: list[bytes]) -> Look | None:
    """A look by the lines of its answer, which takes a fifth of the time; None where that does not do.

    It does not for an answer that is not whole, with a line's end in a text, or with members of the set.
    """
    try:
        begins = 1 + 2 * int(lines[0][1:])
        count = int(lines[begins][1:])
        ends = begins + 1 + _LINES * count
        if lines[0][:1] + lines[begins][:1] + lines[ends] != b"***0":
            return None
        size, etag, _ = lines[ends + 1 :]
    except (ValueError, IndexError):
        return None
    header, values = lines[2:begins:2], lines[begins + 8 : ends : _LINES]
    told = [*lines[1:begins:2], *lines[begins + 7 : ends : _LINES], size]
    pairs = lines[begins + 1 : ends : _LINES] + lines[begins + 4 : ends : _LINES]
    # Where each text is as long as it is told to be, each line is what it is taken for.
    if told != [b"$%d" % len(text) for text in (*header, *values, etag)] or pairs.count(b"*2") != 2 * count:
        return None
    ids, fields = lines[begins + 3 : ends : _LINES], lines[begins + 6 : ends : _LINES]
    return Look(header, ids, fields, values, [], etag)


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
