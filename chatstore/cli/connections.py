"""Connections that do not wait for ever for a request: uvicorn itself has no bound on a slow head."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["hurried"]


def hurried(seconds: float) -> type[H11Protocol]:
    """A protocol for uvicorn that closes a connection whose request's head is not there in `seconds`."""

    class Hurried(H11Protocol):
        _hurry: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._hurry = self.loop.call_later(seconds, transport.close)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
            if not begun:
                self._relax()
            elif self._hurry is None:
                self._hurry = self.loop.call_later(seconds, self.transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._relax()
            super().connection_lost(exc)

        def _relax(self) -> None:
            if self._hurry is not None:
                self._hurry.cancel()
                self._hurry = None

    return Hurried
