"""Credentials as they come: in headers alone, and one at a time."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers

from chatstore.http.problems import Unauthenticated

__all__ = ["bearer", "require_one"]


def require_one(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise Unauthenticated for two credentials: a proxy might read one, and the service the other.

    `headers` are as ASGI has them.

    A signature for AWS, which a function URL may ask for in that header, is none for this service.
    """
    shown = 0
    for name, value in headers:
        if name == b"x-api-key" or (name == b"authorization" and not value.startswith(b"AWS4-HMAC-SHA256 ")):
            shown += 1
    if shown > 1:
        raise Unauthenticated("send one credential: either Authorization or X-API-Key, once", invalid=True)


def bearer(headers: Headers) -> str | None:
    """What follows ``Bearer`` in Authorization; None where there is none."""
    kind, _, text = headers.get("authorization", "").partition(" ")
    return text.strip(" ") if kind.lower() == "bearer" else None
