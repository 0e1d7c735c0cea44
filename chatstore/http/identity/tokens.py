"""Bearer tokens of an OIDC issuer: JWTs whose signature, issuer, audience and times are checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import jwt
from starlette.requests import HTTPConnection

from chatstore.errors import ConfigurationError
from chatstore.http.identity.api_keys import PREFIX
from chatstore.http.identity.headers import bearer
from chatstore.http.identity.jwks import KeySet, require_safe
from chatstore.http.identity.model import Identity, from_claims
from chatstore.http.problems import Unauthenticated
from chatstore.settings import Settings

if TYPE_CHECKING:
    from jwt.types import Options

__all__ = ["Tokens"]

_LONGEST_TOKEN = 16 * 1024
_MOST_LEEWAY = 60
_ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_REQUIRED: Options = {"require": ["exp", "iss", "aud"]}
_REASONS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidIssuerError: "the token is of another issuer",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.MissingRequiredClaimError: "the token needs exp, iss and aud",
}

_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, ArithmeticError, RecursionError)
"""How the library fails on tokens that it did not expect, such as one that is nested very deeply."""

_log = logging.getLogger(__name__)


class Tokens:
    """JWTs as ``Authorization: Bearer``. Raises ConfigurationError for settings that would not be safe."""

    def __init__(self, settings: Settings) -> None:
        algorithms = [name.strip() for name in settings.jwt_algorithms.split(",") if name.strip()]
        if not settings.jwt_issuer or not settings.jwt_audience:
            raise ConfigurationError(
                "CHATSTORE_AUTH=jwt needs CHATSTORE_JWT_ISSUER and CHATSTORE_JWT_AUDIENCE"
            )
        if not algorithms or not set(algorithms) <= set(_ASYMMETRIC):
            raise ConfigurationError(f"CHATSTORE_JWT_ALGORITHMS are some of {', '.join(_ASYMMETRIC)}")
        if settings.jwt_leeway > _MOST_LEEWAY:
            raise ConfigurationError(f"CHATSTORE_JWT_LEEWAY is at most {_MOST_LEEWAY} seconds")
        require_safe("CHATSTORE_JWT_JWKS_URL", settings.jwt_jwks_url or settings.jwt_issuer)
        self._settings = settings
        self._algorithms = algorithms
        self._keys = KeySet(settings.jwt_issuer, settings.jwt_jwks_url)

    async def identify(self, request: HTTPConnection) -> Identity | None:
        """Raises Unauthenticated for a token that does not hold, IdentityUnavailable without its key."""
        token = bearer(request.headers)
        if token is None or token.startswith(PREFIX):
            return None
        try:
            claims = await self._claims(token)
        except (jwt.PyJWTError, *_UNREADABLE) as error:
            _log.info("a token is refused: %s", type(error).__name__)
            reason = _REASONS.get(type(error), "the token is not one that this service accepts")
            raise Unauthenticated(reason, invalid=True) from error
        return from_claims(claims, self._settings, "jwt")

    async def _claims(self, token: str) -> Mapping[str, object]:
        if len(token) > _LONGEST_TOKEN:
            raise jwt.DecodeError("longer than any token")
        header = jwt.get_unverified_header(token)
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in self._algorithms or not isinstance(key_id, str):
            raise jwt.InvalidAlgorithmError("another algorithm, or no key id")
        key = await self._keys.find(key_id)
        if key is None or not key.verifies(algorithm):
            raise jwt.InvalidKeyError("no such key")
        settings = self._settings
        claims: Mapping[str, object] = jwt.decode(
            token,
            key.public,
            algorithms=[algorithm],
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            leeway=settings.jwt_leeway,
            options=_REQUIRED,
        )
        return claims
