"""Requests byte for byte: which are answered, with what, and whether the connection goes on after them.

Behind each of them comes another request, and nothing but an answer to it shows that both were understood.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pytest
from starlette.types import Receive, Scope, Send

import chatstore
from chatstore.http.app import create_app
from tests.http.serving import serving

BODY = b'{"role":"user"}'
CHUNKED_BODY = b"f\r\n" + BODY + b"\r\n0\r\n\r\n"
GET, POST = b"GET /healthz HTTP/1.1", b"POST /v1/threads/t/messages HTTP/1.1"
HOST, JSON = b"Host: localhost", b"Content-Type: application/json"
LENGTH, CHUNKED = b"Content-Length: 15", b"Transfer-Encoding: chunked"
CLOSE, UPGRADE = b"Connection: close", b"Connection: Upgrade\r\nUpgrade: h2c"


def get(*lines: bytes, first: bytes = GET) -> bytes:
    return b"\r\n".join([first, HOST, *lines, b"", b""])


def post(*lines: bytes, body: bytes = BODY, first: bytes = POST) -> bytes:
    return b"\r\n".join([first, HOST, JSON, *lines, b"", b""]) + body


def chunked(body: bytes, *lines: bytes) -> bytes:
    return post(CHUNKED, *lines, body=body)


LAST = get(CLOSE)


def heard(address: str, *parts: bytes) -> bytes:
    """All that is answered to what is sent in parts, until the connection is closed."""
    place = urlsplit(address)
    received = b""
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in parts:
                connection.sendall(part)
            while more := connection.recv(65536):
                received += more
        except (BrokenPipeError, ConnectionResetError):
            pass
    return received


def statuses(address: str, *parts: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d{3}) ", heard(address, *parts))]


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with serving(create_app(chatstore.aconnect("memory://"))) as address:
        yield address


TAKEN: dict[str, tuple[bytes, list[int]]] = {
    "a request": (get(), [200]),
    "many at once": (get() * 100, [200] * 100),
    "bodies and none in turn": ((post(LENGTH) + get()) * 10, [201, 200] * 10),
    "HEAD": (get(first=b"HEAD /healthz HTTP/1.1"), [200]),
    "any method": (get(first=b"REPORT /healthz HTTP/1.1"), [405]),
    "no value": (get(b"X-None:", b"X-None: \t "), [200]),
    "spaces around a value": (post(b"Content-Length: \t 15 \t "), [201]),
    "spaces behind a host": (GET + b"\r\nHost:\t localhost \t\r\n\r\n", [200]),
    "no space in front of a value": (post(b"Content-Length:15"), [201]),
    "bytes beyond ASCII in a value": (get(b"X-Name: J\xfcrgen \xff"), [200]),
    "bytes beyond UTF-8 in a path": (get(first=b"GET /%C0%AF%ff HTTP/1.1"), [404]),
    "signs in a path": (get(first=b"GET /a|b\"c{d}<e>^f`g\\h#i HTTP/1.1"), [404]),
    "256 lines": (get(*[b"X: x"] * 250), [200]),
    "a head of 60,000 bytes": (get(b"X-Long: " + b"x" * 60_000), [200]),
    "a target of 60,000 bytes": (get(first=b"GET /" + b"x" * 60_000 + b" HTTP/1.1"), [404]),
    "chunks": (chunked(CHUNKED_BODY), [201]),
    "chunks in capitals": (post(b"TRANSFER-ENCODING: CHUNKED", body=CHUNKED_BODY), [201]),
    "a size in capitals": (chunked(b"F\r\n" + BODY + b"\r\n0\r\n\r\n"), [201]),
    "zeros in front of a size": (chunked(b"000F\r\n" + BODY + b"\r\n000\r\n\r\n"), [201]),
    "a word about a chunk": (chunked(b'f;a=b;c="d"\r\n' + BODY + b"\r\n0;e\r\n\r\n"), [201]),
    "trailers": (chunked(CHUNKED_BODY[:-2] + b"X-Sum: 1\r\n\r\n"), [201]),
    "trailers are no headers": (
        chunked(CHUNKED_BODY[:-2] + b"Host: example.org\r\nForwarded: for=192.0.2.1\r\nExpect: x\r\n\r\n"),
        [201],
    ),
    "an upgrade that is not made": (get(UPGRADE), [200]),
    "an upgrade to WebSocket": (
        get(b"Connection: keep-alive, Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"), [200],
    ),
    "an upgrade with a body": (post(UPGRADE, LENGTH), [201]),
    "an upgrade with chunks": (chunked(CHUNKED_BODY, UPGRADE), [201]),
    "upgrades at once": ((post(UPGRADE, LENGTH) + get(UPGRADE)) * 3, [201, 200] * 3),
    "the server itself": (get(first=b"OPTIONS * HTTP/1.1"), [404]),
    "a body that nobody wants": (post(LENGTH, first=b"POST /nowhere HTTP/1.1"), [404]),
    "an empty line first": (b"\r\n" + get(), [200]),
    "two spaces": (get(first=b"GET  /healthz HTTP/1.1"), [200]),
}  # fmt: skip
"""And the connection goes on."""

ENDS: dict[str, tuple[bytes, list[int]]] = {
    "it was asked to close": (get(CLOSE), [200]),
    "it was asked to close after a body": (post(LENGTH, CLOSE), [201]),
    "it was asked to close in capitals": (get(b"CONNECTION: x, CLOSE"), [200]),
    "HTTP/1.0": (get(first=b"GET /healthz HTTP/1.0"), [200]),
    "HTTP/1.0 without a host": (b"GET /healthz HTTP/1.0\r\n\r\n", [421]),
    "HTTP/1.0 goes on": (get(b"Connection: keep-alive", first=b"GET /healthz HTTP/1.0"), [200]),
    "HTTP/1.0 with a body": (post(LENGTH, first=b"POST /v1/threads/t/messages HTTP/1.0"), [201]),
    "HTTP/1.0 does not wait": (
        post(LENGTH, b"Expect: 100-continue", first=b"POST /v1/threads/t/messages HTTP/1.0"), [201],
    ),
    "CONNECT": (get(first=b"CONNECT localhost:80 HTTP/1.1"), [404]),
    "nonsense behind it": (post(LENGTH) + b"NONSENSE\r\n\r\n", [201, 400]),
    "a head behind it that is too long": (get() + get(b"X: " + b"x" * 70_000), [200, 400]),
    "a body behind it that breaks a rule": (get() + chunked(b"g\r\n"), [200, 400]),
    "a body behind two that breaks a rule": (get() * 2 + chunked(b"f\r\n" + BODY + b"!!"), [200, 200, 400]),
}  # fmt: skip
"""It is answered, and what follows is not."""

WRONG: dict[str, bytes] = {
    "no host": GET + b"\r\n\r\n",
    "two hosts": get(b"Host: example.org"),
    "a host twice": get(HOST),
    "a space in front of a colon": get(b"X-A : 1"),
    "a space in a name": get(b"X A: 1"),
    "no colon": get(b"X-A"),
    "no name": get(b": 1"),
    "a sign in a name": get(b"X(A): 1"),
    "a byte beyond ASCII in a name": get(b"X-\xe4: 1"),
    "NUL in a name": get(b"X-\0: 1"),
    "NUL in a value": get(b"X-A: 1\0"),
    "a control character in a value": get(b"X-A: a\x01b"),
    "DEL in a value": get(b"X-A: a\x7fb"),
    "CR in a value": get(b"X-A: a\rb"),
    "CR ends a line": get(b"X-A: a\rX-B: b"),
    "LF ends a line": get(b"X-A: a\nX-B: b"),
    "LF ends all lines": get().replace(b"\r\n", b"\n"),
    "LF ends the head": get()[:-2] + b"\n",
    "CR ends the head": get()[:-2] + b"\r",
    "the first header is folded": get().replace(b"Host", b" Host"),
    "a folded length": post(b"Content-Length:\r\n 15"),
    "257 lines": get(*[b"X: x"] * 260),
    "a head of 70,000 bytes": get(b"X-Long: " + b"x" * 70_000),
    "many long headers": get(*[b"X-Long: " + b"x" * 1_000] * 100),
    "a target of 70,000 bytes": get(first=b"GET /" + b"x" * 70_000 + b" HTTP/1.1"),
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/2": get(first=b"GET /healthz HTTP/2.0"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": get(first=b"GET /healthz HTTP/1.2"),
    "HTTP/1": get(first=b"GET /healthz HTTP/1"),
    "HTTP/1.10": get(first=b"GET /healthz HTTP/1.10"),
    "http/1.1": get(first=b"GET /healthz http/1.1"),
    "another protocol": get(first=b"GET /healthz ICE/1.1"),
    "a space behind the version": get(first=GET + b" "),
    "a tab": get(first=b"GET\t/healthz HTTP/1.1"),
    "a space in front": b" " + get(),
    "a method that is not known": get(first=b"FETCH /healthz HTTP/1.1"),
    "a method in small letters": get(first=b"get /healthz HTTP/1.1"),
    "a sign in a method": get(first=b"GE(T /healthz HTTP/1.1"),
    "no target": get(first=b"GET HTTP/1.1"),
    "a target without a slash": get(first=b"GET healthz HTTP/1.1"),
    "a byte beyond ASCII in a target": get(first=b"GET /\xc3\xa4 HTTP/1.1"),
    "a byte beyond ASCII in a query": get(first=b"GET /healthz?\xff HTTP/1.1"),
    "NUL in a target": get(first=b"GET /a\0b HTTP/1.1"),
    "DEL in a target": get(first=b"GET /a\x7fb HTTP/1.1"),
    "a space in a target": get(first=b"GET /a b HTTP/1.1"),
    "a tab in a target": get(first=b"GET /a\tb HTTP/1.1"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x02" * 500,
    "two lengths": post(LENGTH, b"Content-Length: 16"),
    "a length twice": post(LENGTH, LENGTH),
    "a list of lengths": post(b"Content-Length: 15, 15"),
    "a length with a sign": post(b"Content-Length: +15"),
    "a length below zero": post(b"Content-Length: -15"),
    "a hexadecimal length": post(b"Content-Length: 0xf"),
    "a length with a space": post(b"Content-Length: 1 5"),
    "a length with an underscore": post(b"Content-Length: 1_5"),
    "a fraction of a length": post(b"Content-Length: 15.0"),
    "no length": post(b"Content-Length:"),
    "a length beyond 64 bits": post(b"Content-Length: 18446744073709551631"),
    "chunks and a length": chunked(CHUNKED_BODY, b"Content-Length: 25"),
    "a length and chunks": post(b"Content-Length: 25", CHUNKED, body=CHUNKED_BODY),
    "chunks on HTTP/1.0": post(CHUNKED, body=CHUNKED_BODY, first=b"POST /v1/threads/t/messages HTTP/1.0"),
    "chunks twice": chunked(CHUNKED_BODY, CHUNKED),
    "a list of chunks": post(b"Transfer-Encoding: chunked, chunked", body=CHUNKED_BODY),
    "compressed chunks": post(b"Transfer-Encoding: gzip, chunked", body=CHUNKED_BODY),
    "compression of chunks": post(b"Transfer-Encoding: chunked, gzip", body=CHUNKED_BODY),
    "an identity": post(b"Transfer-Encoding: identity", LENGTH),
    "something like chunks": post(b"Transfer-Encoding: xchunked", body=CHUNKED_BODY),
    "no encoding": post(b"Transfer-Encoding:", body=CHUNKED_BODY),
    "chunks behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=CHUNKED_BODY),
    "chunks behind a space": post(b"Transfer-Encoding : chunked", body=CHUNKED_BODY),
    "chunks with a word": post(b"Transfer-Encoding: chunked;a=b", body=CHUNKED_BODY),
    "no size": chunked(b"\r\n" + CHUNKED_BODY),
    "a size below zero": chunked(b"-f\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a size with a sign": chunked(b"+" + CHUNKED_BODY),
    "a size with 0x": chunked(b"0x" + CHUNKED_BODY),
    "a size in front of a space": chunked(b"f \r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a size behind a space": chunked(b" " + CHUNKED_BODY),
    "a size that is none": chunked(b"g\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a size beyond 64 bits": chunked(b"1000000000000000f\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a size that ends in LF": chunked(b"f\n" + BODY + b"\r\n0\r\n\r\n"),
    "a size that ends in CR": chunked(b"f\r" + BODY + b"\r\n0\r\n\r\n"),
    "LF in a word about a chunk": chunked(b"f;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk that is too long": chunked(b"e\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk that is too short": chunked(b"10\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk that ends in LF": chunked(b"f\r\n" + BODY + b"\n0\r\n\r\n"),
    "a chunk without an end": chunked(b"f\r\n" + BODY + b"0\r\n\r\n"),
    "the last chunk ends in LF": chunked(b"f\r\n" + BODY + b"\r\n0\n\n"),
    "many words about a chunk": chunked(b"f" + b";a=b" * 40_000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "words about each chunk": chunked((b"1;" + b"x" * 2_000 + b"\r\n \r\n") * 100 + CHUNKED_BODY),
    "many zeros in front of a size": chunked(b"0" * 150_000 + CHUNKED_BODY),
    "chunks of a byte": chunked(b"1\r\n \r\n" * 300 + CHUNKED_BODY),
    "trailers that are none": chunked(CHUNKED_BODY[:-2] + b"X Sum\r\n\r\n"),
    "many trailers": chunked(CHUNKED_BODY[:-2] + b"X: x\r\n" * 300 + b"\r\n"),
    "a long trailer": chunked(CHUNKED_BODY[:-2] + b"X: " + b"x" * 150_000 + b"\r\n\r\n"),
    "many empty lines": b"\r\n" * 70_000 + get(),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_the_connection_goes_on(base: str, name: str) -> None:
    request, expected = TAKEN[name]
    assert statuses(base, request + LAST) == [*expected, 200]


@pytest.mark.parametrize("name", ENDS)
def test_the_connection_ends_behind_the_answer(base: str, name: str) -> None:
    request, expected = ENDS[name]
    assert statuses(base, request + LAST) == expected


@pytest.mark.parametrize("name", WRONG)
def test_what_breaks_the_rules_is_400_and_ends_the_connection(base: str, name: str) -> None:
    assert statuses(base, WRONG[name] + LAST) == [400]


@pytest.mark.parametrize("name", [name for name in TAKEN if len(TAKEN[name][0]) < 2_000])
def test_it_is_the_same_byte_by_byte(base: str, name: str) -> None:
    request, expected = TAKEN[name]
    assert statuses(base, *(bytes([byte]) for byte in request + LAST)) == [*expected, 200]


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers in two parts, with the header and of the length that the query says."""
    name, _, value = unquote(scope["query_string"]).partition("=")
    headers = [(name.encode(), value.encode())] if name else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"first, ", "more_body": True})
    await send({"type": "http.response.body", "body": b"second"})


