"""How a request is framed: what is said before its body is asked for, its target, lengths, and ids."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Message

import chatstore
from chatstore.http.app import create_app
from chatstore.http.logs import ACCESS
from chatstore.settings import Settings
from tests.http.serving import serving

BODY = b'{"role":"user"}'
MESSAGES = "/v1/threads/t/messages"


def answers(address: str, data: bytes) -> list[int]:
    """The statuses that come until the connection is closed or nothing comes for a while."""
    place = urlsplit(address)
    received = b""
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(data)
        while not re.search(rb"HTTP/1.1 [^1]", received) and (more := connection.recv(65536)):
            received += more
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d{3}) ", received)]


def head(
    target: str, *lines: str, method: str = "POST", version: str = "1.1", host: str = "localhost"
) -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", f"Host: {host}", *lines, "", ""]).encode()


JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def asking() -> Iterator[str]:
    with serving(create_app(chatstore.aconnect("memory://"), Settings(auth="api-key"))) as base:
        yield base


@pytest.mark.parametrize("expect", [[], ["Expect: 100-continue"]], ids=["", "expect"])
@pytest.mark.parametrize(
    ("target", "host", "lines", "status"),
    [
        (MESSAGES, "localhost", (JSON, "Content-Length: 100001"), 413),
        (MESSAGES, "example.org", (JSON, "Content-Length: 15"), 421),
        (MESSAGES, "localhost", ("Content-Type: text/plain", "Content-Length: 15"), 415),
        (MESSAGES, "localhost", ("Content-Length: 15",), 415),
        ("/v1/threads", "localhost", ("Content-Type: text/plain", "Content-Length: 15"), 415),
        (MESSAGES, "localhost", (JSON, "Content-Encoding: gzip", "Content-Length: 15"), 415),
        (MESSAGES, "localhost", (JSON, "Idempotency-Key: a b", "Content-Length: 15"), 400),
        (f"{MESSAGES}?x=1", "localhost", (JSON, "Content-Length: 15"), 422),
        ("/nowhere", "localhost", (JSON, "Content-Length: 15"), 404),
        ("/healthz", "localhost", (JSON, "Transfer-Encoding: chunked"), 405),
    ],
)
def test_what_is_refused_anyway_is_refused_before_the_body_is_sent(
    address: str, target: str, host: str, lines: tuple[str, ...], status: int, expect: list[str]
) -> None:
    assert answers(address, head(target, *lines, *expect, host=host)) == [status]


def test_a_body_that_may_be_left_out_has_a_kind_from_its_first_byte_on(address: str) -> None:
    request = head("/v1/threads", "Content-Type: text/plain", "Transfer-Encoding: chunked")
    assert answers(address, request + b"2\r\n{}\r\n") == [415], "the end of it never comes"
    assert answers(address, request + b"0\r\n\r\n") == [201]


def test_who_shows_no_credential_is_not_told_to_go_on(asking: str) -> None:
    assert answers(asking, head(MESSAGES, JSON, "Content-Length: 15", "Expect: 100-continue")) == [401]


def test_what_is_welcome_is_told_to_go_on(address: str) -> None:
    request = head(MESSAGES, JSON, f"Content-Length: {len(BODY)}", "Expect: 100-continue") + BODY
    assert answers(address, request) == [100, 201]


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost:80/healthz", "localhost:80", 200),
        ("HTTP://127.0.0.1/v1/threads?limit=1", "localhost", 200),
        ("http://localhost", "localhost", 404),
        ("http://localhost/v1/threads/none", "localhost", 404),
        ("http://localhost/healthz", "example.org", 200),
        ("http://example.org/healthz", "localhost", 421),
        ("http://evil@localhost/healthz", "localhost", 421),
        ("ftp://localhost/healthz", "localhost", 404),
        ("*", "localhost", 404),
    ],
)
def test_a_target_may_name_its_host(address: str, target: str, host: str, status: int) -> None:
    assert answers(address, head(target, method="GET", host=host)) == [status]


def test_a_thread_is_written_by_its_whole_address(address: str, http: httpx.Client) -> None:
    request = head(
        "http://localhost/v1/threads/whole%3aaddress/messages", JSON, f"Content-Length: {len(BODY)}"
    )
    assert answers(address, request + BODY) == [201]
    assert http.get("/v1/threads/whole:address").status_code == 200


def test_http_1_0_knows_no_chunks(address: str) -> None:
    chunks = (
        head(MESSAGES, JSON, "Transfer-Encoding: chunked", version="1.0") + b"f\r\n" + BODY + b"\r\n0\r\n\r\n"
    )
    assert answers(address, chunks) == [400]
    assert answers(address, head(MESSAGES, JSON, f"Content-Length: {len(BODY)}", version="1.0") + BODY) == [
        201
    ]


def test_two_request_ids_are_one_too_many(http: httpx.Client, thread: str) -> None:
    message = {"role": "user"}
    for first, second, status in (("a", "b", 400), ("a", '"b"', 400), ("c", "c", 201), ("d", '"d"', 201)):
        headers = {"Idempotency-Key": first, "Repeatability-Request-ID": second}
        assert http.post(f"{thread}/messages", json=message, headers=headers).status_code == status
    assert len(http.get(f"{thread}/messages").json()["items"]) == 2
    twice = [("Idempotency-Key", "e"), ("Idempotency-Key", "f")]
    assert http.post(f"{thread}/messages", json=message, headers=twice).status_code == 400


def test_a_body_that_is_hung_up_on_is_no_failure_of_the_service(caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(chatstore.aconnect("memory://"))
    scope: dict[str, Any] = {
        "type": "http", "http_version": "1.1", "method": "PUT", "path": MESSAGES,
        "raw_path": MESSAGES.encode(), "query_string": b"", "root_path": "",
        "scheme": "http", "client": ("127.0.0.1", 1),
        "headers": [
            (b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"15"),
        ],
    }  # fmt: skip
    pieces: list[Message] = [
        {"type": "http.request", "body": BODY[:5], "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    with caplog.at_level(logging.INFO, logger=ACCESS):
        asyncio.run(app(scope, receive, send))
    lines = [record.fields for record in caplog.records if record.name == ACCESS]  # type: ignore[attr-defined]
    # A server of the tests before may still write of a POST.
    [line] = [line for line in lines if line["method"] == "PUT"]
    assert (line["status"], line["error"]) == (400, "cut-off")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
