"""What clients may do with connections to ``chatstore serve``: a bound on each, and on their number."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from chatstore.http.logs import ACCESS, Throttle
from tests.http.running import served

PATH = "/v1/threads/t/messages"
CONNECTIONS = 8


class Service:
    def __init__(self, base: str, pid: int) -> None:
        self.base = base
        self._pid = pid

    def connect(self) -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", urlsplit(self.base).port or 0))
        return client

    def sockets(self) -> int:
        found = 0
        for file in Path(f"/proc/{self._pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += str(file.readlink()).startswith("socket:")
        return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/chat.db"
    bounds = {"CHATSTORE_ANSWER_SECONDS": "1", "CHATSTORE_MAX_CONNECTIONS": str(CONNECTIONS)}
    with served(url, **bounds) as (base, process):
        for _ in range(2):
            httpx.post(base + PATH, json={"role": "user", "content": "x" * 2_000_000})
        yield Service(base, process.pid)


def reaches(ask: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether something is so in the end."""
    until = time.monotonic() + seconds
    while not ask():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_an_answer_that_nobody_takes_is_given_up(service: Service) -> None:
    before = service.sockets()
    requests = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 3
    with contextlib.ExitStack() as opened:
        for _ in range(CONNECTIONS // 2):
            opened.enter_context(service.connect()).sendall(requests)
        assert reaches(lambda: service.sockets() > before)
        # None of them reads or closes, and still:
        assert reaches(lambda: service.sockets() <= before)
    assert httpx.get(f"{service.base}{PATH}?last=1").status_code == 200


def test_one_connection_more_takes_the_place_of_one_that_does_nothing(service: Service) -> None:
    before = service.sockets()
    with contextlib.ExitStack() as opened:
        idle = [opened.enter_context(service.connect()) for _ in range(4 * CONNECTIONS)]
        idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle[-1].recv(1000).startswith(b"HTTP/1.1 200")
        assert httpx.get(f"{service.base}/healthz").status_code == 200
        assert service.sockets() <= before + CONNECTIONS
        # Those that waited longest are those that are gone.
        with contextlib.suppress(ConnectionResetError):
            assert idle[0].recv(1000) == b""


@pytest.mark.parametrize("answered", [False, True])
def test_framing_that_breaks_the_rules_ends_the_connection(service: Service, answered: bool) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: {'example.org' if answered else 'localhost'}\r\n"
    with service.connect() as client:
        client.sendall(f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            client.sendall(b"1\r\n \r\n" * 300)
            heard = b""
            while more := client.recv(65536):
                heard += more
            # Where it is answered before all is there, the rest does not become another answer.
            assert heard.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400") if answered else b"HTTP/1.1 400")
            assert heard.count(b"HTTP/1.1") == 1
    assert httpx.get(f"{service.base}/healthz").status_code == 200


def test_what_the_server_says_again_and_again_is_written_a_few_times() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])

    def written(name: str, message: str, count: int) -> list[str]:
        records = [logging.LogRecord(name, 30, "", 0, message, (), None) for _ in range(count)]
        return [record.getMessage() for record in records if throttle.filter(record)]

    assert written("uvicorn.error", "bad", 1000) == ["bad"] * 10
    assert written("uvicorn.error", "worse", 3) == ["worse"] * 3
    assert written(ACCESS, "GET", 100) == ["GET"] * 100
    now[0] = 60.0
    assert written("uvicorn.error", "bad", 2) == ["bad (and 990 times before)", "bad"]
