"""Tokens of users: what a backend hands to somebody whom it knows, to use a service for a while.

A token is a JWT (RFC 7519) signed with HS256. Whoever has the secret issues it. A service that has it, too,
checks it without asking its store. Nothing is kept of a token, and it cannot be taken back before it expires.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from chatstore.api_keys import Scope
from chatstore.codec import Json
from chatstore.errors import ConfigurationError, InvalidArgument
from chatstore.store.arguments import callers_tenant, owner_or_none

__all__ = [
    "ISSUER",
    "LONGEST",
    "SCOPES",
    "TokenRefused",
    "UserToken",
    "check",
    "is_user_token",
    "issue",
    "secrets_of",
]

ISSUER = "chatstore"
"""The ``iss`` of every token."""

LONGEST = timedelta(hours=24)
"""How long a token may be valid: it cannot be revoked."""

SCOPES: Mapping[str, frozenset[Scope]] = {
    "chat": frozenset({Scope.READ, Scope.WRITE}),
    "read": frozenset({Scope.READ}),
    "write": frozenset({Scope.WRITE}),
}
"""What the scopes of a token allow; ``chat`` is what clients of Azure Communication Services call both."""

_SHORTEST_SECRET = 32
_LONGEST_TOKEN = 4096
_ESCAPED = {character: f"\\u{ord(character):04x}" for character in "~>?\x7f"}
"""What is written as an escape. Some clients read a token by the standard alphabet of base64. They take only
those whose base64url has neither - nor _, and in ASCII text just these four characters make one."""


class TokenRefused(ValueError):
    """A token that does not hold; the text says why, and repeats nothing of it."""


class UserToken(NamedTuple):
    """Whom a token stands for; `tenant` is None where it does not say."""

    user: str
    tenant: str | None
    scopes: frozenset[Scope]


def secrets_of(setting: str) -> tuple[str, ...]:
    """The secrets in a setting, divided by commas: the first signs, each of them is believed.

    Raises ConfigurationError, which repeats nothing of them.
    """
    secrets = tuple(one.strip() for one in setting.split(",") if one.strip())
    if not secrets or any(len(one.encode(errors="surrogatepass")) < _SHORTEST_SECRET for one in secrets):
        raise ConfigurationError(
            f"CHATSTORE_USER_TOKEN_SECRETS needs a secret of {_SHORTEST_SECRET} characters or more, such as "
            "`openssl rand -hex 32` makes; several are separated by commas"
        )
    return secrets


def issue(
    user: str,
    *,
    secret: str,
    tenant: str | None = None,
    scopes: Sequence[str] = ("chat",),
    valid: timedelta = LONGEST,
) -> str:
    """A token for `user`, the owner whose threads it opens and the participant it speaks for.

    Without a `tenant` it is good for the service's own. Raises InvalidArgument.
    """
    owner_or_none(user)
    if tenant is not None:
        callers_tenant(tenant)
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidArgument(f"the scopes of a token are some of {', '.join(SCOPES)}")
    if not timedelta(seconds=1) <= valid <= LONGEST:
        raise InvalidArgument(f"a token is valid for up to {LONGEST // timedelta(hours=1)} hours")
    now = int(time.time())
    claims: dict[str, Json] = {
        "iss": ISSUER,
        "sub": user,
        "skypeid": user.removeprefix("8:"),
        "scope": " ".join(scopes),
        "acsScope": ",".join(scopes),
        "iat": now,
        "exp": now + valid // timedelta(seconds=1),
    }
    if tenant is not None:
        claims["tenant"] = tenant
    body = json.dumps(claims, separators=(",", ":"))
    for character, escape in _ESCAPED.items():
        body = body.replace(character, escape)
    signed = f"{_HEADER}.{_encoded(body.encode())}"
    return f"{signed}.{_encoded(_signature(signed, secret))}"


def is_user_token(token: str) -> bool:
    """Whether a bearer token says that it is one of these, by its algorithm."""
    try:
        header = json.loads(_decoded(token.partition(".")[0]))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and header.get("alg") == "HS256"


def check(token: str, secrets: Sequence[str], *, leeway: int = 0) -> UserToken:
    """Whom `token` stands for, if it is signed by one of `secrets` and holds now; else TokenRefused.

    `leeway` is how many seconds clocks may be apart.
    """
    signed, _, signature = token.rpartition(".")
    if len(token) > _LONGEST_TOKEN or signed.count(".") != 1 or not is_user_token(token):
        raise TokenRefused("the token is not one that this service accepts")
    # Every secret is tried, so that the time that it takes tells nothing.
    held = [
        hmac.compare_digest(_encoded(_signature(signed, one)).encode(), _ascii(signature)) for one in secrets
    ]
    if not any(held):
        raise TokenRefused("the token is not one that this service accepts")
    try:
        claims = json.loads(_decoded(signed.partition(".")[2]))
    except (ValueError, RecursionError) as error:
        raise TokenRefused("the token cannot be read") from error
    if not isinstance(claims, dict) or claims.get("iss") != ISSUER:
        raise TokenRefused(f"the token needs the iss {ISSUER}")
    _require_time(claims, leeway)
    return _whom(claims)


def _require_time(claims: Mapping[str, Json], leeway: int) -> None:
    now = time.time()
    ends, begins = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(ends, (int, float)) or not isinstance(begins, (int, float)):
        raise TokenRefused("the token needs exp, in seconds since 1970")
    if ends <= now - leeway:
        raise TokenRefused("the token has expired")
    if ends > now + LONGEST.total_seconds() + leeway:
        raise TokenRefused(f"a token is valid for up to {LONGEST // timedelta(hours=1)} hours")
    if begins > now + leeway:
        raise TokenRefused("the token is not valid yet")


def _whom(claims: Mapping[str, Json]) -> UserToken:
    user, tenant, names = claims.get("sub"), claims.get("tenant"), claims.get("scope")
    if not isinstance(user, str) or not user or not isinstance(names, str):
        raise TokenRefused("the token needs sub, a user, and scope, such as chat")
    allowed = [SCOPES[name] for name in names.split() if name in SCOPES]
    try:
        owner_or_none(user)
        found = None if tenant is None else callers_tenant(tenant)
    except InvalidArgument as error:
        raise TokenRefused("the token's tenant or user cannot be used") from error
    return UserToken(user, found, frozenset[Scope]().union(*allowed))


def _signature(signed: str, secret: str) -> bytes:
    return hmac.digest(secret.encode(), signed.encode(errors="surrogatepass"), hashlib.sha256)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _ascii(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


_HEADER = _encoded(b'{"alg":"HS256","typ":"JWT"}')
