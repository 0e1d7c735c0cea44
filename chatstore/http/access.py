"""The line in the log that every request has, and the id by which the two are brought together."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatstore.codec import Json
from chatstore.http import logs, rates
from chatstore.ids import uuid7

__all__ = ["METHODS", "Access", "route_of", "units_of"]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that are logged; any other text may hold anything, and is "OTHER"."""

_CAUTION = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"private, no-cache"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Headers of every answer."""
_VARY = (b"vary", b"Origin")
"""Of those, too, that say nothing themselves of what they vary with."""

_SANE = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_log = logging.getLogger(logs.ACCESS)


def route_of(scope: Scope) -> str | None:
    """The template of the route that a request met, None where it met none."""
    return getattr(scope.get("route"), "path", None)


def units_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, float]:
    """What the storage billed, as an answer's headers say it."""
    for name, value in headers:
        if name == b"chatstore-cost":
            _, *units = value.decode().split("; ")
            return {name: float(number) for name, _, number in (unit.partition("=") for unit in units)}
    return {}


class Access:
    """Gives each request its id, every answer the headers that all have, and logs what became of it.

    A line never holds content, a thread's id, a query or a secret: the route is logged by its template.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and log it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode(
            "latin-1"
        )
        named = given if _SANE.fullmatch(given) else uuid7()
        token = logs.request_id.set(named)
        began = time.perf_counter()
        status: int | None = None
        size, units = 0, {}

        async def watched(message: Message) -> None:
            nonlocal status, size, units
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message["headers"])
                units = units_of(headers)
                took = f"total;dur={(time.perf_counter() - began) * 1000:.3f}"
                headers += (
                    (b"x-request-id", named.encode()),
                    (b"server-timing", took.encode()),
                    *_CAUTION,
                    *(() if any(name == b"vary" for name, _ in headers) else (_VARY,)),
                    *rates.headers_of(scope),
                )
                message = {**message, "headers": headers}
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            if _log.isEnabledFor(logging.INFO):
                identity = scope.get("chatstore.identity")
                fields: dict[str, Json] = {
                    "tenant": getattr(identity, "tenant", None),
                    "credential": getattr(identity, "credential", None),
                    "method": scope["method"] if scope["method"] in METHODS else "OTHER",
                    "route": route_of(scope),
                    "status": status,
                    "duration_ms": round((time.perf_counter() - began) * 1000, 3),
                    "bytes": size,
                    "units": units,
                    "error": scope.get("chatstore.error"),
                }
                said = fields["method"], fields["route"], status
                # Not by `info`, which looks through the stack for who logs, and takes as long again.
                record = logging.LogRecord(logs.ACCESS, logging.INFO, __file__, 0, "%s %s %s", said, None)
                record.fields = fields
                _log.handle(record)
            logs.request_id.reset(token)
