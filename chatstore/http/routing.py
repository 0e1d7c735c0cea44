"""The one way from a request to an answer: a route says what comes in and what goes out.

A route cannot be written without its models, requests are checked by them, and the OpenAPI document
is made from them, so the three never tell different stories.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from chatstore.codec import Json, Writer, parse_texts
from chatstore.contract import UNSET, Unset
from chatstore.errors import InvalidMessage
from chatstore.http import parameters
from chatstore.http.admission import Hold, held
from chatstore.http.beside import beside
from chatstore.http.bounds import COPIES
from chatstore.http.carried import answer_bytes, check_carried
from chatstore.http.identity import Identity, Scope
from chatstore.http.identity.authentication import IDENTITY
from chatstore.http.problems import (
    Invalid,
    Malformed,
    NoSuchPath,
    TooLarge,
    Unauthenticated,
    WrongMediaType,
    problem_response,
)
from chatstore.http.service import Service
from chatstore.http.values import has_more_values
from chatstore.store import AsyncChatStore
from chatstore.store.arguments import Ttl

__all__ = ["Answer", "AnyRoute", "Body", "Call", "Route", "endpoint"]

P = TypeVar("P", bound=tuple[Any, ...])
Q = TypeVar("Q", bound=tuple[Any, ...])
H = TypeVar("H", bound=tuple[Any, ...])
B = TypeVar("B")

JSON = "application/json"
_DEEP = re.compile(r"(\w+)\[([^\[\]]+)\]")
_ENVELOPE_LEVELS = 3
"""How many levels of a body may stand around a message or metadata: an object, a list, an item."""

_SHORT_BYTES, _FEW_VALUES = 64 * 1024, 2000
"""What is read on the event loop itself takes a few milliseconds at most."""


class Call(NamedTuple, Generic[P, Q, H, B]):
    """A request that has been checked; `base` is the path that the service is mounted under.

    `answer_bytes` is how much of what is stored the answer may hold before it becomes a shorter page.
    """

    service: Service
    caller: Identity | None
    base: str
    answer_bytes: int
    path: P
    query: Q
    headers: H
    body: B

    @property
    def store(self) -> AsyncChatStore:
        """The store as the caller may see it."""
        return self.identity.scoped(self.service.store)

    @property
    def identity(self) -> Identity:
        """Who calls. Raises Unauthenticated where nobody was asked."""
        if self.caller is None:
            raise Unauthenticated("this operation needs a credential")
        return self.caller

    def lifetime(self, asked: Ttl | Unset) -> Ttl:
        """How long a thread to be created lives: what the request says, null included, or the default."""
        return self.service.settings.ttl_of(self.store.tenant) if asked is UNSET else asked


class Answer(NamedTuple):
    """What one status means: its body, by its name in `chatstore.http.answers`, and its headers.

    A model of another face has the name of its module below `chatstore.http` in front, with a dot.
    """

    meaning: str
    shows: str | None
    headers: tuple[str, ...] = ()
    media: str = JSON


class Body(NamedTuple, Generic[B]):
    """What a request's body is, by the name of its schema in `chatstore.http.schemas`.

    That of another face is named like an `Answer`, and describes only: its `plain` refuses what is wrong.
    `plain` takes what needs no schema, and gives None for the rest. `drafted` writes the messages in what
    was checked as texts. One that is `optional` may be empty and is then like ``{}``.
    """

    shows: str
    media: tuple[str, ...] = (JSON,)
    optional: bool = False
    plain: Callable[[Json], B | None] | None = None
    drafted: Callable[[B, Writer], B] | None = None

    def check(self, value: Json) -> B:
        """What `value` says. Raises Invalid."""
        found = None if self.plain is None else self.plain(value)
        if found is not None:
            return found
        # pydantic takes as long to load as the rest of the service.
        from chatstore.http import schemas

        checked: B = schemas.check(self.shows, value)
        return checked


class Route(NamedTuple, Generic[P, Q, H, B]):
    """One operation. `problems` are the statuses beside those that any request may meet.

    Without a `scope` it is for everybody, credential or not. One that `tells` answers with what is stored,
    not only with what the request brought, so it needs the scope to read as well. A `long` one may answer
    with a page.
    """

    method: str
    path: str
    tag: str
    scope: Scope | None
    handler: Callable[[Call[P, Q, H, B]], Awaitable[Response]]
    parameters: type[P]
    query: type[Q]
    headers: type[H]
    body: Body[B] | None
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    long: bool = False
    tells: bool = False

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What a credential has to allow, all of it."""
        if self.scope is None:
            return ()
        return (Scope.READ, self.scope) if self.tells else (self.scope,)


AnyRoute: TypeAlias = Route[Any, Any, Any, Any]


def endpoint(routes: Mapping[str, AnyRoute], service: Service) -> Callable[[Request], Awaitable[Response]]:
    """Serves one path: `routes` by method."""

    async def serve(request: Request) -> Response:
        route = routes["GET" if request.method == "HEAD" else request.method]
        try:
            service.rates.admit(request.scope)
            call = await _call(route, request, service)
            if call.caller is not None:
                await _admit(call, held(request.scope, service.admission), route)
            return await route.handler(call)
        except Exception as error:  # noqa: BLE001 - the last resort, which hides what is inside
            return problem_response(error)

    return serve


