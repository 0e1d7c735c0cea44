"""Faces: the interfaces that the service has, each a set of routes that `CHATSTORE_FACES` names.

A face beside the native one is a package ``chatstore.http.NAME`` with a `FACE`, and is loaded only where it
is named. It has its paths to itself, and what is refused there is told in its own form, whoever refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from chatstore.codec import Json
from chatstore.errors import ConfigurationError
from chatstore.http.problems import TELLING, Told
from chatstore.http.routes import ROUTES
from chatstore.http.routing import AnyRoute
from chatstore.settings import Settings

__all__ = ["Face", "Faced", "faces_of", "routes_of"]


class Face(NamedTuple):
    """An interface: its `routes`, all of which lie at `prefix` or below.

    `tell` says in the face's own form what `chatstore.http.problems` says of an error: it is given both.
    `error` is the model of that form, by the name that an `Answer` has for one, and `statuses` says when
    which status is told. `sends` are the headers, beside the native face's, that its clients send from pages.
    `around` stands around the application, for what is asked of this face.
    """

    prefix: str
    routes: tuple[AnyRoute, ...]
    tell: Callable[[Exception, Mapping[str, Json]], Told]
    error: str
    statuses: Mapping[int, str]
    sends: tuple[str, ...] = ()
    around: Callable[[ASGIApp], ASGIApp] | None = None

    def has(self, path: str) -> bool:
        """Whether a path of the service is this face's, be anything there or not."""
        return path == self.prefix or path.startswith(f"{self.prefix}/")


def faces_of(settings: Settings) -> tuple[Face, ...]:
    """The faces that the settings name, beside the native one. Raises ConfigurationError."""
    return tuple(_loaded(name) for name in settings.faces.split(",") if name != "native")


def routes_of(settings: Settings, faces: Sequence[Face]) -> tuple[AnyRoute, ...]:
    """All that is served: the native face where it is named, what is asked of any service, and `faces`."""
    native = "native" in settings.faces.split(",")
    own = [route for route in ROUTES if native or route.tag == "Service"]
    return (*own, *(route for face in faces for route in face.routes))


def _loaded(name: str) -> Face:
    try:
        face: Face = import_module(f"chatstore.http.{name}").FACE
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"CHATSTORE_FACES names {name}, which is not installed here") from error
    return face


class Faced:
    """Lets each face tell in its own form what is refused at its paths."""

    def __init__(self, app: ASGIApp, faces: Sequence[Face]) -> None:
        self._app = app
        self._faces = [(face, app if face.around is None else face.around(app)) for face in faces]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle what the server hands over."""
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
            for face, around in self._faces:
                if face.has(path):
                    scope[TELLING] = face.tell
                    await around(scope, receive, send)
                    return
        await self._app(scope, receive, send)
