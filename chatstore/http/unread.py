"""What becomes of a body that nobody reads, because the answer was there before its end.

A connection whose request has not ended cannot carry another one. It is closed, but not at once: what
still arrives at a closed connection resets it, and takes the answer away before it is read.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatstore.http import framing
from chatstore.http.problems import problem_response

__all__ = ["Unread"]

_A_MOMENT_SECONDS = 0.01
_LINGER_SECONDS = 2.0


class Unread:
    """Takes and drops the rest of an unread body for a short time, then has the connection closed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        framing.to_origin_form(scope)
        if not _has_body(scope):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        fault = framing.fault(scope, headers)
        if fault is not None:
            refusal = problem_response(fault)
            refusal.headers["Connection"] = "close"
            await refusal(scope, receive, send)
        else:
            # Who waits to be told to go on has sent no body, and asking for it would tell them.
            await self._serve(scope, receive, send, waiting=framing.awaits_continue(scope, headers))

    async def _serve(self, scope: Scope, receive: Receive, send: Send, *, waiting: bool) -> None:
        ended = closing = False

        async def taken() -> Message:
            nonlocal ended, waiting
            waiting = False
            message = await receive()
            ended = ended or not message.get("more_body", False)
            return message

        async def rest(seconds: float) -> None:
            if waiting:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not ended:
                        await taken()

        async def answered(message: Message) -> None:
            nonlocal closing
            if message["type"] == "http.response.start" and not ended:
                await rest(_A_MOMENT_SECONDS)
                closing = not ended
                if closing and scope["http_version"].startswith("1"):
                    MutableHeaders(scope=message)["Connection"] = "close"
            if closing and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await rest(_LINGER_SECONDS)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self.app(scope, taken, answered)


def _has_body(scope: Scope) -> bool:
    for name, length in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and length != b"0"):
            return True
    return False
