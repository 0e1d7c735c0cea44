"""What became of every request: facts that are logged, and measured where telemetry is on.

Each request is one line in the log. The line and the caller's answer bear the same id.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatstore.codec import Json
from chatstore.http import logs, rates
from chatstore.ids import uuid7
from chatstore.metering import Watch
from chatstore.settings import cloud_platform

if TYPE_CHECKING:
    from chatstore.http.telemetry import Telemetry

__all__ = ["METHODS", "Access", "Facts", "is_cold_start", "route_of"]

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


class Facts(NamedTuple):
    """What became of one request. None of it is content, an id, a path or a query.

    Each has few values ever, but for the tenant and the credential, which go to the log alone.
    """

    tenant: str | None
    credential: str | None
    scheme: str
    method: str
    """One of `METHODS`, or "OTHER"."""
    route: str | None
    """The template of the route; None where the request met none."""
    status: int | None
    """None where the caller was gone before there was an answer."""
    seconds: float
    bytes: int
    units: Mapping[str, float]
    """What the storage billed, by the vendor's name of the unit."""
    retries: int
    """How many calls to the storage were made again."""
    conflicts: int
    """How many writes came too late, after somebody else's, and were planned anew."""
    error: str | None
    """The problem's code."""
    cold_start: bool
    """Whether it is the first event of a new instance of a cloud's function."""

    def fields(self) -> dict[str, Json]:
        """They as they are logged."""
        return {
            "tenant": self.tenant,
            "credential": self.credential,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "duration_ms": round(self.seconds * 1000, 3),
            "bytes": self.bytes,
            "units": dict(self.units),
            "retries": self.retries,
            "conflicts": self.conflicts,
            "error": self.error,
            "cold_start": self.cold_start,
        }


_FUNCTIONS = frozenset({"AWS Lambda", "Azure Functions"})
_met: list[bool] = []


def is_cold_start() -> bool:
    """Whether this process is an instance of a cloud's function, and asks for the first time."""
    if _met:
        return False
    _met.append(True)
    return cloud_platform() in _FUNCTIONS


def _units_of(cost: bytes) -> dict[str, float]:
    """What the storage billed, as the header of an answer says it."""
    _, *units = cost.decode().split("; ")
    return {name: float(number) for name, _, number in (unit.partition("=") for unit in units)}


class Access:
    """Gives each request its id, every answer the headers that all have, and tells what became of it.

    A line never holds content, a thread's id, a query or a secret: the route is logged by its template.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry | None = None) -> None:
        self.app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell what became of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode(
            "latin-1"
        )
        named = given if _SANE.fullmatch(given) else uuid7()
        token = logs.request_id.set(named)
        begun = None if self._telemetry is None else self._telemetry.begin(scope)
        answered = _Answered(scope, send, named)
        with Watch() as watch:
            try:
                await self.app(scope, receive, answered.send)
            finally:
                logged = _log.isEnabledFor(logging.INFO)
                if logged or self._telemetry is not None:
                    facts = answered.facts(watch)
                    if self._telemetry is not None:
                        self._telemetry.end(begun, facts)
                    if logged:
                        _write(facts)
                logs.request_id.reset(token)


class _Answered:
    """One request, and what its answer was."""

    def __init__(self, scope: Scope, send: Send, named: str) -> None:
        self._scope = scope
        self._send = send
        self._named = named
        self._began = time.perf_counter()
        self._status: int | None = None
        self._size = 0
        self._units: dict[str, float] = {}

    async def send(self, message: Message) -> None:
        """Hand on a part of the answer, the first one with the headers that all have."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = list(message["headers"])
            given = dict(headers)
            if b"chatstore-cost" in given:
                self._units = _units_of(given[b"chatstore-cost"])
            headers += _CAUTION
            if b"vary" not in given:
                headers.append(_VARY)
            took = b"total;dur=%.3f" % ((time.perf_counter() - self._began) * 1000)
            headers += (b"x-request-id", self._named.encode()), (b"server-timing", took)
            headers += rates.headers_of(self._scope)
            message = {**message, "headers": headers}
        else:
            self._size += len(message.get("body", b""))
        await self._send(message)

    def facts(self, watch: Watch) -> Facts:
        """What became of the request, whose storage was watched."""
        scope = self._scope
        identity = scope.get("chatstore.identity")
        return Facts(
            tenant=getattr(identity, "tenant", None),
            credential=getattr(identity, "credential", None),
            scheme="https" if scope.get("scheme") == "https" else "http",
            method=scope["method"] if scope["method"] in METHODS else "OTHER",
            route=route_of(scope),
            status=self._status,
            seconds=time.perf_counter() - self._began,
            bytes=self._size,
            # A backend of somebody's may say what it costs on its results alone.
            units=dict(watch.units) or self._units,
            retries=watch.retries,
            conflicts=watch.conflicts,
            error=scope.get("chatstore.error"),
            cold_start=is_cold_start(),
        )


class _Line(logging.LogRecord):
    """A record of the log with `fields`, without what takes longest to find out and is alike in each."""

    def __init__(self, facts: Facts) -> None:
        now, alike, told = time.time(), _alike(os.getpid()), vars(self)
        told.update(alike)
        told["args"] = facts.method, facts.route, facts.status
        told["created"] = now
        told["msecs"] = int(now % 1 * 1000) + 0.0
        told["relativeCreated"] += (now - alike["created"]) * 1000
        told["fields"] = facts.fields()


@lru_cache(1)
def _alike(_process: int) -> dict[str, Any]:
    record = logging.LogRecord(logs.ACCESS, logging.INFO, __file__, 0, "%s %s %s", (), None)
    return vars(record)


def _write(facts: Facts) -> None:
    # Not by `info`, which looks through the stack for who logs, and takes as long again.
    _log.handle(_Line(facts))
