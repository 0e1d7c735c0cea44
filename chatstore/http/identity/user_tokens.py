"""Tokens that a backend issued to its users with the service's own secret."""

from __future__ import annotations

import hashlib

from starlette.requests import HTTPConnection

from chatstore import user_tokens
from chatstore.http.identity.headers import bearer
from chatstore.http.identity.model import Identity
from chatstore.http.problems import Unauthenticated
from chatstore.settings import Settings

__all__ = ["UserTokens"]


class UserTokens:
    """JWTs of `chatstore.user_tokens` as ``Authorization: Bearer``.

    Raises ConfigurationError without a secret that is long enough.
    """

    def __init__(self, settings: Settings) -> None:
        self._secrets = user_tokens.secrets_of(settings.user_token_secrets)
        self._settings = settings

    async def identify(self, request: HTTPConnection) -> Identity | None:
        """Raises Unauthenticated for a token that does not hold."""
        token = bearer(request.headers)
        if token is None or not user_tokens.is_user_token(token):
            return None
        try:
            user, tenant, scopes = user_tokens.check(token, self._secrets, leeway=self._settings.jwt_leeway)
        except user_tokens.TokenRefused as error:
            raise Unauthenticated(str(error), invalid=True) from error
        tenant = self._settings.tenant if tenant is None else tenant
        who = hashlib.sha256(f"{tenant}\0{user}".encode()).hexdigest()[:16]
        return Identity(tenant, user, scopes, f"user-token:{who}")
