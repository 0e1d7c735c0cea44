"""Who can reach a service that asks nobody who they are: only this machine, and no foreign web page on it.

Without identity the service binds to loopback alone. A browser reaches loopback too, so a request
must also name a loopback host, which a rebound domain does not, and come from no foreign page.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from chatstore.errors import ConfigurationError
from chatstore.http.problems import ForeignOrigin, Misdirected
from chatstore.settings import cloud_platform

__all__ = ["CORS", "check_caller", "origins_of", "require_loopback", "require_own_machine"]

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")

CORS: Mapping[str, Any] = {
    "allow_methods": ("GET", "POST", "PUT", "PATCH", "DELETE"),
    "allow_headers": (
        "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match",
        "Repeatability-First-Sent", "Repeatability-Request-ID", "X-API-Key",
    ),
    "expose_headers": (
        "Chatstore-Cost", "ETag", "Link", "Location", "Retry-After", "Server-Timing", "WWW-Authenticate",
    ),
}  # fmt: skip
"""What pages of the origins that may use the service can send and see; no cookies."""


def origins_of(text: str) -> list[str]:
    """The origins in a setting. Raises ConfigurationError for what is none, ``*`` included."""
    origins = [one.strip() for one in text.split(",") if one.strip()]
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigurationError(
                f"CHATSTORE_CORS_ORIGINS lists origins such as https://app.example.org, not {origin!r}"
            )
    return origins


def require_loopback(host: str) -> None:
    """Raise ConfigurationError unless `host`, an address to listen on, reaches this machine alone."""
    require_own_machine()
    if not _is_loopback(host):
        raise ConfigurationError(
            f"chatstore serves without identity on loopback only, not on {host}: listen on 127.0.0.1, "
            "or say in CHATSTORE_AUTH how callers show who they are"
        )


def require_own_machine() -> None:
    """Raise ConfigurationError on a cloud platform, where loopback protects nothing."""
    platform = cloud_platform()
    if platform is not None:
        raise ConfigurationError(
            f"chatstore does not serve on {platform} without identity, because anybody could read and write "
            "every thread: say in CHATSTORE_AUTH how callers show who they are"
        )


def check_caller(headers: Headers, origins: Collection[str]) -> None:
    """Raise Misdirected for a Host that is not loopback, ForeignOrigin for a page of none of `origins`."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if not _is_loopback(_hostname(f"//{host}")):
        raise Misdirected(
            "this service answers to localhost and loopback addresses only: use one as the host"
        )
    if origin is not None and origin not in {*origins, f"http://{host}", f"https://{host}"}:
        raise ForeignOrigin(
            "web pages of another origin may not use this service: leave the Origin header out"
        )


@lru_cache(256)
def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


@lru_cache(256)
def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
