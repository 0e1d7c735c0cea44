"""The ASGI app: routes, and what stands around every one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from chatstore.http import exposure
from chatstore.http.access import Access
from chatstore.http.bounds import Bounds
from chatstore.http.dispatch import Dispatch
from chatstore.http.faces import Faced, faces_of, routes_of
from chatstore.http.identity import Authenticating, asks_nobody, authenticators
from chatstore.http.problems import Refusal, problem_response
from chatstore.http.rates import Rates
from chatstore.http.retention import sweeping
from chatstore.http.routing import AnyRoute, endpoint
from chatstore.http.service import Service
from chatstore.http.unread import Unread
from chatstore.settings import Settings
from chatstore.store import AsyncChatStore

__all__ = ["create_app"]


def create_app(store: AsyncChatStore | None = None, settings: Settings | None = None) -> Starlette:
    """The service over `store`, or over the one that `settings` name, the environment's by default.

    A store that is given stays open; one that the settings name is opened when it is first needed and
    closed at shutdown. Raises ConfigurationError where the service would be open to anybody, and for
    settings that do not say safely who may use it.
    """
    service = Service(store, settings)
    asked = authenticators(service)
    anybody = asks_nobody(service.settings)
    if anybody:
        exposure.require_own_machine()
    faces = faces_of(service.settings)
    service.routes = routes_of(service.settings, faces)
    service.faces = faces
    public = {route.path for route in service.routes if route.scope is None}
    origins = exposure.origins_of(service.settings.cors_origins)
    sent = [*exposure.CORS["allow_headers"], *(name for face in faces for name in face.sends)]
    cors = {**exposure.CORS, "allow_headers": sent}

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        # Opened here where there is a start-up to fail; without one, at the first request.
        async with sweeping(service.store, service.settings.sweep_every, service.telemetry):
            yield
        await service.close()

    async def no_route(request: Request, error: Exception) -> Response:
        return problem_response(service.rates.counted(request.scope, error))

    paths: dict[str, dict[str, AnyRoute]] = {}
    for route in service.routes:
        paths.setdefault(route.path, {})[route.method] = route
    served = [Route(path, endpoint(routes, service), methods=list(routes)) for path, routes in paths.items()]
    app = Starlette(
        routes=served,
        middleware=[
            *([Middleware(Faced, faces=faces)] if faces else []),
            Middleware(Unread),
            Middleware(Access, telemetry=service.telemetry),
            *([Middleware(_Edge, origins=origins, rates=service.rates)] if anybody else []),
            Middleware(Bounds, settings=service.settings, admission=service.admission),
            *([Middleware(CORSMiddleware, allow_origins=origins, **cors)] if origins else []),
            Middleware(Authenticating, asked=asked, public=public, rates=service.rates),
            Middleware(Dispatch, routes=served),
        ],
        exception_handlers={HTTPException: no_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


class _Edge:
    """Turns away whom exposure forbids, where nobody is asked who they are."""

    def __init__(self, app: ASGIApp, origins: Collection[str], rates: Rates) -> None:
        self.app = app
        self.origins = origins
        self.rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                exposure.check_caller(scope["method"], scope["headers"], self.origins)
            except Refusal as refusal:
                await problem_response(self.rates.counted(scope, refusal))(scope, receive, send)
                return
        await self.app(scope, receive, send)
