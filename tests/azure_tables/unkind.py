"""An unkind Azurite: a loopback proxy before it that does what the services may and Azurite never does.

Pages end early, or are empty with a token; rows come in any order where the service promises none;
requests are throttled; Cosmos DB's limits hold. Beyond that, `faults` are done to the next requests.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import re
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

FAULTS = ("drop before", "drop after", "late", "twice", "412", "429", "500", "500 after", "503", "malformed")
"""What can be done to a request; "empty page" besides, to a query, and what `_CODES` names."""

_CODES = {
    "403": "AuthorizationPermissionMismatch",
    "404": "",
    "409 deleting": "TableBeingDeleted",
    "412": "UpdateConditionNotSatisfied",
    "429": "TooManyRequests",
    "500": "InternalError",
    "503": "ServerBusy",
}
"""How a request is refused, and what the service calls it; nothing where what answers is no such service."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
_RESERVED = {"id", "etag", "rid", "ResourceId"}
_ENTITY = {False: 1024 * 1024, True: 2 * 1024 * 1024}
_GROUP = {False: 4 * 1024 * 1024, True: 2 * 1024 * 1024}
_INNER = re.compile(rb"\r\n\r\n(\{.*?\})\r\n", re.DOTALL)
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
_Answer = tuple[int, dict[str, str], bytes]


