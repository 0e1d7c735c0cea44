"""Connections of ``chatstore serve``: what one of them may cost, and how many there are.

uvicorn bounds only the bytes of a request's head. Here the lines of a head are bounded too, and chunks need
a size on average. A request's head has to arrive in time, and the client has to read its answer in time.
Otherwise the connection is closed.
"""

from __future__ import annotations

import asyncio
import math
import resource
from typing import Any, NamedTuple, cast

import h11
from h11._receivebuffer import ReceiveBuffer
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from chatstore.settings import Settings

__all__ = ["BACKLOG", "connections"]

BACKLOG = 256
"""How many connections are accepted before the first of them is looked at."""

_OTHER_FILES = 128
_MOST_HEADERS = 256
_CHUNKS, _CHUNK_BYTES = 256, 256
"""A body may come in so many chunks of any size, and in more where they have as many bytes on average."""

_LOOK_SECONDS = 1.0
_HEADS = tuple(b"HTTP/1.1 %d" % first for first in (2, 3, 4, 5))
"""How the head of an answer begins: one that tells a client to go on is followed by nothing."""


class _Received(ReceiveBuffer):
    """What h11 takes heads and chunks from; refuses what would be long to take apart, before it is."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks = 0
        self._bytes = 0

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """The lines of a head, or of a trailer."""
        lines = super().maybe_extract_lines()
        self._chunks = self._bytes = 0
        if lines is not None and len(lines) > _MOST_HEADERS:
            raise h11.RemoteProtocolError(f"more than {_MOST_HEADERS} headers", 431)
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """The line in front of a chunk."""
        line = super().maybe_extract_next_line()
        self._chunks += line is not None
        if self._chunks > _CHUNKS + self._bytes // _CHUNK_BYTES:
            raise h11.RemoteProtocolError("chunks that are too small", 400)
        return line

    def maybe_extract_at_most(self, count: int) -> bytearray | None:
        """Bytes of a chunk."""
        data = super().maybe_extract_at_most(count)
        self._bytes += len(data or b"")
        return data


class _Joining:
    """A transport that sends the head of an answer with the beginning of its body, in one call of the kernel.

    A body follows at once, or the end of the message, which uvicorn writes as nothing.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send `data`, or keep it if it is the head of an answer."""
        if not self._head and data.startswith(_HEADS):
            self._head = data
            return
        head, self._head = self._head, b""
        self._transport.write(head + data)

    def close(self) -> None:
        """Send what is kept, and close."""
        self.write(b"")
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Limits(NamedTuple):
    head_seconds: float
    answer_seconds: float
    most: int


def connections(settings: Settings) -> type[H11Protocol]:
    """A protocol for uvicorn that keeps these bounds, and those of `settings`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = math.inf if soft == resource.RLIM_INFINITY else soft - BACKLOG - _OTHER_FILES
    most = max(1, int(min(settings.max_connections, files)))
    limits = _Limits(settings.body_seconds, settings.answer_seconds, most)

    class Bounded(_Bounded):
        bounds = limits

    return Bounded


class _Bounded(H11Protocol):
    bounds: _Limits
    _head_due: float | None = None
    _unsent_since: float | None = None
    _heard = 0.0
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", _Joining(transport)))
        # h11 has no other way to bound what it takes apart.
        self.conn._receive_buffer = _Received()
        self._heard = self.loop.time()
        self._head_due = self._heard + self.bounds.head_seconds
        self._look_again()
        if len(self.connections) > self.bounds.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and len(self.conn._receive_buffer):
            self._head_due = self._head_due or self._heard + self.bounds.head_seconds
        else:
            self._head_due = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            # An answer has begun, which cannot become another one.
            self.transport.abort()

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
        if self._head_due is not None and now > self._head_due:
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
        cycle: RequestResponseCycle | None = self.cycle
        asked = cycle is not None and not cycle.response_complete and not cycle.more_body
        return not asked or self.transport.get_write_buffer_size() > 0
