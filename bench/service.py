"""``python -m bench service [ROUNDS [SECONDS [PARSER]]]``: the service beside the smallest one by hand.

Both are Starlette applications under uvicorn, each in a process with an SQLite file of its own, and take
turns in every round, over the same rows. The one by hand, `bench.floor`, is the floor: it splices what is
stored into its answers, in the event loop, and has no checks, conditions, retries, expiry, limits, log or
identity. Its requests are read by h11, which uvicorn brings along; with ``httptools`` as PARSER they are read
by that, as those of ``chatstore serve`` are.

A ratio is the median of the rounds' ratios. CPU is a server's own, in its code and in the kernel's: a crowded
machine changes it least.
"""

from __future__ import annotations

import json
import os
import platform
import re
import selectors
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import chatstore
from bench import workload

CONNECTIONS = 16
LAST = 20
PAGE = 1000
SECONDS = 1.0
ROUNDS = 9
FORMS = ("chatstore", "by hand")
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_TICKS = os.sysconf("SC_CLK_TCK")


class Operation(NamedTuple):
    """A request as it is sent, by how many connections at once, and the ratio that is the goal."""

    name: str
    request: bytes
    connections: int
    goal: str


def _request(method: str, target: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        "Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
    )
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


TURN = json.dumps([workload.message(0), workload.message(1)]).encode()
OPERATIONS = (
    Operation(
        "append a turn", _request("POST", "/v1/threads/grows/messages", TURN), CONNECTIONS, "rate 0.65"
    ),
    Operation("last 20", _request("GET", f"/v1/threads/t/messages?last={LAST}"), CONNECTIONS, "rate 0.75"),
    Operation("page of 1,000", _request("GET", f"/v1/threads/t/messages?limit={PAGE}"), 1, "CPU 1.5"),
)


class Load:
    """Connections that each send a request as soon as the answer to the one before is there."""

    def __init__(self, port: int, count: int) -> None:
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        self._selector = selectors.DefaultSelector()
        for each in self._sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(each, selectors.EVENT_READ)

    def run(self, request: bytes, seconds: float) -> tuple[int, float]:
        """How many requests were answered, and in how many seconds."""
        began, answered = time.perf_counter(), 0
        waiting = {each: bytearray() for each in self._sockets}
        for each in waiting:
            each.sendall(request)
        while waiting:
            for key, _ in self._selector.select():
                each = cast("socket.socket", key.fileobj)
                held = waiting[each]
                held += each.recv(1 << 20)
                if not _whole(held):
                    continue
                assert held.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")), bytes(held[:500])
                answered += 1
                if time.perf_counter() - began < seconds:
                    held.clear()
                    each.sendall(request)
                else:
                    del waiting[each]
        return answered, time.perf_counter() - began

    def close(self) -> None:
        for each in self._sockets:
            each.close()
        self._selector.close()


def _whole(held: bytearray) -> bool:
    end = held.find(b"\r\n\r\n")
    found = _LENGTH.search(held, 0, end) if end >= 0 else None
    return found is not None and len(held) >= end + 4 + int(found[1])


def _cpu_seconds(process: int) -> float:
    """What a process has used so far, in its own code and in the kernel's."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def _running(form: str, path: str, parser: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = {
        "chatstore": ["chatstore", "serve", "--port", str(port), "--url", f"sqlite:///{path}"],
        "by hand": ["bench.floor", str(port), path, parser],
    }[form]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHATSTORE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=Path(__file__).parents[1],
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, f"{form} did not start"
                time.sleep(0.05)
        yield process, port
    finally:
        process.terminate()
        process.wait()


def _filled(folder: str, form: str) -> str:
    path = f"{folder}/{form.replace(' ', '-')}.db"
    with chatstore.connect(f"sqlite:///{path}") as store:
        for number in range(0, PAGE, 2):
            store.append("t", workload.message(number), workload.message(number + 1))
        store.append("grows", workload.message(0))
    return path


def measured(rounds: int, seconds: float, parser: str) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Requests a second, and microseconds of CPU for one, by operation and form, of each round."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {form: _filled(folder, form) for form in FORMS}
        with ExitStack() as running:
            servers = {form: running.enter_context(_running(form, paths[form], parser)) for form in FORMS}
            for number in range(-1, rounds):
                for operation in OPERATIONS:
                    for form, (process, port) in servers.items():
                        load = Load(port, operation.connections)
                        before = _cpu_seconds(process.pid)
                        answered, took = load.run(operation.request, seconds)
                        used = _cpu_seconds(process.pid) - before
                        load.close()
                        if number >= 0:
                            one = answered / took, used / answered * 1e6
                            found.setdefault((operation.name, form), []).append(one)
    return found


def main(arguments: list[str]) -> None:
    rounds = int(arguments[0]) if arguments else ROUNDS
    seconds = float(arguments[1]) if len(arguments) > 1 else SECONDS
    parser = arguments[2] if len(arguments) > 2 else "h11"
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; "
        f"{rounds} rounds of {seconds:g} s; chatstore on httptools, by hand on {parser}\n"
    )
    found = measured(rounds, seconds, parser)
    print(f"{'':14}{'':>12}{'requests a second':>26}{'CPU, us a request':>28}")
    print(f"{'':14}{'connections':>12}" + f"{'chatstore':>11}{'by hand':>9}{'ratio':>7}" * 2 + "   goal")
    for operation in OPERATIONS:
        told = f"{operation.name:14}{operation.connections:>12}"
        for measure in (0, 1):
            ours, hand = ([one[measure] for one in found[operation.name, form]] for form in FORMS)
            ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, hand, strict=True))
            told += f"{statistics.median(ours):>11,.0f}{statistics.median(hand):>9,.0f}{ratio:>7.2f}"
        print(f"{told}   {operation.goal}")
