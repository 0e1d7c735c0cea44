"""A server in front of what answers one request at a time, such as a function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Answered(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


Answering = Callable[[str, str, bytes | None, Mapping[str, str]], Answered]
"""What answers a method, a path with its query, a body and headers."""


@contextmanager
def gateway(answer: Answering) -> Iterator[str]:
    """The address of a server that hands each request on."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Callable[[], None]:
            if not name.startswith("do_"):
                raise AttributeError(name)
            return self._serve

        def _serve(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length) if length else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            answered = answer(self.command, self.path, body, headers)
            self.send_response(answered.status)
            for name, value in answered.headers.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answered.body)))
            # Whoever stands between may end the connection, and a client must not count on it.
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(answered.body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
