"""Connections of ``chatstore serve``: how long one of them may take, and how many there are.

A request's head has to arrive in time, and the client has to read its answer in time. Otherwise the
connection is closed, and so is one without requests.
"""

from __future__ import annotations

import asyncio
import math
import resource
from typing import NamedTuple, cast

from chatstore.cli.protocol import Http
from chatstore.settings import Settings

__all__ = ["BACKLOG", "connections"]

BACKLOG = 256
"""How many connections are accepted before the first of them is looked at."""

_OTHER_FILES = 128
_LOOK_SECONDS = 1.0


class _Limits(NamedTuple):
    head_seconds: float
    answer_seconds: float
    idle_seconds: float
    most: int


def connections(settings: Settings) -> type[Http]:
    """A protocol for uvicorn that keeps these bounds, and those of `settings`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = math.inf if soft == resource.RLIM_INFINITY else soft - BACKLOG - _OTHER_FILES
    most = max(1, int(min(settings.max_connections, files)))
    limits = _Limits(settings.body_seconds, settings.answer_seconds, settings.keep_alive_seconds, most)

    class Bounded(_Bounded):
        bounds = limits

    return Bounded


class _Bounded(Http):
    bounds: _Limits
    _due: float | None = None
    """When the client must have sent its next head, where nothing else is waited for."""

    _idle = False
    _unsent_since: float | None = None
    _heard = 0.0
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._heard = self.loop.time()
        self._due = self._heard + self.bounds.head_seconds
        self._look_again()
        if len(self.connections) > self.bounds.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        super().data_received(data)
        if self.answering:
            self._due = None
        elif self._idle:
            self._due = self._heard + self.bounds.head_seconds
        self._idle = False

    def on_response_complete(self) -> None:
        self._idle = True
        self._due = self.loop.time() + self.bounds.idle_seconds
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _look_after(self) -> None:
        """Hang up where a head, or the taking of what was sent, is overdue."""
        now = self.loop.time()
        if not self.transport.get_write_buffer_size():
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        if self._unsent_since is not None and now - self._unsent_since > self.bounds.answer_seconds:
            self.transport.abort()
            return
        if self._due is not None and now > self._due:
            self.transport.close()
        self._look_again()

    def _look_again(self) -> None:
        soon = min(_LOOK_SECONDS, self.bounds.head_seconds, self.bounds.answer_seconds)
        self._look = self.loop.call_later(soon, self._look_after)

    def _make_room(self) -> None:
        """Hang up on the one that has waited longest for its client; on the new one where all are at work."""
        # Those that are closed already go when the event loop comes to it.
        kept = [one for one in cast("set[_Bounded]", self.connections) if not one.transport.is_closing()]
        if len(kept) > self.bounds.most:
            waiting = (one for one in kept if one.waits_for_client())
            min(waiting, key=lambda one: one._heard, default=self).transport.abort()

    def waits_for_client(self) -> bool:
        """Whether it is the client's turn: to send a request or the rest of it, or to take an answer."""
        asked = self.answering and not self.cycle.more_body
        return not asked or self.transport.get_write_buffer_size() > 0
