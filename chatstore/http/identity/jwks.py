"""An issuer's public keys, fetched when they are needed and kept for a while."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

import jwt
from jwt.types import JWKDict

from chatstore.codec import Json
from chatstore.errors import ConfigurationError
from chatstore.http.loopback import is_loopback
from chatstore.http.problems import IdentityUnavailable

__all__ = ["KeySet", "require_safe"]

REFRESH_SECONDS = 30.0
"""The least time between two fetches."""
FRESH_SECONDS = 600.0
"""After this long keys are fetched anew, so that one that the issuer withdrew stops to count."""
STALE_SECONDS = 3600.0
"""So long are keys used while the issuer cannot be asked."""
_TIMEOUT_SECONDS = 3.0
_TOTAL_SECONDS = 6.0
_LARGEST_BYTES = 256 * 1024
_PUBLIC_KINDS = {"RSA", "EC", "OKP"}
_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
    "Ed448": ("EdDSA",),
}
"""What keys of each type can verify."""

_log = logging.getLogger(__name__)


class PublicKey(NamedTuple):
    """A key to verify with, its type, and the one algorithm that it is for, if the issuer says."""

    public: Any
    algorithm: str | None
    type: str
    """The family or the curve that it is of, as JWKs name them."""

    def verifies(self, algorithm: str) -> bool:
        """Whether a signature of `algorithm` can be this key's."""
        return self.algorithm in (None, algorithm) and algorithm in _ALGORITHMS.get(self.type, ())


class KeySet:
    """The keys of an `issuer`, at `url`, or where its OIDC discovery says that they are."""

    def __init__(self, issuer: str, url: str) -> None:
        self._issuer = issuer
        self._url = url
        self._keys: dict[str, PublicKey] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._failed = False
        self._lock = asyncio.Lock()

    async def find(self, key_id: str) -> PublicKey | None:
        """The key of this id; None if there is none. Raises IdentityUnavailable if that is not known."""
        if self._wanting(key_id):
            async with self._lock:
                # Whoever held the lock may have fetched it.
                if self._wanting(key_id):
                    await self._refresh()
        if time.monotonic() - self._fetched_at > STALE_SECONDS or (self._failed and key_id not in self._keys):
            raise IdentityUnavailable("the issuer's keys cannot be fetched: try again later")
        return self._keys.get(key_id)

    def _wanting(self, key_id: str) -> bool:
        now = time.monotonic()
        aged = now - self._fetched_at > FRESH_SECONDS
        return (aged or key_id not in self._keys) and now - self._asked_at >= REFRESH_SECONDS

    async def _refresh(self) -> None:
        self._asked_at = time.monotonic()
        try:
            self._keys = await asyncio.to_thread(self._fetch)
        except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
            self._failed = True
            _log.warning("the issuer's keys cannot be fetched", exc_info=error)
        else:
            self._failed = False
            self._fetched_at = time.monotonic()

    def _fetch(self) -> dict[str, PublicKey]:
        url = self._url or self._discovered()
        return {
            form["kid"]: PublicKey(jwt.PyJWK(form).key, form.get("alg"), form.get("crv") or form["kty"])
            for form in _get(url)["keys"]
            if _usable(form)
        }

    def _discovered(self) -> str:
        found = _get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if found["issuer"] != self._issuer:
            raise ValueError("the discovery document is of another issuer")
        url: str = found["jwks_uri"]
        require_safe("jwks_uri", url)
        return url


def require_safe(name: str, url: str) -> None:
    """Raise ConfigurationError unless `url` is https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise ConfigurationError(f"{name} is not a URL") from error
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise ConfigurationError(f"{name} is an https URL: keys that come otherwise could be anybody's")


def _usable(form: JWKDict) -> bool:
    """Whether a key can verify: a public one of a kind that is known, with an id."""
    if form.get("kty") not in _PUBLIC_KINDS or form.get("use") == "enc":
        return False
    try:
        jwt.PyJWK(form)
    except jwt.PyJWTError:
        return False
    return isinstance(form.get("kid"), str)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _get(url: str) -> Json:
    """The JSON at `url`, within bounds of time and size, wherever a redirect would lead."""
    require_safe("an address of the issuer", url)
    handlers = [_NoRedirect(), *([ProxyHandler({})] if is_loopback(urlsplit(url).hostname or "") else [])]
    until = time.monotonic() + _TOTAL_SECONDS
    text = bytearray()
    with build_opener(*handlers).open(url, timeout=_TIMEOUT_SECONDS) as response:
        while chunk := response.read1(64 * 1024):
            text += chunk
            if len(text) > _LARGEST_BYTES or time.monotonic() > until:
                raise URLError("the answer is too long, or takes too long")
    return json.loads(text)
