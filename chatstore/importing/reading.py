"""The conversations of a file, whatever its form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from chatstore.codec import Json
from chatstore.errors import InvalidArgument, InvalidMessage
from chatstore.importing.conversations import BadThread, Conversation, Draft, Finisher
from chatstore.importing.recognising import Unknown, loose, recognised, thread_of
from chatstore.importing.texts import BLANK, MAX_BYTES, Line, lines, looks_like
from chatstore.importing.values import parsed

__all__ = ["read_threads"]

_FILE = "the file"
_UNKNOWN = 20
"""A file is of an unknown form if its first values, so many, are all of an unknown form."""


def read_threads(source: BinaryIO, *, max_bytes: int = MAX_BYTES) -> Iterator[Conversation | BadThread]:
    """The threads of a file, in its order; messages that stand alone follow, as the threads that they name.

    Of JSON Lines of threads one line is held in memory at a time, of other files all of it, at most
    `max_bytes`. A file without conversations is one bad thread, which says what it looks like.
    """
    finisher = Finisher()
    for where, found in _withheld(_found(source, max_bytes)):
        if isinstance(found, BadThread):
            yield BadThread(where, found.reason)
            continue
        try:
            yield finisher.conversation(where, found)
        except InvalidArgument as error:
            yield BadThread(where, str(error))


def _found(source: BinaryIO, max_bytes: int) -> Iterator[tuple[str, Draft | BadThread]]:
    """What the lines of the file are, and where."""
    alone: dict[str | None, list[Json]] = {}
    size = 0
    try:
        for line in _texts(lines(source, max_bytes), max_bytes):
            where = f"line {line.number}"
            if line.text is None:
                yield where, BadThread(where, _too_long(max_bytes))
                continue
            try:
                value = _once(parsed(line.text))
            except InvalidMessage as error:
                yield where, Unknown(where, f"{error}; it {looks_like(line.text)}")
                continue
            message = loose(value)
            if message is None:
                for each in recognised(value):
                    yield where + (each.where if isinstance(each, BadThread) else each.within), each
                continue
            size += len(line.text)
            if size > max_bytes:
                raise InvalidArgument(
                    f"holds one message a line, more than {max_bytes:,} bytes in all, so nothing after line "
                    f"{line.number} was read: split it, and keep all messages of a thread in one file"
                )
            alone.setdefault(message.thread_id, []).append(message.message)
    except InvalidArgument as error:
        yield _FILE, BadThread(_FILE, f"it {error}")
    for name, messages in alone.items():
        where = _FILE if name is None else f"thread {name!a}"
        yield where, thread_of(messages, name, "")


def _withheld(found: Iterable[tuple[str, Draft | BadThread]]) -> Iterator[tuple[str, Draft | BadThread]]:
    """What is unknown, only once something else is known: else the file as a whole is what is unknown."""
    unknown: list[tuple[str, Draft | BadThread]] = []
    known = False
    for where, each in found:
        if known or (isinstance(each, Unknown) and len(unknown) < _UNKNOWN):
            if known:
                yield where, each
            else:
                unknown.append((where, each))
            continue
        if isinstance(each, Unknown):
            break
        known = True
        yield from unknown
        yield where, each
    if not known and unknown:
        yield _as_a_whole(unknown)


def _as_a_whole(unknown: list[tuple[str, Draft | BadThread]]) -> tuple[str, Draft | BadThread]:
    where, first = unknown[0]
    if len(unknown) == 1 or not isinstance(first, BadThread):
        return where, first
    return _FILE, BadThread(
        _FILE, f"no conversation was found in it; {where} is the first of many: {first.reason}"
    )


def _too_long(max_bytes: int) -> str:
    return (
        f"it is longer than {max_bytes:,} bytes: write a thread a line; "
        "of a JSON list, `jq -c '.[]'` makes lines"
    )


def _texts(found: Iterator[Line], max_bytes: int) -> Iterator[Line]:
    """JSON texts with the number of the line that each begins at: every line, or the file as one."""
    filled = (line for line in found if line.text is None or line.text.strip(BLANK))
    start = next(filled, None)
    if start is None:
        return
    if start.text is None or not _breaks_off(start.text):
        yield from (
            Line(each.number, each.text and each.text.strip(BLANK)) for each in chain([start], filled)
        )
        return
    # Only what may be a document written over several lines is read whole.
    held: list[Line] = [start]
    size = len(start.text)
    for line in filled:
        size += max_bytes + 1 if line.text is None else len(line.text)
        if size > max_bytes:
            yield Line(start.number, None)
            return
        held.append(line)
    texts = [line.text.strip(BLANK) for line in held if line.text is not None]
    document = b"\n".join(texts)
    if _is_whole(document) or not any(_is_whole(text) for text in texts[1:2]):
        yield Line(start.number, document)
    else:
        yield from (Line(line.number, text) for line, text in zip(held, texts, strict=True))


def _once(value: Json) -> Json:
    """LlamaIndex reads files that hold its JSON as a JSON string; so do we."""
    return parsed(value.encode(errors="surrogatepass")) if isinstance(value, str) else value


def _is_whole(text: bytes) -> bool:
    return _fault(text.decode(errors="replace")) is None


def _breaks_off(text: bytes) -> bool:
    """Whether JSON text ends before its value does."""
    characters = text.strip(BLANK).decode(errors="replace")
    return _fault(characters) == len(characters)


def _fault(text: str) -> int | None:
    """The character at which `text` stops being JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos
    except (ValueError, RecursionError):
        return None  # a number or a depth that cannot be kept: JSON, for all that
    return None
