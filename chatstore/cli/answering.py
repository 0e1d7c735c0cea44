"""Answers of ``chatstore serve`` over HTTP, as bytes."""

from __future__ import annotations

from collections.abc import Iterable

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

__all__ = ["Cycle"]

_WITHOUT_BODY = frozenset({204, 304})


class Cycle(RequestResponseCycle):
    """A request and its answer: the head goes with the beginning of the body, in one call of the kernel."""

    _head = b""
    _left: int | None = None
    _silent = False

    async def send(self, message: ASGISendEvent) -> None:
        """Send the next part of the answer."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start" and not self.response_started:
            self._begin(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body" and self.response_started != self.response_complete:
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"{message['type']} has no place here in an answer")

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        self.waiting_for_100_continue = closing = False
        lines, count = [STATUS_LINE[status]], 2
        for name, value in (*self.default_headers, *headers):
            if name == b"content-length":
                self._left = int(value)
            elif name == b"connection" and value.lower() == b"close":
                self.keep_alive, closing = False, True
            lines += name, b": ", value, b"\r\n"
            count += 1
        self._silent = self.scope["method"] == "HEAD" or status in _WITHOUT_BODY
        if self._left is None and not self._silent:
            # HTTP/1.0 knows no chunks: the end of the connection is that of the answer.
            self.chunked_encoding = self.scope["http_version"] != "1.0"
            if self.chunked_encoding:
                lines.append(b"transfer-encoding: chunked\r\n")
                count += 1
        if not self.keep_alive and not closing:
            lines.append(b"connection: close\r\n")
            count += 1
        head = b"".join((*lines, b"\r\n"))
        if not head.count(b"\r") == head.count(b"\n") == count or b"\0" in head:
            raise RuntimeError("a header of an answer is one line")
        self._head = head

    def _go_on(self, body: bytes, *, more: bool) -> None:
        head, self._head = self._head, b""
        if self._silent:
            body, self._left = b"", None
        elif self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body += b"" if more else b"0\r\n\r\n"
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("an answer has as many bytes as its head says")
        self.transport.write(head + body)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()