@pytest.fixture(scope="module")
def parts() -> Iterator[str]:
    with serving(answering) as address:
        yield address


def test_an_answer_of_no_length_comes_in_chunks(parts: str) -> None:
    head, _, body = heard(parts, get(CLOSE)).partition(b"\r\n\r\n")
    assert b"\r\ntransfer-encoding: chunked" in head
    assert body == b"7\r\nfirst, \r\n6\r\nsecond\r\n0\r\n\r\n"


def test_one_for_http_1_0_ends_with_the_connection(parts: str) -> None:
    head, _, body = heard(parts, get(first=b"GET / HTTP/1.0")).partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert b"chunked" not in head
    assert body == b"first, second"


def test_one_to_head_has_no_body(parts: str) -> None:
    head, _, body = heard(parts, get(CLOSE, first=b"HEAD /?content-length=13 HTTP/1.1")).partition(
        b"\r\n\r\n"
    )
    assert b"\r\ncontent-length: 13" in head
    assert body == b""


@pytest.mark.parametrize("length", [12, 14])
def test_one_of_another_length_than_it_says_ends_the_connection(parts: str, length: int) -> None:
    request = get(first=b"GET /?content-length=%d HTTP/1.1" % length)
    assert statuses(parts, request, get()) == [200]


def test_a_header_of_an_answer_does_not_begin_another_line(parts: str) -> None:
    assert heard(parts, get(first=b"GET /?x=a%0D%0Ab:%20c HTTP/1.1"), get()) == b""