async def _admit(call: Call[Any, Any, Any, Any], hold: Hold, route: AnyRoute) -> None:
    """Count the request, now that its body is in, and wait until there is memory for its answer."""
    who = call.identity.caller
    hold.begin(who)
    if route.long:
        await hold.need(who, COPIES * call.answer_bytes)


async def _call(route: AnyRoute, request: Request, service: Service) -> Call[Any, Any, Any, Any]:
    caller: Identity | None = request.scope.get(IDENTITY)
    if route.scope is not None:
        if caller is None:
            raise Unauthenticated("this operation needs a credential")
        for scope in route.scopes:
            caller.require(scope)
    return Call(
        service=service,
        caller=caller,
        base=request.scope.get("root_path", "").rstrip("/"),
        answer_bytes=answer_bytes(request.scope, service.settings),
        path=_path(route.parameters, request),
        query=_query(route.query, request),
        headers=_headers(route.headers, request),
        body=None if route.body is None else await _body(route.body, request, service, caller),
    )


def _path(form: type[P], request: Request) -> P:
    if b"%2f" in (request.scope.get("raw_path") or b"").lower():
        raise NoSuchPath("a slash in a thread id is not percent-encoded: address the thread by its href")
    try:
        return parameters.read(form, "path", request.path_params)
    except Invalid as error:
        raise NoSuchPath(str(error)) from error


def _query(form: type[Q], request: Request) -> Q:
    given: dict[str, Any] = {}
    listed = parameters.listed(form)
    for name, value in _pairs(request.scope["query_string"]):
        if name in listed:
            given.setdefault(name, []).append(value)
            continue
        deep = _DEEP.fullmatch(name)
        target, key = (given.setdefault(deep[1], {}), deep[2]) if deep else (given, name)
        if not isinstance(target, dict) or key in target:
            raise Malformed(f"the query names {name[:200]!r} twice: name each parameter once")
        target[key] = value
    return parameters.read(form, "query", given)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    """Names and values in a query, as a form is encoded."""
    text = query.decode("latin-1")
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True)
    # Most have nothing to decode, and are read in a fifth of the time.
    return [(name, value) for name, _, value in (part.partition("=") for part in text.split("&") if part)]


def _headers(form: type[H], request: Request) -> H:
    given: dict[str, str] = {}
    named = parameters.headers(form)
    for raw, value in request.scope["headers"]:
        name = named.get(raw)
        if name is not None:
            text = value.decode("latin-1")
            given[name] = f"{given[name]}, {text}" if name in given else text
    try:
        return parameters.read(form, "headers", given)
    except Invalid as error:
        raise Malformed(f"{error}; given was {given!r}"[:1000]) from error


async def _body(body: Body[B], request: Request, service: Service, caller: Identity | None) -> B:
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise WrongMediaType("the body is sent as it is, not compressed: leave Content-Encoding out")
    # Nobody waits for a body of another kind; one that may be left out needs no kind until there is some.
    fits = _is_of(body.media, request.headers.get("content-type", ""))
    wrong = WrongMediaType(f"the body is sent as {' or '.join(body.media)}, in UTF-8: set Content-Type")
    if not fits and not body.optional:
        raise wrong
    who = None if caller is None else caller.caller
    text = await _read(request, service, who)
    if not text and body.optional:
        return body.check({})
    if not fits:
        raise wrong
    most = service.settings.max_body_values
    if len(text) <= _SHORT_BYTES and not has_more_values(text, _FEW_VALUES):
        return _checked(body, text, most)
    return await beside(who, lambda: _checked(body, text, most))


def _is_of(kinds: tuple[str, ...], given: str) -> bool:
    """Whether a Content-Type is one of these, in UTF-8."""
    media, _, options = given.partition(";")
    charset = options.lower().partition("charset=")[2].strip(' "')
    return media.strip().lower() in kinds and charset in {"", "utf-8", "utf8"}


def _checked(body: Body[B], text: bytes, most_values: int) -> B:
    if has_more_values(text, most_values):
        raise TooLarge(
            f"a body holds at most {most_values:,} JSON values: send it in parts, or large data as one text"
        )
    try:
        value, write = parse_texts(text, around=_ENVELOPE_LEVELS)
    except InvalidMessage as error:
        raise Malformed(str(error)) from error
    checked = body.check(value)
    return checked if body.drafted is None else body.drafted(checked, write)


async def _read(request: Request, service: Service, who: Hashable) -> bytes:
    """The body, given up as soon as it is longer than it may be; beyond a short one, when memory is free."""
    check_carried(request.scope)
    most = service.settings.max_body_bytes
    too_large = TooLarge(f"a body takes at most {most:,} bytes: send it in parts")
    announced = request.headers.get("content-length", "0")
    length = int(announced) if announced.isascii() and announced.isdigit() else 0
    if length > most:
        raise too_large
    hold = held(request.scope, service.admission)
    if length > _SHORT_BYTES:
        await hold.need(who, COPIES * length)
    text = bytearray()
    async for chunk in request.stream():
        text += chunk
        if len(text) > most:
            raise too_large
        if len(text) > max(_SHORT_BYTES, length):
            # Nobody said how much there will be.
            await hold.need(who, COPIES * most)
    return bytes(text)
