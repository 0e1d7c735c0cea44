"""JSON in which one value that cannot be kept does not take the others with it."""

from __future__ import annotations

import json
import re

from chatstore.codec import MAX_DEPTH, Json, encode, parse
from chatstore.errors import InvalidMessage

__all__ = ["Unkept", "fault", "parsed"]

_AROUND = (
    8  # a message may lie in an entry, in a list, in a thread, in a list of these, and in a form around it
)
_DIGITS = 4300
_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_CUT = "9e99999999999999"  # a number that no JSON reader can hold stands for what was cut off


class Unkept:
    """Stands where a value was that cannot be kept; `reason` says why."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def parsed(text: bytes) -> Json:
    """The value of JSON text, with an `Unkept` in the place of each value that chatstore cannot keep.

    Raises InvalidMessage for text that is not JSON.
    """
    try:
        return parse(text, "it", around=_AROUND)
    except InvalidMessage:
        return _tolerant(text)


def fault(value: Json) -> str | None:
    """Why a value that was `parsed` cannot be kept, with the place inside it; None where it can."""
    found = _unkept(value)
    if found is not None:
        place, reason = found
        return f"at {place.lstrip('.')} {reason}" if place else reason
    try:
        encode(value, "it")
    except InvalidMessage as error:
        return str(error).removeprefix("it ")
    return None


def _tolerant(text: bytes) -> Json:
    # What is not UTF-8 becomes lone surrogates, which `fault` finds where they are.
    characters = _without_depth(text.decode(errors="surrogateescape"))
    try:
        return json.loads(
            characters,
            object_pairs_hook=_pairs,
            parse_constant=_number,
            parse_float=_number,
            parse_int=_number,
        )
    except ValueError as error:
        raise InvalidMessage(f"it is not JSON: {error}") from error


def _without_depth(text: str) -> str:
    """`text` without what nests so deep that nothing of it could be kept."""
    pieces: list[str] = []
    depth = kept = 0
    for found in _STRUCTURE.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + _AROUND + 1:
                pieces.append(text[kept : found.start()])
                kept = len(text)
        elif found[0] in "]}":
            if depth == MAX_DEPTH + _AROUND + 1:
                pieces.append(_CUT)
                kept = found.end()
            depth -= 1
    return "".join([*pieces, text[kept:]])


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, value in pairs:
        twice = key in found
        found[key] = Unkept("is said twice: the key stands twice in one object") if twice else value
    return found


def _number(text: str) -> Json:
    if text == _CUT:
        return Unkept(f"is nested deeper than {MAX_DEPTH} levels")
    if len(text) > _DIGITS and text.lstrip("-").isdecimal():
        return Unkept(
            f"holds a number of {len(text):,} digits, which is too large to keep: send it as a string"
        )
    try:
        return parse(text, "it")
    except InvalidMessage as error:
        return Unkept(str(error).removeprefix("it "))


def _unkept(value: Json) -> tuple[str, str] | None:
    if isinstance(value, Unkept):
        return "", value.reason
    items: list[tuple[str, Json]] = []
    if isinstance(value, dict):
        items = [(f".{key[:40]!a}", item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(f"[{number}]", item) for number, item in enumerate(value)]
    for place, item in items:
        found = _unkept(item)
        if found is not None:
            return place + found[0], found[1]
    return None
