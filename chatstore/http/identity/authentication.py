"""Asks every caller who they are, but at the paths that are for everybody."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from chatstore.errors import ConfigurationError
from chatstore.http.identity.headers import require_one
from chatstore.http.identity.model import ALL_SCOPES, Authenticator, Identity
from chatstore.http.problems import Unauthenticated, problem_response
from chatstore.http.rates import ANYBODY, Rates
from chatstore.http.service import Service
from chatstore.settings import Settings

__all__ = ["IDENTITY", "Authenticating", "asks_nobody", "authenticators"]

IDENTITY = "chatstore.identity"
"""Where the ASGI scope holds the `Identity`."""
_KINDS = ("api-key", "user-token", "jwt", "platform")


def asks_nobody(settings: Settings) -> bool:
    """Whether callers are let in without asking who they are. Raises ConfigurationError."""
    return _kinds(settings) == {"none"}


def authenticators(service: Service) -> tuple[Authenticator, ...]:
    """What asks callers who they are, in turn. Raises ConfigurationError for settings that are not safe."""
    settings = service.settings
    kinds = _kinds(settings)
    for kind, name in (
        ("api-key", "api_keys"),
        ("user-token", "user_token_secrets"),
        ("jwt", "jwt_issuer"),
    ):
        if kind not in kinds and getattr(settings, name):
            raise ConfigurationError(
                f"CHATSTORE_{name.upper()} has no effect: CHATSTORE_AUTH does not name {kind}"
            )
    if kinds == {"none"}:
        return (_Anybody(service),)
    found: list[Authenticator] = []
    # Each is loaded where it is configured: two of them need packages and platforms of their own.
    if "api-key" in kinds:
        from chatstore.http.identity.api_keys import ApiKeys

        found.append(ApiKeys(service))
    if "user-token" in kinds:
        from chatstore.http.identity.user_tokens import UserTokens

        found.append(UserTokens(settings))
    if "jwt" in kinds:
        from chatstore.http.identity.tokens import Tokens

        found.append(Tokens(settings))
    if "platform" in kinds:
        from chatstore.http.identity.platforms import Platform

        found.append(Platform(settings))
    return tuple(found)


def _kinds(settings: Settings) -> set[str]:
    kinds = {name.strip() for name in settings.auth.split(",")}
    if kinds != {"none"} and not kinds <= set(_KINDS):
        raise ConfigurationError(
            f"CHATSTORE_AUTH is none, or some of {', '.join(_KINDS)} with commas, not {settings.auth!r}"
        )
    return kinds


class _Anybody:
    """Takes every caller for the one whose machine this is."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._identity: Identity | None = None

    async def identify(self, _request: HTTPConnection) -> Identity:
        # The service's store is opened when it is first needed.
        if self._identity is None:
            self._identity = Identity(self._service.store.tenant, None, ALL_SCOPES, ANYBODY)
        return self._identity


class Authenticating:
    """Puts the caller's `Identity` into the scope, or answers 401.

    Which paths are `public` decides only whether somebody is asked: an operation that needs an
    identity does not run without one.
    """

    def __init__(
        self, app: ASGIApp, asked: Sequence[Authenticator], public: Collection[str], rates: Rates
    ) -> None:
        self._app = app
        self._rates = rates
        self._asked = asked
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle what the server hands over."""
        if scope["type"] == "http":
            scope.pop(IDENTITY, None)
            if scope["path"].removeprefix(scope.get("root_path", "")) not in self._public:
                try:
                    scope[IDENTITY] = await self._identify(HTTPConnection(scope))
                except Exception as error:  # noqa: BLE001 - whatever it is, nobody gets in
                    # It counts against the address, so that nobody tries keys for ever.
                    refusal = problem_response(self._rates.counted(scope, error))
                    await refusal(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _identify(self, request: HTTPConnection) -> Identity:
        require_one(request.scope["headers"])
        for one in self._asked:
            identity = await one.identify(request)
            if identity is not None:
                return identity
        raise Unauthenticated("send a credential: Authorization: Bearer, or X-API-Key")