class Unkind(ThreadingHTTPServer):
    """Use it with ``with``; `endpoint` is what the backend is given."""

    daemon_threads = False

    def __init__(
        self,
        upstream: str,
        *,
        cosmos: bool = False,
        cuts: float = 0.0,
        throttles: float = 0.0,
        losses: float = 0.0,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.endpoint = f"http://127.0.0.1:{self.server_port}{self.upstream.path}"
        self.cosmos = cosmos
        self.cuts = cuts
        self.throttles = throttles
        self.losses = losses
        self.chance = random.Random(0)
        self.retry_after = {"x-ms-retry-after-ms": "2"}
        """What a refused request is told."""
        self.faults: list[str | None] = []
        """What is done to the next requests, in their order; None is nothing."""
        self.late: list[Callable[[], object]] = []
        self.requests: list[str] = []
        self.rests: dict[str, list[Any]] = {}
        self.tokens = itertools.count(1)
        self.connections: set[socket.socket] = set()
        self.opened = 0
        """How many connections there were."""
        self.gate: threading.Barrier | None = None
        """Where requests wait for each other before they go on."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    def __enter__(self) -> Unkind:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def deliver(self) -> None:
        """Let the late requests arrive."""
        while self.late:
            self.late.pop(0)()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no fault of the proxy's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Unkind  # type: ignore[mutable-override]  # as every handler of http.server has it
    upstream: http.client.HTTPConnection | None = None

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)
        self.server.opened += 1

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        if self.upstream is not None:
            self.upstream.close()
        super().finish()

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.gate is not None:
            self.server.gate.wait()
        self.server.requests.append(f"{self.command} {urlsplit(self.path).path}")
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault == "412" and self.command == "GET":
            fault = None  # a query has no condition
        if fault is None and self.server.chance.random() < self.server.throttles:
            fault = "429"
        if fault is None and self.server.chance.random() < self.server.losses:
            fault = "drop after"
        if fault == "late":
            self.server.late.append(lambda: self._forward_late(body))
        if fault in {"late", "drop before"}:
            self.close_connection = True
            return
        if fault in _CODES:
            status, code = fault.partition(" ")[0], _CODES[fault]
            self._answer(_problem(int(status), code, self.server.retry_after))
            return
        answer = self._too_much(body) or self._forward(body)
        if fault == "twice":
            answer = self._forward(body)
        if fault == "drop after":
            self.close_connection = True
        elif fault == "500 after":
            self._answer(_problem(500, "InternalError"))
        elif fault == "malformed":
            self._answer((answer[0], answer[1], answer[2][: len(answer[2]) // 2]))
        else:
            self._answer(self._cut(answer, empty=fault == "empty page"))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_MERGE = handle_any  # noqa: N815 - as http.server wants

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server has it
        """Nothing."""

    def _forward(self, body: bytes, path: str | None = None) -> _Answer:
        while True:
            connection, fresh = self.upstream, self.upstream is None
            if connection is None:
                host, port = self.server.upstream.hostname or "", self.server.upstream.port
                self.upstream = connection = http.client.HTTPConnection(host, port)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            try:
                connection.request(self.command, path or self.path, body, headers)
                response = connection.getresponse()
                kept = {name: value for name, value in response.getheaders() if name.lower() not in _HOP}
                return response.status, kept, response.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                self.upstream = None
                if fresh:
                    raise

    def _forward_late(self, body: bytes) -> None:
        self._forward(body)
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None

    def _answer(self, answer: _Answer) -> None:
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.server.cosmos:
            self.send_header("x-ms-request-charge", "1.25")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _too_much(self, body: bytes) -> _Answer | None:
        """What the service refuses and Azurite takes."""
        cosmos = self.server.cosmos
        entities = [json.loads(found) for found in _INNER.findall(body + b"\r\n")] if b"batch" in body else []
        if not entities and body.startswith(b"{"):
            entities = [json.loads(body)]
        for entity in entities:
            sizes = [len(json.dumps(value)) for value in entity.values()]
            if sum(sizes) * 3 // 4 > _ENTITY[cosmos] or (cosmos and _RESERVED & set(entity)):
                return _problem(400)
            keys = [entity.get("PartitionKey", ""), entity.get("RowKey", "")]
            if any(
                len(key.encode()) > (255 if cosmos else 1024) or set(key) & set("/\\#?\t\n\r") for key in keys
            ):
                return _problem(400)
        if len(body) > _GROUP[cosmos] or len(entities) > 100:
            return _problem(413)
        return None

    def _cut(self, answer: _Answer, *, empty: bool) -> _Answer:
        """A page as the service might have cut it, and in the order that it might have."""
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        if self.command != "GET" or answer[0] != 200 or not parts.path.endswith("()"):
            return answer
        server = self.server
        if not (
            empty or server.cosmos or server.cuts or query.get("NextPartitionKey", "").startswith("cut-")
        ):
            return answer
        most = int(query.get("$top", 1000))
        form = json.loads(answer[2])
        given = query.get("NextPartitionKey", "")
        if given.startswith("cut-"):
            rows = server.rests.pop(given)
        else:
            rows = self._all(parts.path, query)
            if server.cosmos:
                server.chance.shuffle(rows)
        if empty:
            most = 0
        elif server.chance.random() < server.cuts:
            most = server.chance.randint(0, min(most, max(len(rows) - 1, 0)))
        form["value"], rest = rows[:most], rows[most:]
        headers = {name: value for name, value in answer[1].items() if "continuation" not in name.lower()}
        if rest or empty:
            token = f"cut-{next(server.tokens)}"
            server.rests[token] = rest
            headers |= {"x-ms-continuation-NextPartitionKey": token, "x-ms-continuation-NextRowKey": "0"}
        return answer[0], headers, json.dumps(form).encode()

    def _all(self, path: str, query: dict[str, str]) -> list[Any]:
        """Every row of a query."""
        rows: list[Any] = []
        asked = {name: value for name, value in query.items() if name != "$top"}
        while True:
            _, headers, body = self._forward(b"", f"{path}?{urlencode(asked)}")
            rows += json.loads(body)["value"]
            names = {name.lower(): value for name, value in headers.items()}
            if "x-ms-continuation-nextpartitionkey" not in names:
                return rows
            asked["NextPartitionKey"] = names["x-ms-continuation-nextpartitionkey"]
            asked["NextRowKey"] = names.get("x-ms-continuation-nextrowkey", "")


def _problem(status: int, code: str = "InvalidInput", told: Mapping[str, str] = _NOTHING) -> _Answer:
    error = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": "no"}}}
    body = json.dumps(error).encode() if code else b"<html>no</html>"
    return status, {"Content-Type": "application/json" if code else "text/html", **told}, body
