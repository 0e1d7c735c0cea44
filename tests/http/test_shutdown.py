"""A service that is told to stop finishes what it has accepted, takes nothing new, and ends with 0."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx

import chatstore
from tests.http.running import served

BODY = b'{"role":"user"}'
IN_FLIGHT = 8


def asked(base: str) -> socket.socket:
    """A connection whose request is under way: the service has asked for its body."""
    place = urlsplit(base)
    connection = socket.create_connection((place.hostname, place.port), timeout=20)
    connection.sendall(
        f"POST /v1/threads/t/messages HTTP/1.1\r\nHost: {place.netloc}\r\nExpect: 100-continue\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
    )
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    return connection


def answer(connection: socket.socket) -> bytes:
    heard = b""
    while more := connection.recv(65536):
        heard += more
    return heard


def refuses(base: str) -> bool:
    try:
        return httpx.get(f"{base}/healthz").status_code != 200
    except httpx.TransportError:
        return True


def test_what_was_accepted_is_finished(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    with served(url) as (base, process):
        connections = [asked(base) for _ in range(IN_FLIGHT)]
        process.send_signal(signal.SIGTERM)
        until = time.monotonic() + 10
        while not refuses(base):
            assert time.monotonic() < until
        for connection in connections:
            connection.sendall(BODY)
        for connection in connections:
            assert answer(connection).startswith(b"HTTP/1.1 201 ")
            connection.close()
        assert process.wait(10) == 0
    with chatstore.connect(url) as store:
        assert len(store.read("t")) == IN_FLIGHT


def test_what_does_not_end_is_given_up_within_the_grace(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    with served(url, CHATSTORE_GRACE_SECONDS="1") as (base, process), asked(base):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_writer_is_finished_even_while_another_process_holds_the_file(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    with served(f"sqlite:///{file}") as (base, process):
        httpx.post(f"{base}/v1/threads/t/messages", json={"role": "user"})
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with asked(base) as connection:
            connection.sendall(BODY)
            process.send_signal(signal.SIGTERM)
            while not refuses(base):
                assert process.poll() is None
            other.execute("COMMIT")
            other.close()
            assert answer(connection).startswith(b"HTTP/1.1 201 ")
        assert process.wait(10) == 0


def test_a_head_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with served(f"sqlite:///{tmp_path}/chat.db", CHATSTORE_BODY_SECONDS="1") as (base, _):
        place = urlsplit(base)
        for sent in (b"", b"GET /healthz HTTP/1.1\r\nHost: "):
            with socket.create_connection((place.hostname, place.port), timeout=20) as slow:
                slow.sendall(sent)
                assert answer(slow) == b""
        with socket.create_connection((place.hostname, place.port), timeout=20) as long:
            head = f"GET /healthz HTTP/1.1\r\nHost: {place.netloc}\r\nX-Long: "
            long.sendall(head.encode() + b"x" * 100_000)
            assert long.recv(100).startswith(b"HTTP/1.1 4")
        assert httpx.get(f"{base}/healthz").status_code == 200
