"""How often one caller may ask: a token bucket each, in this process's memory.

The buckets are of one instance. Where a platform runs several, each has its own, so the limit for all is the
platform's own throttle.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable
from typing import NamedTuple

from starlette.types import Scope

from chatstore.http.bounds import is_probe
from chatstore.http.loopback import is_loopback
from chatstore.http.problems import TooManyRequests
from chatstore.recent import Recent
from chatstore.settings import Settings, cloud_platform

__all__ = ["ANYBODY", "PUBLIC_REQUESTS_PER_MINUTE", "Rates", "headers_of", "per_minute"]

PUBLIC_REQUESTS_PER_MINUTE = 600
"""What holds where nothing is set and the service can be reached from elsewhere."""

ANYBODY = "none"
"""The credential of a caller who was not asked for one."""

MOST_BUCKETS = 10_000
_MINUTE = 60.0
_KEY = "chatstore.rate"


def per_minute(settings: Settings) -> int:
    """The limit that holds, 0 for none, which is the default on loopback."""
    if settings.requests_per_minute is not None:
        return settings.requests_per_minute
    return 0 if cloud_platform() is None and is_loopback(settings.host) else PUBLIC_REQUESTS_PER_MINUTE


class _Bucket(NamedTuple):
    tokens: float
    at: float
    """When there were so many, in seconds of the clock."""


class Rates:
    """A bucket for each credential, or address where there is none: full at first, full in a minute.

    At most `most` buckets of credentials are kept, and as many of addresses: apart, because anybody can come
    from many addresses. The one that was used longest ago goes, and begins full again.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic, most: int = MOST_BUCKETS
    ) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, Recent[tuple[str, ...], _Bucket]] = {
            "credential": Recent(most),
            "address": Recent(most),
        }

    def admit(self, scope: Scope) -> None:
        """Take a token of the caller's bucket. Raises TooManyRequests where there is none."""
        if not self.per_minute or is_probe(scope):
            return
        self._take(scope, 1)

    def require_left(self, scope: Scope) -> None:
        """Raise TooManyRequests where the caller has no token left, and take none."""
        if self.per_minute and not is_probe(scope):
            self._take(scope, 0)

    def counted(self, scope: Scope, error: Exception) -> Exception:
        """`error`, for which a token of the caller's bucket is taken; TooManyRequests where there is none."""
        try:
            self.admit(scope)
        except TooManyRequests as refusal:
            return refusal
        return error

    def _take(self, scope: Scope, count: int) -> None:
        caller, now, speed = _caller(scope), self._clock(), self.per_minute / _MINUTE
        buckets = self._buckets[caller[0]]
        tokens, at = buckets.pop(caller) or _Bucket(float(self.per_minute), now)
        tokens = min(self.per_minute, tokens + (now - at) * speed)
        admitted = tokens >= 1
        tokens -= count if admitted else 0
        buckets.put(caller, _Bucket(tokens, now))
        scope[_KEY] = int(tokens), math.ceil((self.per_minute - tokens) / speed), self.per_minute
        if not admitted:
            raise TooManyRequests(self.per_minute, math.ceil((1 - tokens) / speed))


def headers_of(scope: Scope) -> list[tuple[bytes, bytes]]:
    """What tells callers their bucket, as draft-ietf-httpapi-ratelimit-headers-10 writes it."""
    if _KEY not in scope:
        return []
    left, full_in, quota = scope[_KEY]
    return [
        (b"ratelimit-policy", f'"default";q={quota};w={_MINUTE:g}'.encode()),
        (b"ratelimit", f'"default";r={left};t={full_in}'.encode()),
    ]


def _caller(scope: Scope) -> tuple[str, ...]:
    identity = scope.get("chatstore.identity")
    credential = getattr(identity, "credential", None)
    if credential not in (None, ANYBODY):
        return "credential", str(getattr(identity, "tenant", "")), credential
    address = (scope.get("client") or ("", 0))[0]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "address", address
    # One customer has a whole /64 of IPv6, and could use an address of it for each request.
    return "address", str(ipaddress.ip_network((parsed, 64 if parsed.version == 6 else 32), strict=False))
