"""Who can reach a service that asks nobody who they are: only this machine, and no web page on it.

Without identity the service binds to loopback alone. A browser reaches loopback too, so a request
must also name a loopback host, which a rebound domain does not, and come from no foreign page.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from chatstore.errors import ConfigurationError
from chatstore.http.problems import ForeignOrigin, Misdirected
from chatstore.settings import cloud_platform

__all__ = ["check_caller", "require_loopback", "require_own_machine"]


def require_loopback(host: str) -> None:
    """Raise ConfigurationError unless `host`, an address to listen on, reaches this machine alone."""
    require_own_machine()
    if not _is_loopback(host):
        raise ConfigurationError(
            f"chatstore serves without identity on loopback only, not on {host}: listen on 127.0.0.1, "
            "and put a proxy that authenticates its callers in front of it"
        )


def require_own_machine() -> None:
    """Raise ConfigurationError on a cloud platform, where loopback protects nothing."""
    platform = cloud_platform()
    if platform is not None:
        raise ConfigurationError(
            f"chatstore does not serve on {platform} without identity, because anybody could read and write "
            "every thread: run it on a machine of your own, on 127.0.0.1"
        )


def check_caller(headers: Headers) -> None:
    """Raise Misdirected for a Host that is not loopback, ForeignOrigin for a page of another origin."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if not _is_loopback(_hostname(f"//{host}")):
        raise Misdirected(
            "this service answers to localhost and loopback addresses only: use one as the host"
        )
    if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
        raise ForeignOrigin(
            "web pages of another origin may not use this service: leave the Origin header out"
        )


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
