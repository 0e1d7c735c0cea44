"""HTTP as ``chatstore serve`` reads it: requests, which httptools takes apart.

httptools is quick, and takes more than it should. Here a request's head has at most so many lines and
bytes, and all that it holds fits the framing that RFC 9112 asks for. Chunks need a size on average. What is
in front of them, and trailers, take no more than a head and the body's own bytes. Whatever breaks a rule is
400 and ends the connection, but requests that came before are answered first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from chatstore.cli.answering import Cycle

__all__ = ["Http"]

_Headers = Sequence[tuple[bytes, bytes]]

_HEAD_BYTES = 64 * 1024
_MOST_HEADERS = 256
_CHUNKS, _CHUNK_BYTES = 256, 256
"""A body may come in so many chunks of any size, and in more where they have as many bytes on average."""

_END = b"\r\n\r\n"
_PIECE_BYTES = 512
"""About how many bytes of requests are taken apart before the ones in front of them are answered."""

_READ_BYTES = 64 * 1024
"""How much is read at once. asyncio's own size is one for which malloc asks the kernel, at each read."""

_INVALID = "Invalid HTTP request received."


class _Broken(Exception):
    """What a client sent breaks a rule."""


class Http(HttpToolsProtocol):
    """A connection: takes requests, and answers them in their order."""

    _coming: Cycle
    """The request that came last; `cycle` is the one that is answered, or was last."""

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

    @property
    def answering(self) -> bool:
        """Whether a request is being answered."""
        cycle = cast("Cycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete and not cycle.disconnected

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to read."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_BYTES

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._later += data
        self._take()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take nothing more."""
        self._over = True
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin with the next request, if there is one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start(cast("Cycle", self.pipeline.pop()[0]))
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
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Broken):
                raise
            self._refuse()
        except (httptools.HttpParserError, _Broken):
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
        if self._over:
            return
        self.logger.warning(_INVALID)
        self._over = True
        if self._in_body:
            if self._coming.response_started:
                # An answer has begun, which cannot become another one.
                self.transport.close()
                return
            self._coming.disconnected = True
            self._coming.message_event.set()
            if self.pipeline:
                self.pipeline.popleft()
        self._invalid = self.answering
        if not self._invalid:
            self.send_400_response(_INVALID)

    def _start(self, cycle: Cycle) -> None:
        self.cycle = cycle
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
        if not _is_sound(version, self.headers):
            raise _Broken
        if len(self.url) + sum(map(len, chain.from_iterable(self.headers))) > _HEAD_BYTES:
            raise _Broken
        raw_path, _, self.scope["query_string"] = self.url.partition(b"?")
        self.scope["raw_path"] = self.root_path.encode("ascii") + raw_path
        self.scope["path"] = self.root_path + unquote(raw_path.decode("ascii"))
        current = version == "1.1"
        self._coming = Cycle(
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
        if self.answering:
            self.flow.pause_reading()
            self.pipeline.appendleft((self._coming, self.app))
        else:
            self._start(self._coming)

    def on_chunk_header(self) -> None:
        """Chunks that are too small take long."""
        self._chunks += 1
        if self._chunks > _CHUNKS + self._body_bytes // _CHUNK_BYTES:
            raise _Broken

    def on_body(self, body: bytes) -> None:
        """Bytes of a body, which are dropped where the answer is there."""
        self._read -= len(body)
        self._body_bytes += len(body)
        if not self._coming.response_complete:
            self._coming.body += body
            if len(self._coming.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            self._coming.message_event.set()

    def on_message_complete(self) -> None:
        """Tell the request that its body is there."""
        if not self._in_body:
            return
        self._in_body = False
        self._framing = self._read = 0
        self._over = not self._coming.keep_alive
        self._coming.more_body = False
        self._coming.message_event.set()


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
