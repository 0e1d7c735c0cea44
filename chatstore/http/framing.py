"""How a request is framed: its target, the length of its body, and whether the body waits to be asked for."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.types import Scope

from chatstore.http.problems import Malformed

__all__ = ["awaits_continue", "fault", "to_origin_form"]

_ABSOLUTE = re.compile(rb"https?://([^/]*)(.*)", re.IGNORECASE | re.DOTALL)


def to_origin_form(scope: Scope) -> None:
    """Make of a target that names its host, as requests to proxies do, a path and a Host.

    RFC 9112 has every server take such a target, and go by its host whatever the header says.
    """
    found = None if scope["path"][:1] == "/" else _ABSOLUTE.fullmatch(scope.get("raw_path") or b"")
    if found is None:
        return
    raw = found[2] or b"/"
    scope["raw_path"], scope["path"] = raw, unquote(raw.decode("ascii", "replace"))
    scope["headers"] = [
        (b"host", found[1]),
        *((name, value) for name, value in scope["headers"] if name != b"host"),
    ]


def fault(scope: Scope, headers: Headers) -> Malformed | None:
    """What is wrong with the way that the body's length is said; None for nothing.

    A gateway that goes by another length would take what follows for somebody else's request.
    """
    if "transfer-encoding" not in headers:
        return None
    if "content-length" in headers:
        return Malformed("a body has one length: send Content-Length or chunks, not both")
    if scope["http_version"] == "1.0":
        return Malformed("HTTP/1.0 knows no chunks: send Content-Length")
    return None


def awaits_continue(scope: Scope, headers: Headers) -> bool:
    """Whether the client sends its body only when it is told to go on, which reading it does."""
    return scope["http_version"] != "1.0" and headers.get("expect", "").lower() == "100-continue"
