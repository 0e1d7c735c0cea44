"""Bounds of time and number around every request: nothing waits for ever, and nobody keeps what all need."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatstore.http.admission import HOLD, Admission, Hold
from chatstore.http.problems import TimedOut, problem_response
from chatstore.settings import Settings

__all__ = ["COPIES", "Bounds", "is_probe"]

COPIES = 4
"""About how often a body is in memory, as bytes, values and texts, and an answer until it is sent."""

_PIECE_BYTES = 64 * 1024
"""How much of an answer is on its way to the socket at once."""

_PROBES = frozenset({"/healthz", "/readyz"})


def is_probe(scope: Scope) -> bool:
    """Whether a request is answered in any case: who asks so decides whether this instance lives."""
    return scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")) in _PROBES


class Bounds:
    """Answers 503 beyond `request_seconds`.

    What a request has in hand is given back when its answer has been sent.
    """

    def __init__(self, app: ASGIApp, settings: Settings, admission: Admission) -> None:
        self.app = app
        self._settings = settings
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within bounds."""
        if scope["type"] != "http" or is_probe(scope):
            await self.app(scope, receive, send)
            return
        started = False
        hold = scope[HOLD] = Hold(self._admission)

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] != "http.response.body":
                await send(message)
                return
            body = message.get("body", b"")
            hold.keep(COPIES * len(body))
            if len(body) <= _PIECE_BYTES:
                await send(message)
                return
            for start in range(0, len(body), _PIECE_BYTES):
                # The server waits with the next piece until most of the last is gone, and others have a turn.
                piece = body[start : start + _PIECE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)
            await send({**message, "body": b""})

        whole = asyncio.timeout(self._settings.request_seconds)
        try:
            async with whole:
                await self.app(scope, receive, watched)
        except TimeoutError:
            if not whole.expired():
                raise
            if not started:
                await problem_response(TimedOut())(scope, receive, send)
        finally:
            hold.release()
