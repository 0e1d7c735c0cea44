"""JSON as chatstore keeps it: exact, strict, and refused with a reason where it cannot be both.

What `encode` accepts, `decode` gives back equal as JSON text, types and key order included: 1, 1.0 and true
stay three different things. `encode` refuses values that JSON has no word for: NaN, infinities, bytes, keys
that are not text. It also refuses text that is not Unicode (lone surrogates), and structures nested deeper
than `MAX_DEPTH`. `parse` additionally refuses JSON text that says a key twice or writes a number too large
for a float, because either would come back changed. A number that a float can only come near to is an
`ExactFloat`, which `encode` writes as it was.
"""

from __future__ import annotations

import json
import json.encoder
import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, TypeAlias, TypeVar

from chatstore.errors import InvalidMessage

N = TypeVar("N", bound=float)

__all__ = [
    "MAX_DEPTH",
    "ExactFloat",
    "Json",
    "Writer",
    "decode",
    "encode",
    "is_object",
    "parse",
    "parse_texts",
    "quoted",
]

Json: TypeAlias = Any
"""A value that JSON can carry: None, bool, int, float, str, list or dict of such."""

Writer: TypeAlias = Callable[[Json], str]
"""Writes a value as compact JSON text."""

MAX_DEPTH = 64
"""How deep objects and arrays may nest, the outermost counted."""

_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_ALWAYS_EXACT = 16
"""A float of so few characters, 15 digits and a point, is the same number when it is written again."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape without which no text of JSON has a lone surrogate, if it is UTF-8."""

quoted: Callable[[str], str] = json.encoder.encode_basestring
"""Text as a JSON string. It is not checked."""


