"""The service in memory behind HTTP, for other processes: ``-m tests.tablestore.http_service PORT``."""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.tablestore.service import Service


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service = Service(time.time)

    def do_POST(self) -> None:
        """Answer one request of the SDK's."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        sent = {name: text for name, text in self.headers.items() if name.startswith("x-ots-")}
        sent["User-Agent"] = self.headers["User-Agent"]
        status, _, told, answer = self.service.send_receive(self.path, sent, body)
        self.send_response(status)
        for name, text in told.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Handler) as server:
        server.serve_forever()
