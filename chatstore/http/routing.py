"""The one way from a request to an answer: a route says what comes in and what goes out.

A route cannot be written without its models. Requests are checked by these models, and the OpenAPI document
is made from them. So the three always agree.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from chatstore.callers import CALLER
from chatstore.contract import UNSET, Unset
from chatstore.http.admission import held
from chatstore.http.bounds import COPIES
from chatstore.http.carried import answer_bytes
from chatstore.http.forms import filled
from chatstore.http.identity import Identity, Scope
from chatstore.http.identity.authentication import IDENTITY
from chatstore.http.problems import Unauthenticated, problem_response
from chatstore.http.receiving import JSON, Body, received
from chatstore.http.service import Service
from chatstore.store import AsyncChatStore
from chatstore.store.arguments import Ttl

__all__ = ["Answer", "AnyRoute", "Call", "Route", "endpoint"]

P = TypeVar("P", bound=tuple[Any, ...])
Q = TypeVar("Q", bound=tuple[Any, ...])
H = TypeVar("H", bound=tuple[Any, ...])
B = TypeVar("B")


class Call(NamedTuple, Generic[P, Q, H, B]):
    """A request that has been checked; `base` is the path that the service is mounted under.

    `answer_bytes` is how much of what is stored the answer may hold before it becomes a shorter page.
    `caller` and `scoped`, the store as the caller sees it, are None where nobody was asked who calls.
    """

    service: Service
    caller: Identity | None
    scoped: AsyncChatStore | None
    base: str
    answer_bytes: int
    default_ttl: timedelta | None
    path: P
    query: Q
    headers: H
    body: B

    @property
    def store(self) -> AsyncChatStore:
        """The store as the caller may see it. Raises Unauthenticated where nobody was asked."""
        if self.scoped is None:
            raise Unauthenticated("this operation needs a credential")
        return self.scoped

    @property
    def identity(self) -> Identity:
        """Who calls. Raises Unauthenticated where nobody was asked."""
        if self.caller is None:
            raise Unauthenticated("this operation needs a credential")
        return self.caller

    def lifetime(self, asked: Ttl | Unset) -> Ttl:
        """How long a thread to be created lives: what the request says, null included, or the default."""
        return self.default_ttl if asked is UNSET else asked


class Answer(NamedTuple):
    """What one status means: its body, by its name in `chatstore.http.answers`, and its headers.

    A model of another face has the name of its module below `chatstore.http` in front, with a dot.
    """

    meaning: str
    shows: str | None
    headers: tuple[str, ...] = ()
    media: str = JSON


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
            shared = service.shared and call.caller is not None
            token = CALLER.set(call.identity.caller if shared else None)
            try:
                return await route.handler(call)
            finally:
                CALLER.reset(token)
        except Exception as error:  # noqa: BLE001 - the last resort, which hides what is inside
            return problem_response(error)

    return serve


async def _call(route: AnyRoute, request: Request, service: Service) -> Call[Any, Any, Any, Any]:
    """The request as its route has it, counted as its caller's now that its body is in.

    There is memory for the answer then, too.
    """
    scope, settings = request.scope, service.settings
    caller: Identity | None = scope.get(IDENTITY)
    if route.scope is not None:
        if caller is None:
            raise Unauthenticated("this operation needs a credential")
        caller.require(route.scopes)
    path, query, headers = filled(route.parameters, route.query, route.headers, request.path_params, scope)
    body = None
    if route.body is not None:
        body = await received(route.body, scope, request.receive, settings, held(scope), caller)
    room = answer_bytes(scope, settings)
    if caller is not None:
        await held(scope).begin(caller.caller, COPIES * room if route.long else 0)
    return Call(
        service=service,
        caller=caller,
        scoped=None if caller is None else caller.scoped(service.store),
        base=scope.get("root_path", "").rstrip("/"),
        answer_bytes=room,
        default_ttl=None if caller is None else settings.ttl_of(caller.tenant),
        path=path,
        query=query,
        headers=headers,
        body=body,
    )
