"""Forms that a request fills in by its path, its query and its headers.

A form is a named tuple whose fields carry their `Parameter`. pydantic, which checks bodies, is not needed for
these, and a new instance that is not asked for more answers sooner without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints
from urllib.parse import parse_qsl

from starlette.types import Scope

from chatstore.codec import Json
from chatstore.http.problems import Invalid, Malformed, NoSuchPath

__all__ = ["Parameter", "filled", "parameters"]

F = TypeVar("F", bound=tuple[Any, ...])
P = TypeVar("P", bound=tuple[Any, ...])
Q = TypeVar("Q", bound=tuple[Any, ...])
H = TypeVar("H", bound=tuple[Any, ...])

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DEEP = re.compile(r"(\w+)\[([^\[\]]+)\]")

_REMEMBERED, _SHORT = 1024, 128
"""How many paths and queries are known by what was made of them, and of how many characters."""


class Parameter(NamedTuple):
    """What one value may be, as OpenAPI has it.

    `parse` makes of a text what it stands for, and checks it in place of the schema. `name` is what requests
    call it, where that is not the field's own name.
    """

    schema: Mapping[str, Json]
    description: str
    parse: Callable[[str], Any] | None = None
    name: str | None = None

    def read(self, given: str | list[str] | dict[str, str]) -> Any:
        """What is given, checked. Raises ValueError, which says what to change."""
        kind = self.schema["type"]
        if isinstance(given, list):
            item = Parameter(self.schema["items"], self.description)
            return tuple(item.read(one) for one in given)
        if isinstance(given, dict) != (kind == "object"):
            raise ValueError(
                "this is written NAME[KEY]=VALUE" if kind == "object" else "this has no keys in brackets"
            )
        if isinstance(given, dict):
            return given
        if self.parse is not None:
            return self.parse(given)
        if kind == "integer":
            return self._whole(given)
        least, most = self.schema.get("minLength", 0), self.schema.get("maxLength", len(given))
        if not least <= len(given) <= most:
            raise ValueError(f"this has {least:,} to {most:,} characters, not {len(given):,}")
        if "pattern" in self.schema and not re.fullmatch(self.schema["pattern"], given):
            raise ValueError(f"this does not match {self.schema['pattern']}")
        return given

    def _whole(self, given: str) -> int:
        if not _WHOLE.fullmatch(given):
            raise ValueError("this is a whole number in decimal digits")
        number, least, most = int(given), self.schema["minimum"], self.schema["maximum"]
        if not least <= number <= most:
            raise ValueError(f"this is a number from {least:,} to {most:,}")
        return number


@cache
def parameters(form: type[Any]) -> dict[str, tuple[str, Parameter]]:
    """The parameters of a form by the names that requests use, each with its field."""
    hints = get_type_hints(form, include_extras=True)
    marked = {
        field: next(one for one in get_args(hint) if isinstance(one, Parameter))
        for field, hint in hints.items()
    }
    return {parameter.name or field: (field, parameter) for field, parameter in marked.items()}


def filled(
    path: type[P], query: type[Q], headers: type[H], named: Mapping[str, str], scope: Scope
) -> tuple[P, Q, H]:
    """The three forms of a request, whose path holds what is `named`.

    Raises NoSuchPath, Malformed or Invalid, which say what is wrong with each value.
    """
    return _path(path, named, scope), _query(query, scope), _headers(headers, scope)


def _path(form: type[P], named: Mapping[str, str], scope: Scope) -> P:
    if b"%2f" in (scope.get("raw_path") or b"").lower():
        raise NoSuchPath("a slash in a thread id is not percent-encoded: address the thread by its href")
    segments = tuple(named.items())
    if sum([len(text) for _, text in segments]) <= _SHORT:
        known: P = _known_path(form, segments)
        return known
    return _path_of(form, segments)


def _path_of(form: type[P], segments: tuple[tuple[str, str], ...]) -> P:
    try:
        return _form(form, "path", dict(segments))
    except Invalid as error:
        raise NoSuchPath(str(error)) from error


def _query(form: type[Q], scope: Scope) -> Q:
    text: bytes = scope["query_string"]
    # What has keys in brackets is made into a dictionary, which is nobody else's.
    if len(text) <= _SHORT and b"[" not in text and b"%" not in text:
        known: Q = _known_query(form, text)
        return known
    return _query_of(form, text)


def _query_of(form: type[Q], text: bytes) -> Q:
    given: dict[str, Any] = {}
    listed = _listed(form)
    for name, value in _pairs(text):
        if name in listed:
            given.setdefault(name, []).append(value)
            continue
        deep = _DEEP.fullmatch(name) if "[" in name else None
        target, key = (given.setdefault(deep[1], {}), deep[2]) if deep else (given, name)
        if not isinstance(target, dict) or key in target:
            raise Malformed(f"the query names {name[:200]!r} twice: name each parameter once")
        target[key] = value
    return _form(form, "query", given)


# Most requests are like one of a moment ago. What is refused is not remembered.
_known_path = lru_cache(_REMEMBERED)(_path_of)
_known_query = lru_cache(_REMEMBERED)(_query_of)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    """Names and values in a query, as a form is encoded."""
    text = query.decode("latin-1")
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True)
    # Most have nothing to decode, and are read in a fifth of the time.
    return [(name, value) for name, _, value in (part.partition("=") for part in text.split("&") if part)]


def _headers(form: type[H], scope: Scope) -> H:
    given: dict[str, str] = {}
    sent = _sent(form)
    for raw, value in scope["headers"]:
        name = sent.get(raw)
        if name is not None:
            text = value.decode("latin-1")
            given[name] = f"{given[name]}, {text}" if name in given else text
    try:
        return _form(form, "headers", given)
    except Invalid as error:
        raise Malformed(f"{error}; given was {given!r}"[:1000]) from error


def _form(form: type[F], where: str, given: Mapping[str, str | list[str] | dict[str, str]]) -> F:
    if not given and not _needed(form):
        empty: F = _empty(form)
        return empty
    known = parameters(form)
    values: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for name, value in given.items():
        if name not in known:
            faults.append((f"{where}.{name}", "there is no such parameter here"))
            continue
        field, parameter = known[name]
        try:
            values[field] = parameter.read(value)
        except ValueError as error:
            faults.append((f"{where}.{name}", str(error)))
    faults += [(f"{where}.{name}", "this is needed") for name in _needed(form) if name not in given]
    if faults:
        raise Invalid(faults)
    return form(**values)


@cache
def _empty(form: type[Any]) -> Any:
    """A form that nobody filled in, of whose parameters none is needed."""
    return form()


@cache
def _listed(form: type[F]) -> frozenset[str]:
    """The names of those parameters of a form that a query may give more than once."""
    return frozenset(name for name, (_, one) in parameters(form).items() if one.schema["type"] == "array")


@cache
def _needed(form: type[F]) -> tuple[str, ...]:
    """The names of those parameters of a form that have to be there."""
    optional = getattr(form, "_field_defaults", {})
    return tuple(name for name, (field, _) in parameters(form).items() if field not in optional)


@cache
def _sent(form: type[F]) -> dict[bytes, str]:
    """The names of a form's parameters by how ASGI writes them as headers."""
    return {name.lower().encode(): name for name in parameters(form)}
