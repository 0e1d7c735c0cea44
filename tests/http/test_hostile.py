"""What no honest client sends, over raw sockets to ``chatstore serve``: refused, in bounded memory and time.

``pytest -s tests/http/test_hostile.py`` prints what each case took.
"""

from __future__ import annotations

import functools
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.running import COMMAND

MEGABYTE = 1024 * 1024
MOST = 4 * MEGABYTE
MOST_MEMORY = 350 * MEGABYTE
"""What the service may take beyond what it takes at rest, with four of the worst bodies at once."""
ANSWER_SECONDS = 15
NEXT_SECONDS = 1.0
CLOSED = None


class Server(NamedTuple):
    address: tuple[str, int]
    pid: int

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def memory(self, name: str) -> int:
        """``VmRSS`` now, or ``VmHWM`` since the peak was forgotten, in bytes."""
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/chat.db"
    command = [*COMMAND, "serve", "--port", "0", "--url", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://([\d.]+):(\d+)", process.stdout.readline())
            assert found is not None
            server = Server((found[1], int(found[2])), process.pid)
            post(server, b'{"role":"user"}')  # which loads all that the first request loads
            yield server
        finally:
            process.terminate()
            process.wait(20)


class Answer(NamedTuple):
    """A status, None where the connection was closed without one, and the body."""

    status: int | None
    body: bytes


def exchange(server: Server, parts: Iterable[bytes], *, half_close: bool = False) -> Answer:
    """Send `parts` for as long as the service takes them, and read one answer."""
    with socket.create_connection(server.address, ANSWER_SECONDS) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer(connection)


def answer(connection: socket.socket) -> Answer:
    received = b""
    try:
        while more := connection.recv(65536):
            received += more
            head, separator, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            if separator and length and len(body) >= int(length[1]):
                break
    except ConnectionResetError:
        pass
    found = re.match(rb"HTTP/1.1 (\d{3}) ", received)
    return Answer(int(found[1]) if found else CLOSED, received.partition(b"\r\n\r\n")[2])


def head(*lines: str, method: str = "POST", path: str = "/v1/threads/t/messages") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode("latin-1")


def whole(
    body: bytes, *lines: str, media: str = "application/json", path: str = "/v1/threads/t/messages"
) -> list[bytes]:
    return [head(f"Content-Type: {media}", f"Content-Length: {len(body)}", *lines, path=path), body]


def post(server: Server, body: bytes) -> Answer:
    return exchange(server, whole(body))


def filled(before: bytes, each: bytes, after: bytes) -> bytes:
    """A body of just the length that is still read, full of `each`."""
    return before + each * ((MOST - len(before) - len(after)) // len(each)) + after


def refused(server: Server, parts: Iterable[bytes], expected: set[int | None], **options: bool) -> Answer:
    """The answer, which is one of `expected`; the next caller has theirs at once, and memory is bounded."""
    server.forget_peak()
    rest, began = server.memory("VmRSS"), time.monotonic()
    got = exchange(server, parts, **options)
    took = time.monotonic() - began
    began = time.monotonic()
    assert exchange(server, [head(method="GET", path="/healthz")]).status == 200
    following, peak = time.monotonic() - began, server.memory("VmHWM") - rest
    print(
        f" {got.status} after {took:.2f} s, next {following * 1000:.0f} ms, +{peak / MEGABYTE:.0f} MB", end=""
    )
    assert got.status in expected, got.body[:500]
    assert len(got.body) < 10_000
    assert following < NEXT_SECONDS
    assert peak < MOST_MEMORY
    return got


@functools.cache
def keys() -> bytes:
    """An object of 99,000 keys."""
    return ("{" + ",".join(f'"{number:x}":0' for number in range(99_000)) + "}").encode()


# Made when they are sent: whoever only collects the tests need not have them.
BODIES: dict[str, tuple[Callable[[], bytes], int]] = {
    "too-long": (lambda: b"x" * (MOST + 1), 413),
    "far-too-long": (lambda: b"x" * (40 * MEGABYTE), 413),
    "nothing": (lambda: b"", 400),
    "cut-off": (lambda: b'{"role":"user","content":"he', 400),
    "two-values": (lambda: b'{"role":"user"}{"role":"user"}', 400),
    "not-utf-8": (lambda: b'{"role":"user","content":"\xff\xfe"}', 400),
    "overlong-utf-8": (lambda: b'{"role":"user","content":"\xc0\xaf"}', 400),
    "surrogate-in-utf-8": (lambda: b'{"role":"user","content":"\xed\xa0\x80"}', 400),
    "utf-16": (lambda: '{"role":"user"}'.encode("utf-16"), 400),
    "byte-order-mark": (lambda: b'\xef\xbb\xbf{"role":"user"}', 400),
    "a-million-levels-of-arrays": (lambda: b"[" * 1_000_000, 413),
    "99,000-levels-of-arrays": (lambda: b"[" * 99_000, 400),
    "99,000-levels-in-a-message": (lambda: b'{"role":"user","a":%s}' % (b"[" * 99_000 + b"]" * 99_000), 400),
    "99,000-levels-of-objects": (lambda: b'{"a":' * 99_000, 400),
    "key-twice": (lambda: b'{"role":"user","content":1,"content":2}', 400),
    "huge-key-twice": (lambda: b'{"%s":1,"%s":2}' % (b"k" * 2_000_000, b"k" * 2_000_000), 400),
    "huge-key": (lambda: b'{"messages":[],"%s":1}' % (b"k" * 4_000_000), 422),
    "many-keys": (keys, 422),
    "many-keys-of-an-envelope": (lambda: b'{"messages":[{"role":"user"}],' + keys()[1:], 422),
    "more-keys": (lambda: b"{" + b'"0":0,' * 380_000 + b'"1":0}', 413),
    "10,000-digits": (lambda: b'{"role":"user","n":%s}' % (b"9" * 10_000), 400),
    "4,000,000-digits": (lambda: b'{"role":"user","n":%s}' % (b"9" * 4_000_000), 400),
    "4,000-digits-of-seconds": (lambda: b'{"messages":[{"role":"user"}],"ttl":%s}' % (b"9" * 4_000), 422),
    "1e400": (lambda: b'{"role":"user","n":1e400}', 400),
    "-1e400": (lambda: b'{"role":"user","n":-1e400}', 400),
    "an-exponent-of-a-million-digits": (lambda: b'{"role":"user","n":1e%s}' % (b"9" * 1_000_000), 400),
    "nan": (lambda: b'{"role":"user","n":NaN}', 400),
    "nul": (lambda: b'{"role":"us\0er"}', 400),
    "nul-alone": (lambda: b"\0", 400),
    "lone-surrogate-escape": (lambda: b'{"role":"user","content":"\\ud800"}', 400),
    "lone-surrogate-escape-in-a-key": (lambda: b'{"role":"user","\\udfff":1}', 400),
    "a-million-bad-messages": (lambda: filled(b"[", b"{},", b"{}]"), 413),
    "a-million-numbers-in-a-message": (lambda: filled(b'{"role":"user","content":[', b"0,", b"0]}"), 413),
    "a-million-texts-in-a-message": (lambda: filled(b'{"role":"user","content":[', b'"",', b'""]}'), 413),
    "bad-messages": (lambda: b"[" + b"{}," * 49_000 + b"{}]", 422),
    "bad-numbers": (lambda: b"[" + b"0," * 99_000 + b"0]", 422),
    "bad-owners": (lambda: b'{"messages":[{"role":"user"}],"owner":[' + b"{}," * 49_000 + b"{}]}", 422),
    "too-many-messages": (lambda: b"[" + b'{"role":"user"},' * 45_000 + b'{"role":"user"}]', 413),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body(server: Server, name: str) -> None:
    body, status = BODIES[name]
    got = refused(server, whole(body()), {status})
    assert json.loads(got.body)["status"] == status


def test_participants_by_the_thousand(server: Server) -> None:
    body = b'{"participants":[' + b"{}," * 49_000 + b"{}]}"
    request = [
        head("Content-Type: application/json", f"Content-Length: {len(body)}", path="/v1/threads"),
        body,
    ]
    refused(server, request, {422})


@functools.cache
def bomb() -> bytes:
    """A body of 200 MB, compressed."""
    return zlib.compress(b'{"role":"user","content":"' + b"x" * (200 * MEGABYTE) + b'"}', 1)


@pytest.mark.parametrize(
    "coding", ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "gzip, gzip", "GZIP", "x"]
)
def test_a_compressed_body_is_not_unpacked(server: Server, coding: str) -> None:
    refused(server, whole(bomb(), f"Content-Encoding: {coding}"), {415})


def test_a_body_as_it_is_may_say_so(server: Server) -> None:
    request = whole(b'{"role":"user"}', "Content-Encoding: identity")
    assert exchange(server, request).status == 201


@pytest.mark.parametrize(
    "media", ["application/json; charset=utf-16", "application/json; charset=latin-1", "text/plain"]
)
def test_a_body_of_another_kind(server: Server, media: str) -> None:
    refused(server, whole(b'{"role":"user"}', media=media), {415})


CHUNKED = head("Content-Type: application/json", "Transfer-Encoding: chunked")
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


def without_end(first: bytes, again: bytes) -> Iterator[bytes]:
    """`again` and again, to an end so far off that no server should wait for it."""
    yield first
    for _ in range(100_000):
        yield again


def test_a_body_without_end_is_given_up(server: Server) -> None:
    refused(server, without_end(CHUNKED, CHUNK), {413, CLOSED})


ENDLESS = {
    "chunks-of-a-byte": (CHUNKED, b"1\r\nx\r\n" * 1000),
    "chunk-extension": (CHUNKED + b"1;", b"x" * 10_000),
    "trailers": (CHUNKED + b"0\r\n", b"X-Trailer: 1\r\n" * 500),
    "no-chunk": (CHUNKED, b"\0" * 1000),
    "largest-chunk": (CHUNKED + b"FFFFFFFFFFFFFFFF\r\n", b"x" * 65536),
    "negative-chunk": (CHUNKED + b"-5\r\n", b"x"),
    "headers": (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X-H: 1\r\n" * 100),
    "url": (b"GET /", b"x" * 10_000),
    "nul": (b"", b"\0" * 10_000),
    "tls": (b"\x16\x03\x01", b"\x02" * 1000),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_goes_on_without_end(server: Server, name: str) -> None:
    refused(server, without_end(*ENDLESS[name]), {400, 413, CLOSED})


@pytest.mark.parametrize(
    "lengths",
    [["10", "20"], ["-1"], ["+15"], ["1e3"], ["9" * 30], ["99999999999"], ["0x10"], [""], ["15, 16"]],
    ids="/".join,
)
def test_lengths_that_lie(server: Server, lengths: list[str]) -> None:
    lines = [f"Content-Length: {length}" for length in lengths]
    refused(server, [head("Content-Type: application/json", *lines), b'{"role":"user"}'], {400, 413})


def test_a_body_that_is_shorter_than_announced(server: Server) -> None:
    request = [head("Content-Type: application/json", "Content-Length: 100"), b'{"role":"user"}']
    refused(server, request, {400, CLOSED}, half_close=True)


def statuses(server: Server, data: bytes) -> list[int]:
    """Of all answers until the connection is closed."""
    with socket.create_connection(server.address, ANSWER_SECONDS) as connection:
        connection.sendall(data)
        received = b""
        while more := connection.recv(65536):
            received += more
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d{3}) ", received)]


def test_what_follows_a_body_is_another_request(server: Server) -> None:
    request = head("Content-Type: application/json", "Content-Length: 2") + b"{}"
    assert statuses(server, request + b"GARBAGE\r\n\r\n") == [422, 400]


def test_two_ways_to_say_the_length_never_make_two_requests(server: Server) -> None:
    smuggled = b"0\r\n\r\nDELETE /v1/threads/t HTTP/1.1\r\nHost: localhost\r\n\r\n"
    lengths = "Transfer-Encoding: chunked", f"Content-Length: {len(smuggled)}"
    for lines in (lengths, lengths[::-1]):
        assert statuses(server, head("Content-Type: application/json", *lines) + smuggled) == [400]
    assert exchange(server, [head(method="GET", path="/v1/threads/t")]).status == 200


@pytest.mark.parametrize(
    ("method", "path", "lines", "expected"),
    [("GET", "/v1/threads", [f"X-{number}: x" for number in range(200)], {200}),
     ("GET", "/v1/threads", [f"X-{number}: x" for number in range(4_000)], {400}),
     ("GET", "/v1/threads", [f"X-{number}: x" for number in range(20_000)], {400}),
     ("GET", "/v1/threads", ["X-Long: " + "x" * MEGABYTE], {400}),
     ("GET", "/v1/threads", ["If-None-Match: " + "," * 60_000], {200}),
     ("POST", "/v1/threads", ["Idempotency-Key: " + "x" * 60_000], {400}),
     ("POST", "/v1/threads", ["Idempotency-Key: x"] * 2_000, {400}),
     ("GET", "/v1/threads", ["Bad Header: x"], {400}),
     ("GET", "/v1/threads", ["X-Folded: a\r\n b"], {200, 400}),
     ("GET", "/v1/threads/" + "a" * 60_000, [], {404}),
     ("GET", "/v1/threads/" + "a" * MEGABYTE, [], {400}),
     ("GET", "/v1/threads/" + "a/" * 30_000, [], {404}),
     ("GET", "/v1/threads/%00%ff%C0%AF", [], {404}),
     ("GET", "/v1/threads/b64:" + "A" * 60_000, [], {422}),
     ("GET", "/v1/threads?" + "&".join(f"a{number}=1" for number in range(7_000)), [], {422}),
     ("GET", "/v1/threads?" + "a&" * 30_000, [], {400, 422}),
     ("GET", "/v1/threads?cursor=" + "x" * 60_000, [], {422}),
     ("GET", "/v1/threads?limit=" + "9" * 60_000, [], {422}),
     ("GET", "/v1/threads?owner=" + "x" * 60_000, [], {422}),
     ("GET", "/v1/threads?" + "&".join(f"metadata[{number}]=1" for number in range(3_000)), [], {200, 422}),
     ("GET", "/v1/threads?cursor=" + "x" * MEGABYTE, [], {400}),
     ("GE\0T", "/v1/threads", [], {400}),
     ("X" * 60_000, "/v1/threads", [], {400}),
     ("GET", "http://example.org/v1/threads", [], {400, 404, 421})],
    ids=lambda value: str(value)[:24] if isinstance(value, (str, list)) else "",
)  # fmt: skip
def test_a_hostile_head(
    server: Server, method: str, path: str, lines: list[str], expected: set[int | None]
) -> None:
    refused(server, [head(*lines, method=method, path=path)], expected)


def test_requests_behind_one_that_is_being_answered_wait_as_bytes(server: Server) -> None:
    large = b'{"role":"user","content":"%s"}' % (b"x" * 2_000_000)
    for _ in range(2):
        assert exchange(server, whole(large, path="/v1/threads/large/messages")).status == 201
    asking = head(method="GET", path="/v1/threads/large/messages")
    server.forget_peak()
    rest, opened = server.memory("VmRSS"), []
    try:
        for _ in range(100):
            connection = socket.socket()
            opened.append(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(server.address)
            connection.sendall(asking + head(method="GET", path="/healthz") * 1_300)
        assert exchange(server, [head(method="GET", path="/healthz")]).status == 200
        peak = server.memory("VmHWM") - rest
        print(f" +{peak / MEGABYTE:.0f} MB", end="")
        assert peak < MOST_MEMORY / 2
    finally:
        for connection in opened:
            connection.close()


def test_bodies_that_never_arrive_keep_nobody_waiting(server: Server) -> None:
    slow = []
    try:
        for _ in range(200):
            connection = socket.create_connection(server.address, ANSWER_SECONDS)
            connection.sendall(head("Content-Type: application/json", "Content-Length: 1000") + b'{"role"')
            slow.append(connection)
        for _ in range(5):
            refused(server, whole(b'{"role":"user"}'), {201})
            for connection in slow:
                connection.sendall(b" ")
    finally:
        for connection in slow:
            connection.close()


def test_the_worst_bodies_at_once_keep_nobody_waiting_for_long(server: Server) -> None:
    bodies = ["bad-messages", "many-keys", "99,000-levels-in-a-message", "too-many-messages"]
    server.forget_peak()
    rest, answers = server.memory("VmRSS"), []
    threads = [
        threading.Thread(
            target=lambda name=name: answers.append((name, post(server, BODIES[name][0]()).status))
        )
        for name in bodies
    ]
    for thread in threads:
        thread.start()
    longest = 0.0
    while any(thread.is_alive() for thread in threads):
        began = time.monotonic()
        assert exchange(server, [head(method="GET", path="/healthz")]).status == 200
        longest = max(longest, time.monotonic() - began)
    peak = server.memory("VmHWM") - rest
    print(
        f" others waited {longest * 1000:.0f} ms at most, +{peak / MEGABYTE:.0f} MB", end="", file=sys.stdout
    )
    assert sorted(answers) == sorted((name, BODIES[name][1]) for name in bodies)
    assert longest < 2 * NEXT_SECONDS
    assert peak < MOST_MEMORY
