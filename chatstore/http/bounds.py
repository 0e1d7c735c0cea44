"""Bounds of time and number around every request: nothing waits for ever, and no crowd takes all."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatstore.http.problems import Overloaded, SlowBody, TimedOut, problem_response
from chatstore.settings import Settings

__all__ = ["Bounds", "is_probe"]

_PROBES = frozenset({"/healthz", "/readyz"})


def is_probe(scope: Scope) -> bool:
    """Whether a request is answered in any case: who asks so decides whether this instance lives."""
    return scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")) in _PROBES


class Bounds:
    """Answers 503 beyond `max_concurrency` and `request_seconds`, 408 to a body beyond `body_seconds`."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._settings = settings
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within bounds."""
        if scope["type"] != "http" or is_probe(scope):
            await self.app(scope, receive, send)
            return
        if self._running >= self._settings.max_concurrency:
            await problem_response(Overloaded())(scope, receive, send)
            return
        self._running += 1
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        whole = asyncio.timeout(self._settings.request_seconds)
        try:
            async with whole:
                await self.app(scope, self._hurried(receive), watched)
        except TimeoutError:
            if not whole.expired():
                raise
            if not started:
                await problem_response(TimedOut())(scope, receive, send)
        finally:
            self._running -= 1

    def _hurried(self, receive: Receive) -> Receive:
        """`receive` that raises SlowBody where the body is not there in time."""
        until = asyncio.get_running_loop().time() + self._settings.body_seconds
        whole = False

        async def hurried() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            hurry = asyncio.timeout_at(until)
            try:
                async with hurry:
                    message = await receive()
            except TimeoutError as error:
                raise SlowBody(
                    f"a body is sent within {self._settings.body_seconds:g} s: send it in smaller parts"
                ) from error
            whole = not message.get("more_body", False)
            return message

        return hurried
