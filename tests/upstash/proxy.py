"""Upstash's REST API before a real Redis, as https://upstash.com/docs/redis/features/restapi describes it.

A command is a JSON array, posted to ``/``; several are one of arrays, posted to ``/pipeline`` or, to be done
as one, to ``/multi-exec``. An answer is ``{"result": …}`` of 200, or ``{"error": …}`` of 400, or of 401 for a
wrong token; other methods are 405. With ``Upstash-Encoding: base64`` texts of results are base64, but for
``OK``. Arguments are text: JSON has no other. Faults are drawn by a seed, and some requests arrive late.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import redis

__all__ = ["TOKEN", "Proxy", "proxy_to"]

TOKEN: Final = "token-of-tests"
_LONGEST_DELAY = 40
_FATES: Final = (
    "lost",
    "answer lost",
    "late",
    "twice",
    "twice, once late",
    "busy",
    "busy though done",
    "garbled",
)


@dataclass
class _Late:
    """A request that is still under way: it arrives when so many others have been sent."""

    path: str
    body: bytes
    left: int


class Proxy:
    """What is done with requests. `share` of them have a fault, once that is not zero."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self.share = 0.0
        self.faults: Counter[str] = Counter()
        self.requests = 0
        self._redis = redis.Redis.from_url(url)
        self._chance = chance
        self._late: list[_Late] = []
        self._lock = threading.Lock()

    def carry(self, path: str, body: bytes) -> tuple[int, bytes] | None:
        """The answer to a request; None where the connection breaks off."""
        with self._lock:
            self.requests += 1
            self._arrive()
            fate = self._chance.choice(_FATES) if self._chance.random() < self.share else None
            if fate is None:
                return self.perform(path, body)
            self.faults[fate] += 1
            if fate == "busy":
                return 503, b"upstream connect error"
            answer = None if fate in ("lost", "late") else self.perform(path, body)
            if fate.startswith("twice"):
                answer = self.perform(path, body) if fate == "twice" else answer
            if "late" in fate:
                self._late.append(_Late(path, body, self._chance.randint(1, _LONGEST_DELAY)))
            if fate == "busy though done":
                return 500, b""
            if fate == "garbled":
                return 200, b'{"result":'
            return answer if fate.startswith("twice") else None

    def end(self) -> None:
        """Let arrive what is under way, and be faultless from now on."""
        with self._lock:
            self.share = 0.0
            for late in self._late:
                late.left = 1
            self._arrive()

    def close(self) -> None:
        """Give back the connections to the Redis."""
        self._redis.close()

    def billed(self) -> dict[str, int]:
        """How often the database ran each command so far, those in scripts too."""
        stats: dict[str, Any] = self._redis.info("commandstats")
        return {
            name.removeprefix("cmdstat_"): int(told["calls"])
            for name, told in stats.items()
            if name not in ("cmdstat_info", "cmdstat_ping", "cmdstat_hello", "cmdstat_client")
        }

    def perform(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Do what a request asks for."""
        commands = json.loads(body)
        if path == "/":
            answer = self._run(commands)
            return (400 if "error" in answer else 200), json.dumps(answer).encode()
        if path == "/pipeline":
            return 200, json.dumps([self._run(command) for command in commands]).encode()
        with self._redis.pipeline(transaction=True) as together:
            for command in commands:
                together.execute_command(*command)  # type: ignore[no-untyped-call]
            results = together.execute(raise_on_error=False)
        return 200, json.dumps([_told(one) for one in results]).encode()

    def _run(self, command: list[Any]) -> dict[str, Any]:
        assert all(isinstance(one, (str, int, float)) for one in command)
        try:
            return _told(self._redis.execute_command(*command))  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            return _told(error)

    def _arrive(self) -> None:
        for late in self._late:
            late.left -= 1
        arrived = [late for late in self._late if late.left <= 0]
        self._late = [late for late in self._late if late.left > 0]
        for late in arrived:
            self.perform(late.path, late.body)


@contextlib.contextmanager
def proxy_to(url: str, seed: int = 0) -> Iterator[tuple[Proxy, int]]:
    """A proxy to a Redis, and the port that it listens on."""
    proxy = Proxy(url, random.Random(seed))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._send(405, b'{"error":"ERR method not allowed"}')

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._send(401, b'{"error":"WRONGPASS invalid or missing auth token"}')
                return
            answer = proxy.carry(self.path, body)
            if answer is None:
                self.close_connection = True
                self.connection.close()
            else:
                self._send(*answer)

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield proxy, server.server_address[1]
        finally:
            server.shutdown()
            serving.join()
            proxy.close()


def _told(result: Any) -> dict[str, Any]:
    if isinstance(result, redis.RedisError):
        # The library cuts off the words that it makes classes of.
        word = "NOSCRIPT " if isinstance(result, redis.exceptions.NoScriptError) else ""
        return {"error": f"{word}{result}"}
    return {"result": _encoded(result)}


def _encoded(found: Any) -> Any:
    if isinstance(found, bytes):
        return "OK" if found == b"OK" else base64.b64encode(found).decode()
    return [_encoded(one) for one in found] if isinstance(found, list) else found
