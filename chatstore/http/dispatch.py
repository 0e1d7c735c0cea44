"""From a path to its endpoint: a request that meets a route pays for that route alone."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Dispatch"]


class Dispatch:
    """Answers what meets one of `routes` with its method; anything else goes on to `app`, which refuses it.

    The endpoints answer every error themselves, so nothing stands around them.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self._routes: dict[int, list[Route]] = {}
        for route in routes:
            self._routes.setdefault(route.path.count("/"), []).append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            path = _path(scope)
            for route in self._routes.get(path.count("/"), ()):
                found = route.path_regex.match(path)
                if found and route.methods and scope["method"] in route.methods:
                    scope["path_params"] = {**scope.get("path_params", {}), **found.groupdict()}
                    scope["endpoint"], scope["route"] = route.endpoint, route
                    response = await route.endpoint(Request(scope, receive, send))
                    await response(scope, receive, send)
                    return
        await self._app(scope, receive, send)


def _path(scope: Scope) -> str:
    """The path below where the application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
