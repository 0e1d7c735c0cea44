"""HTTP as ``chatstore serve`` speaks it: requests taken apart by httptools, and answers put together.

httptools is quick, and takes more than it should. Here a request's head has at most so many lines and
bytes, and all that it holds fits the framing that RFC 9112 asks for. Chunks need a size on average. What is
in front of them, and trailers, take no more than a head and the body's own bytes. Whatever breaks a rule is
400 and ends the connection, but requests that came before are answered first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

__all__ = ["Wire"]

_Headers = Sequence[tuple[bytes, bytes]]

_HEAD_BYTES = 64 * 1024
_MOST_HEADERS = 256
_CHUNKS, _CHUNK_BYTES = 256, 256
"""A body may come in so many chunks of any size, and in more where they have as many bytes on average."""

_END = b"\r\n\r\n"
_PIECE_BYTES = 512
"""About how many bytes of requests are taken apart before the ones in front of them are answered."""

_INVALID = "Invalid HTTP request received."
_WITHOUT_BODY = frozenset({204, 304})


class _Broken(Exception):
    """What a client sent breaks a rule."""


class _Cycle(RequestResponseCycle):
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
        elif message["type"] == "http.response.body" and not self.response_complete:
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


class Wire(HttpToolsProtocol):
    """A connection: takes requests, and answers them in their order."""

    active: _Cycle | None = None
    """The request that is being answered, or was last; uvicorn's `cycle` is the one that came last."""

    _over = False
    _invalid = False
    _in_body = False
    _later = b""
    _read = _framing = _chunks = _body_bytes = 0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn's own takes what follows a request that closes its connection.
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._later += data
        self._take()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered."""
        self._over = True
        if self.active is not None and not self.active.response_complete:
            _hang_up(self.active)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin with the next request, if there is one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start(cast("_Cycle", self.pipeline.pop()[0]))
        elif self._invalid:
            self.send_400_response(_INVALID)
        if self._later:
            self.loop.call_soon(self._take)

    def _take(self) -> None:
        """Give the parser what came, until a request waits for the one before it."""
        while self._later and not self.pipeline and not self._over:
            end = self._later.find(_END, _PIECE_BYTES)
            end = len(self._later) if end < 0 else end + len(_END)
            piece, self._later = self._later[:end], self._later[end:]
            self._parse(piece)
        if self._over:
            self._later = b""
        elif self._later:
            self.flow.pause_reading()

    def _parse(self, piece: bytes) -> None:
        self._read = len(piece)
        try:
            self.parser.feed_data(piece)
            self._framing += max(0, self._read)
            if self._framing > _HEAD_BYTES + self._body_bytes:
                raise _Broken
        except httptools.HttpParserUpgrade as upgrade:
            if not self._over:
                self._without_upgrade(piece[upgrade.args[0] :])
        except (httptools.HttpParserError, _Broken) as error:
            if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(
                error.__context__, _Broken
            ):
                self.logger.error("A request could not be taken apart.", exc_info=error)
            if not self._over:
                self._refuse()

    def _without_upgrade(self, rest: bytes) -> None:
        """Take a request as if it asked for no other protocol, as a server may; llhttp would take no body."""
        self.parser = httptools.HttpRequestParser(self)
        self._framing = 0
        lines = [name + b":" + value for name, value in self.headers if name != b"upgrade"]
        version = self.scope["http_version"].encode()
        first = b"%b %b HTTP/%b" % (self.scope["method"].encode(), self.url, version)
        self._later = b"\r\n".join((first, *lines, b"", rest)) + self._later

    def _refuse(self) -> None:
        """Take nothing more, and say why once all that came before is answered."""
        self.logger.warning(_INVALID)
        self._over = True
        if self._in_body:
            broken = cast("_Cycle", self.cycle)
            if broken.response_started:
                # An answer has begun, which cannot become another one.
                self.transport.close()
                return
            _hang_up(broken)
            if self.pipeline:
                self.pipeline.popleft()
        self._invalid = _is_open(self.active)
        if not self._invalid:
            self.send_400_response(_INVALID)

    def _start(self, cycle: _Cycle) -> None:
        self.active = cycle
        task = self.loop.create_task(cycle.run_asgi(self.app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Nothing follows a request that closes the connection."""
        if self._over:
            raise _Broken
        super().on_message_begin()
        self._chunks = self._body_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self.headers.append((name.lower(), value.rstrip(b" \t")))
        if len(self.headers) > _MOST_HEADERS:
            raise _Broken

    def on_headers_complete(self) -> None:
        """Begin with the request, unless another one is being answered."""
        version, method = self.parser.get_http_version(), self.parser.get_method()
        self.scope["method"], self.scope["http_version"] = method.decode("ascii"), version
        connect = method == b"CONNECT"
        if self.parser.should_upgrade() and not connect:
            return
        if not self.url.isascii() or not _is_sound(version, self.headers):
            raise _Broken
        if self._framing + self._read > _HEAD_BYTES and _size(self.url, self.headers) > _HEAD_BYTES:
            raise _Broken
        raw_path, _, self.scope["query_string"] = self.url.partition(b"?")
        self.scope["raw_path"] = self.root_path.encode("ascii") + raw_path
        self.scope["path"] = self.root_path + unquote(raw_path.decode("ascii"))
        current = version == "1.1"
        cycle = _Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=current and _awaits_continue(self.headers),
            keep_alive=current and not connect and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        # Trailers come to a list that nobody reads.
        self.headers = []
        self._in_body = True
        self.cycle = cycle
        if _is_open(self.active):
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        else:
            self._start(cycle)

    def on_chunk_header(self) -> None:
        """Chunks that are too small take long."""
        self._chunks += 1
        if self._chunks > _CHUNKS + self._body_bytes // _CHUNK_BYTES:
            raise _Broken

    def on_body(self, body: bytes) -> None:
        """Bytes of a body, which are dropped where the answer is there."""
        self._read -= len(body)
        self._body_bytes += len(body)
        if not self.cycle.response_complete:
            self.cycle.body += body
            if len(self.cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Tell the request that its body is there."""
        if not self._in_body:
            return
        self._in_body = False
        self._framing = self._read = 0
        self._over = not self.cycle.keep_alive
        self.cycle.more_body = False
        self.cycle.message_event.set()


def _is_open(cycle: _Cycle | None) -> bool:
    """Whether there is a request that is not answered yet, and whose client waits for that."""
    return cycle is not None and not cycle.response_complete and not cycle.disconnected


def _hang_up(cycle: RequestResponseCycle) -> None:
    cycle.disconnected = True
    cycle.message_event.set()


def _is_sound(version: str, headers: _Headers) -> bool:
    """Whether a head has one meaning: a known version, one host, and chunks or a length, said once."""
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if version not in ("1.1", "1.0") or hosts > 1 or (version == "1.1" and not hosts):
        return False
    return b"transfer-encoding" not in names or [
        value.lower() for name, value in headers if name == b"transfer-encoding"
    ] == [b"chunked"]


def _awaits_continue(headers: _Headers) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def _size(target: bytes, headers: _Headers) -> int:
    return len(target) + sum(len(name) + len(value) + len(": \r\n") for name, value in headers)
