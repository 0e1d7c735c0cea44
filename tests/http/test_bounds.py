"""Bounds of time and number: a slow client or storage, and a crowd."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from chatstore import AsyncChatStore
from chatstore.backends.memory import MemoryBackend
from chatstore.contract import Span, ThreadKey
from chatstore.http.app import create_app
from chatstore.models import Message, Page
from chatstore.settings import Settings
from tests.http.serving import serving

PATH = "/v1/threads/t/messages"


class Hanging(MemoryBackend):
    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


class Stuck(MemoryBackend):
    """Reads once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Semaphore(0)
        self.go = threading.Event()

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        self.reached.release()
        await asyncio.to_thread(self.go.wait, 20)
        return await super().read(key, span)


def test_a_request_that_takes_too_long_is_given_up() -> None:
    settings = Settings(request_seconds=0.1)
    with (
        serving(create_app(AsyncChatStore(Hanging()), settings)) as base,
        httpx.Client(base_url=base) as http,
    ):
        late = http.get(PATH)
        assert (late.status_code, late.json()["code"]) == (503, "timed-out")
        assert late.headers["retry-after"] == "1"
        assert http.post(PATH, json={"role": "user"}).status_code == 201


@pytest.mark.parametrize("sent", [b"", b'{"role": '])
def test_a_slow_body_is_cut_off(sent: bytes) -> None:
    settings = Settings(body_seconds=0.1)
    with serving(create_app(AsyncChatStore(MemoryBackend()), settings)) as base:
        place = urlsplit(base)
        with socket.create_connection((place.hostname, place.port), timeout=20) as slow:
            head = f"POST {PATH} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
            slow.sendall(f"{head}Content-Length: 100\r\n\r\n".encode() + sent)
            heard = b""
            while more := slow.recv(65536):  # until the service closes
                heard += more
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"slow-body"' in heard


def test_beyond_the_most_at_once_nothing_is_begun_but_probes() -> None:
    backend = Stuck()
    app = create_app(AsyncChatStore(backend), Settings(max_concurrency=2))
    with serving(app) as base, httpx.Client(base_url=base) as http, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(httpx.get, base + PATH) for _ in range(2)]
        for _ in waiting:
            assert backend.reached.acquire(timeout=20)
        refused = http.post(PATH, json={"role": "user"})
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200
        backend.go.set()
        assert [one.result().json()["items"] for one in waiting] == [[], []]
        assert http.post(PATH, json={"role": "user"}).status_code == 201
