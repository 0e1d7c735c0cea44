"""Who can reach a service that asks nobody who they are: only this machine, and no foreign web page on it.

Without authentication the service binds to loopback alone. A browser reaches loopback too. So a request must
also name a loopback host, which a rebound domain does not, and must come from no foreign page.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from chatstore.errors import ConfigurationError
from chatstore.http.loopback import is_loopback
from chatstore.http.problems import ForeignOrigin, Misdirected, Relayed
from chatstore.settings import cloud_platform

__all__ = ["CORS", "check_caller", "origins_of", "require_loopback", "require_own_machine"]

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::[0-9]{0,5})?", re.IGNORECASE)
_RELAYS = frozenset(
    {
        b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip",
        b"cf-connecting-ip", b"fastly-client-ip", b"fly-client-ip",
    }
)  # fmt: skip
"""What proxies add to a request, beside all that begins with X-Forwarded."""
_TELLING = frozenset({b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"})
"""What says from where a request comes."""
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
    if not is_loopback(host):
        raise ConfigurationError(
            f"without authentication chatstore serves on loopback only, not on {host}: listen on 127.0.0.1, "
            "or say in CHATSTORE_AUTH how callers show who they are"
        )


def require_own_machine() -> None:
    """Raise ConfigurationError on a cloud platform, where loopback protects nothing."""
    platform = cloud_platform()
    if platform is not None:
        raise ConfigurationError(
            f"chatstore does not serve on {platform} without authentication, because anybody could read and "
            "write every thread: say in CHATSTORE_AUTH how callers show who they are"
        )


def check_caller(method: str, headers: Iterable[tuple[bytes, bytes]], origins: Collection[str]) -> None:
    """Raise a Refusal for a caller who may not be somebody on this machine; `headers` are as ASGI has them.

    Relayed for a request that a proxy passed on: whoever sent it is elsewhere. Misdirected for a Host that is
    not loopback, ForeignOrigin for a web page that is neither the service's own nor of one of `origins`.
    """
    said: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name in _TELLING:
            said.setdefault(name, []).append(value.decode("latin-1"))
        elif name in _RELAYS or name.startswith(b"x-forwarded"):
            raise Relayed(
                f"{name.decode('latin-1')} says that the request comes through a proxy: say in "
                "CHATSTORE_AUTH how callers show who they are"
            )
    host = ", ".join(said.get(b"host", ()))
    if not is_loopback(_hostname(host)):
        raise Misdirected(
            "this service answers to localhost and loopback addresses only: use one as the host"
        )
    given = said.get(b"origin", ())
    known = len(given) == 1 and given[0] in (*origins, f"http://{host}", f"https://{host}")
    if (given and not known) or (not given and _of_foreign_page(method, said)):
        raise ForeignOrigin(
            "web pages of another origin may not use this service: leave the Origin header out"
        )


def _of_foreign_page(method: str, said: Mapping[bytes, Sequence[str]]) -> bool:
    """Whether a browser says that another site's page asks, but for a link that somebody follows."""
    if set(said.get(b"sec-fetch-site", ())) <= {"same-origin", "none"}:
        return False
    mode, aim = (list(said.get(name, ()))[:1] for name in (b"sec-fetch-mode", b"sec-fetch-dest"))
    return (mode, aim) != (["navigate"], ["document"]) or method not in ("GET", "HEAD")


@lru_cache(256)
def _hostname(host: str) -> str:
    """The name or address in a Host header; "" for what is none, such as one with a user in it."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").lower() if found else ""
