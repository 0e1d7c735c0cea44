"""moto's DynamoDB as a server that does one thing at a time.

Stock moto lets conditional writes of large items race, and loses writes beside transactions that fail.
It also spends most of its time on three things that `hasten` spares it; no answer changes.
"""

from __future__ import annotations

import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import moto.backends
from moto.core.serialize import AttributePicker, AttributePickerContext
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import create_environ, run_wsgi_app


class Server(ThreadingHTTPServer):
    """moto at an address."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), OneAtATime)
        self.app = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()


class OneAtATime(BaseHTTPRequestHandler):
    """Answers whole requests under one lock, and keeps connections: moto's server makes one for each."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server  # type: ignore[mutable-override]  # as every handler of http.server has it

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        environ = create_environ(
            self.path,
            f"http://{self.headers['Host']}",
            method=self.command,
            headers=self.headers.items(),
            data=body,
        )
        with self.server.lock:
            chunks, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
        content = b"".join(chunks)
        self.send_response_only(int(status.partition(" ")[0]))
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815 - as http.server wants


def hasten() -> None:
    """Have moto look neither for its modules nor for other spellings, and sort one partition at a time."""
    modules = tuple(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: modules

    pick, query, all_items = AttributePicker.__call__, Table.query, Table.all_items
    partition: list[DynamoType] = []

    def picked(self: AttributePicker, context: AttributePickerContext) -> Any:
        if type(context.obj) is dict and not self.response_transformers:
            return context.obj.get(context.key)
        return pick(self, context)

    def queried(self: Table, hash_key: DynamoType, *args: Any, **kwargs: Any) -> Any:
        partition.append(hash_key)
        try:
            return query(self, hash_key, *args, **kwargs)
        finally:
            partition.clear()

    def items(self: Table) -> list[Item]:
        if not partition:
            return all_items(self)
        return list(self.items[partition[0]].values()) if partition[0] in self.items else []

    AttributePicker.__call__ = picked  # type: ignore[method-assign]
    Table.query = queried  # type: ignore[assignment, method-assign]
    Table.all_items = items  # type: ignore[method-assign]


def main() -> None:
    logging.disable(logging.CRITICAL)
    hasten()
    Server(int(sys.argv[1])).serve_forever()


if __name__ == "__main__":
    main()