def writer(
    default: Callable[[Any], Json] | None = None,
    *,
    ascii_only: bool = False,
    between: str = ",",
    behind_name: str = ":",
) -> Writer:
    """What writes values as JSON text, compact if not told otherwise, without checking them.

    `default` replaces a value that JSON has not. A value that holds itself is not noticed.
    """
    encoder = json.JSONEncoder(
        ensure_ascii=ascii_only, allow_nan=False, separators=(between, behind_name), default=default
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    # `encode` would make this anew for each value, which takes longer than to write a short one.
    escaped = json.encoder.encode_basestring_ascii if ascii_only else quoted
    chunks = make(None, encoder.default, escaped, None, behind_name, between, False, False, False)
    return lambda value: "".join(chunks(value, 0))


_written = writer()


class ExactFloat(float):
    """The float nearest to a number in JSON text that is between two floats, or an integer ``-0``.

    Such a number is kept as it was written, which is its `text`: 10000000000000000.1 and 1e-400 are examples.
    """

    __slots__ = ("text",)
    text: str

    @classmethod
    def of(cls, text: str) -> ExactFloat:
        """The number that `text` writes."""
        self = cls(text)
        self.text = text
        return self


def decode(text: str) -> Json:
    """The value of text that `encode` wrote."""
    # Only where there may be a -0 is every integer looked at.
    decoder, scan = (_signed, _scan_signed) if "-0" in text else (_plain, _scan_plain)
    try:
        value, ends = scan(text, 0)
    except StopIteration:
        return decoder.decode(text)
    # Nothing stands around it, and to look for that takes as long as to read a short text.
    return value if ends == len(text) else decoder.decode(text)


def encode(value: Json, what: str = "the message", *, floats_only: bool = False) -> str:
    """`value` as compact JSON text.

    Raises InvalidMessage, which begins with `what` and names the place inside it. `floats_only` is for where
    only values are kept and no text: then a number between two floats is refused, too.
    """
    exact: list[ExactFloat] = []
    _check(value, what, exact)
    if exact and floats_only:
        raise InvalidMessage(
            f"{what} holds the number {exact[0].text[:40]}, which a float cannot hold exactly: "
            "send it as a string"
        )
    try:
        return _spelled(value) if exact else _written(value)
    except ValueError as error:
        raise InvalidMessage(f"{what} cannot be written as JSON: {error}") from error


def parse(text: str | bytes, what: str = "the body", *, around: int = 0) -> Json:
    """The value of JSON text that comes from outside; `around` more levels may enclose what is kept.

    Raises InvalidMessage for anything that `encode` would refuse, and for text that is not JSON or not UTF-8.
    So it does for a key that appears twice in one object, and for numbers that do not fit.
    """
    return _parsed(text, what, around)[0]


def parse_texts(text: str | bytes, what: str = "the body", *, around: int = 0) -> tuple[Json, Writer]:
    """The value as `parse` gives it, and a function that writes any part of it without new checks.

    The function writes as `encode` does. Raises InvalidMessage as `parse` does. The function raises it for
    a part that is nested too deep by itself.
    """
    value, exact = _parsed(text, what, around)
    spelled = _spelled if exact else _written

    def write(part: Json) -> str:
        written = spelled(part)
        if _may_be_deep(written, MAX_DEPTH):
            _check(part, "the message", [])
        return written

    return value, write


def is_object(text: object) -> bool:
    """Whether `text` is one JSON object, as what is stored for a message must be.

    Reads it whole, and makes what it reads: for a short message in less than a microsecond.
    """
    if type(text) is not str:
        return False
    try:
        value, end = _scan(text, 0)
    except (ValueError, InvalidMessage, StopIteration, RecursionError):
        return False
    return end == len(text) and type(value) is dict


def _parsed(text: str | bytes, what: str, around: int) -> tuple[Json, list[ExactFloat]]:
    """The checked value of JSON text, and the exact numbers in it."""
    exact: list[ExactFloat] = []

    def noting(read: Callable[[str], N]) -> Callable[[str], N]:
        def number(digits: str) -> N:
            found = read(digits)
            if isinstance(found, ExactFloat):
                exact.append(found)
            return found

        return number

    try:
        unicode = isinstance(text, bytes)
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        unicode = unicode or text.isascii()
        signed = "-0" in text
        value = json.JSONDecoder(
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=noting(_number),
            parse_int=noting(_whole) if signed else None,
        ).decode(text)
    except RecursionError as error:
        raise InvalidMessage(f"{what} {_TOO_DEEP}") from error
    except UnicodeDecodeError as error:
        raise InvalidMessage(f"{what} is not UTF-8: {error.reason} at byte {error.start}") from error
    except InvalidMessage as error:
        raise InvalidMessage(f"{what} {error}") from None
    except ValueError as error:
        raise InvalidMessage(f"{what} is not JSON: {error}") from error
    # Nothing else in text can be wrong by now, so only what may be is looked for, which takes much longer.
    if _may_be_deep(text, MAX_DEPTH + around) or not unicode or _SURROGATE.search(text):
        _check(value, what, [], 1 - around)
    return value, exact


def _may_be_deep(text: str, levels: int) -> bool:
    """Whether more than so many objects and arrays begin in `text`, without which none can be deeper."""
    return text.count("{") + text.count("[") > levels


def _check(value: Json, what: str, exact: list[ExactFloat], depth: int = 1) -> None:
    fault = _fault(value, exact, depth)
    if fault is not None:
        path, reason = fault
        raise InvalidMessage(f"{what}{' at ' + path.lstrip('.') if path else ''} {reason}")


def _fault(value: Any, exact: list[ExactFloat], depth: int) -> tuple[str, str] | None:
    """Where `value` cannot be carried and why; None where all of it can. Finds what is `exact` on the way."""
    kind = type(value)
    if kind is str:
        return _text_fault(value)
    if value is None or kind is int or kind is bool:
        return None
    if kind is float and math.isfinite(value):
        return None
    if isinstance(value, (dict, list, tuple)):
        if depth > MAX_DEPTH:
            return "", _TOO_DEEP
        return _member_fault(value, exact, depth + 1)
    return _scalar_fault(value, exact, depth)


def _member_fault(
    value: dict[Any, Json] | list[Json] | tuple[Json, ...], exact: list[ExactFloat], depth: int
) -> tuple[str, str] | None:
    if isinstance(value, dict):
        for key, item in value.items():
            # Most members are ASCII in both, and need no calls.
            if type(key) is type(item) is str and key.isascii() and item.isascii():
                continue
            if not isinstance(key, str):
                return "", f"has the key {key!r}: the keys of a JSON object are strings"
            fault = _text_fault(key) or _fault(item, exact, depth)
            if fault is not None:
                return f".{key[:40]!a}{fault[0]}", fault[1]
        return None
    for index, item in enumerate(value):
        fault = _fault(item, exact, depth)
        if fault is not None:
            return f"[{index}]{fault[0]}", fault[1]
    return None


def _scalar_fault(value: Any, exact: list[ExactFloat], depth: int) -> tuple[str, str] | None:
    """The fault of a scalar: where it is, and what is wrong with it; None without one."""
    kind = type(value)
    if kind is float:
        return "", f"holds {value}, which JSON cannot carry: send null or a string"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "", "is binary, which JSON cannot carry: encode it as base64 text"
    if kind is ExactFloat:
        exact.append(value)
        return None
    if isinstance(value, (str, int, float)):
        # An enum or another subclass: what counts is the plain value that JSON writes for it.
        return _fault(json.loads(json.dumps(value)), exact, depth)
    return "", f"is of type {kind.__name__}, which JSON cannot carry"


def _text_fault(text: str) -> tuple[str, str] | None:
    # ASCII, by far the most common, holds no surrogate and need not be encoded to know.
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return "", f"holds a lone surrogate at character {error.start}, which is not Unicode text"
    return None


def _unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidMessage(f"has the key {key[:40]!r} twice in one object")
            seen.add(key)
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidMessage(f"holds {name}, which JSON cannot carry: send null or a string")


def _number(text: str) -> float:
    number = float(text)
    if len(text) <= _ALWAYS_EXACT and "e" not in text and "E" not in text:
        return number
    if math.isinf(number):
        raise InvalidMessage(f"holds the number {text[:40]}, which is too large to keep: send it as a string")
    try:
        exact = Decimal(text) == Decimal(repr(number))
    except InvalidOperation:  # an exponent beyond what Decimal counts with
        exact = False
    return number if exact else ExactFloat.of(text)


def _whole(text: str) -> int | float:
    return ExactFloat.of(text) if text == "-0" else int(text)


_scan: Callable[[str, int], tuple[Json, int]] = json.JSONDecoder(
    parse_float=str, parse_int=str, parse_constant=_refuse_constant
).scan_once  # type: ignore[attr-defined]
_plain = json.JSONDecoder(parse_float=_number)
_signed = json.JSONDecoder(parse_float=_number, parse_int=_whole)
_scan_plain, _scan_signed = _plain.scan_once, _signed.scan_once  # type: ignore[attr-defined]


def _spelled(value: Json) -> str:
    """`value` as compact JSON text, its exact numbers as they were written."""
    if isinstance(value, ExactFloat):
        return value.text
    if isinstance(value, dict):
        return f"{{{','.join(f'{_written(key)}:{_spelled(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_spelled, value))}]"
    return _written(value)
