"""moto's DynamoDB as a server that does one thing at a time.

Stock moto lets conditional writes of large items race, and loses writes beside transactions that fail.
It also spends most of its time on three things that `hasten` spares it; no answer changes.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import moto.backends
from moto.core.serialize import AttributePicker, AttributePickerContext
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class OneAtATime:
    """Answers whole requests under one lock."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        with self._lock:
            return list(self._app(environ, start_response))


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *args: Any) -> None:
        """Say nothing."""


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
    app = OneAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=Quiet)
    server.serve_forever()


if __name__ == "__main__":
    main()
