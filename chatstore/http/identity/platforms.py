"""Callers whom the cloud platform has authenticated: claims that it hands over beside the request."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping

from starlette.requests import HTTPConnection

from chatstore.codec import Json
from chatstore.errors import ConfigurationError
from chatstore.http.identity.model import Identity, from_claims
from chatstore.http.problems import Unauthenticated
from chatstore.settings import Settings, cloud_platform, easy_auth

__all__ = ["Platform"]

_PRINCIPAL = "x-ms-client-principal"
_CLAIM_TYPES = {
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier": "sub",
    "http://schemas.microsoft.com/identity/claims/objectidentifier": "oid",
    "http://schemas.microsoft.com/identity/claims/tenantid": "tid",
    "http://schemas.microsoft.com/identity/claims/scope": "scope",
}
"""The long names under which Easy Auth passes on what tokens call otherwise."""


class Platform:
    """API Gateway's JWT authorizer on AWS Lambda, Easy Auth on Azure; nothing anywhere else.

    Raises ConfigurationError where neither stands in front of the service.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._on = cloud_platform()
        if self._on not in {"AWS Lambda", "Azure Functions", "Azure App Service"}:
            raise ConfigurationError(
                "CHATSTORE_AUTH=platform works on AWS Lambda, Azure Functions and Azure App Service only"
            )
        if self._on != "AWS Lambda" and not easy_auth():
            raise ConfigurationError(
                "CHATSTORE_AUTH=platform needs Easy Auth (WEBSITE_AUTH_ENABLED): without it anybody could "
                f"send {_PRINCIPAL}"
            )

    async def identify(self, request: HTTPConnection) -> Identity | None:
        """Raises Unauthenticated for claims that cannot be read."""
        try:
            claims = _of_lambda(request) if self._on == "AWS Lambda" else _of_azure(request)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unauthenticated("the platform's claims about the caller cannot be read") from error
        if claims is not None and not isinstance(claims, Mapping):
            raise Unauthenticated("the platform's claims about the caller are not a list")
        return None if claims is None else from_claims(claims, self._settings, "platform")


def _of_lambda(request: HTTPConnection) -> Json:
    context = request.scope.get("aws.event", {}).get("requestContext", {})
    authorizer = context.get("authorizer") or {}
    return authorizer.get("jwt", authorizer).get("claims")


def _of_azure(request: HTTPConnection) -> Mapping[str, Json] | None:
    given = request.headers.getlist(_PRINCIPAL)
    if not given:
        return None
    [text] = given
    principal = json.loads(base64.b64decode(text, validate=True))
    return _gathered((claim["typ"], claim["val"]) for claim in principal["claims"])


def _gathered(claims: Iterable[tuple[str, str]]) -> dict[str, Json]:
    """Claims by name; one that is there several times is a list."""
    found: dict[str, Json] = {}
    for kind, value in claims:
        name = _CLAIM_TYPES.get(kind, kind)
        found[name] = value if name not in found else [*_listed(found[name]), value]
    return found


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]
