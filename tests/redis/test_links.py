"""Answers are read whole however they come, and connections are as many as there may be, and live."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

import chatstore
from chatstore.backends.redis.resp import Look, Short, answers, looked, packed
from chatstore.testing.samples import contents, say
from tests.redis.servers import prefixed

TEXTS = st.binary(max_size=12) | st.sampled_from([b"\r\n", b"a\r\n", b"\r\n$1\r\na", b"*2\r\n$1", b"*0\r\n"])
VALUES = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | TEXTS, lambda inner: st.lists(inner, max_size=4)
)
IDS = st.from_regex(rb"\A[0-9]{1,20}-[0-9]{1,20}\Z")
ENTRIES = st.lists(st.tuples(IDS, st.sampled_from([b"b", b"p"]), TEXTS), max_size=4)


def written(value: Any) -> bytes:
    """A value as a server answers it."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    return b"*%d\r\n%b" % (len(value), b"".join(map(written, value)))


@settings(max_examples=settings().max_examples // 3)
@given(values=st.lists(VALUES, min_size=1, max_size=3))
def test_answers_are_read_when_they_are_whole(values: list[Any]) -> None:
    data = b"".join(map(written, values))
    assert answers(data, len(values)) == (values, len(data))
    for cut in range(len(data)):
        with pytest.raises(Short) as short:
            answers(data[:cut], len(values))
        # Whoever waited for more than comes would wait for ever.
        assert 1 <= short.value.missing <= len(data) - cut


@settings(max_examples=settings().max_examples // 3)
@given(
    header=st.lists(TEXTS, max_size=4),
    entries=ENTRIES,
    members=st.lists(TEXTS, max_size=2),
    etag=st.none() | TEXTS,
)
def test_a_look_is_read_when_it_is_whole(
    header: list[bytes],
    entries: list[tuple[bytes, bytes, bytes]],
    members: list[bytes],
    etag: bytes | None,
) -> None:
    answered = [header, [[id, [field, value]] for id, field, value in entries], members, etag]
    data = b"".join(map(written, answered))
    ids, fields, values = [[entry[place] for entry in entries] for place in range(3)]
    assert looked(data, 4) == ([Look(header, ids, fields, values, members, etag)], len(data))
    for cut in range(len(data)):
        with pytest.raises(Short) as short:
            looked(data[:cut], 4)
        assert 1 <= short.value.missing <= len(data) - cut


@given(words=st.lists(TEXTS | st.integers(0, 99) | st.text(max_size=4), min_size=1, max_size=4))
def test_commands_are_lists_of_texts(words: list[Any]) -> None:
    sent = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    assert answers(packed((tuple(words),)), 1)[0] == [sent]


def test_what_is_refused_is_an_error_among_the_answers() -> None:
    refused = b"-WRONGTYPE no\r\n"
    [[first, second], _] = answers(refused + b":1\r\n", 2)
    assert (str(first), second) == ("WRONGTYPE no", 1)
    [[header, entries, members, etag], _] = looked(b"*0\r\n" + refused + b"*0\r\n$-1\r\n", 4)
    assert (header, str(entries), members, etag) == ([], "WRONGTYPE no", [], None)


@pytest.fixture
def dripping(redis_url: str) -> Iterator[str]:
    """The same server, whose answers come a few bytes at a time."""
    where = ("127.0.0.1", int(redis_url.rpartition(":")[2].partition("/")[0]))

    def drip(server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                for start in range(0, len(data), 97):
                    client.sendall(data[start : start + 97])
            client.shutdown(socket.SHUT_RDWR)

    def carry(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(where) as server:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=drip, args=(server, client), daemon=True).start()
            while data := client.recv(1 << 16):
                server.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=carry, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def test_answers_may_come_in_pieces(dripping: str, tmp_path: Path) -> None:
    url = prefixed(dripping, tmp_path)
    texts = ["x" * size for size in (1, 300, 700, 5000)] * 3
    with chatstore.connect(url) as store:
        for text in texts:
            store.append("t", say(text))
        assert contents(store.read("t", last=20)) == texts

    async def again() -> list[str]:
        store = chatstore.aconnect(url)
        try:
            await store.append("t", say("last"))
            return contents(await store.read("t", last=20))
        finally:
            await store.close()

    assert asyncio.run(again()) == [*texts, "last"]


def test_threads_beyond_the_connections_wait_for_one(redis_url: str, tmp_path: Path) -> None:
    with chatstore.connect(prefixed(redis_url, tmp_path)) as store, ThreadPoolExecutor(48) as pool:
        list(pool.map(lambda number: store.append(f"t{number % 6}", say(str(number))), range(240)))
        found = [contents(store.read(f"t{number}", limit=1000)) for number in range(6)]
    assert sorted(int(one) for texts in found for one in texts) == list(range(240))


def test_connections_that_the_server_closed_are_made_anew(redis_url: str, tmp_path: Path) -> None:
    url = prefixed(redis_url, tmp_path)

    async def both() -> list[str]:
        other = chatstore.aconnect(url)
        with chatstore.connect(url) as store, redis.Redis.from_url(redis_url) as plain:
            for number in range(3):
                store.append("t", say(f"a{number}"))
                await other.append("t", say(f"b{number}"))
                plain.execute_command("CLIENT", "KILL", "TYPE", "normal")
            await other.close()
            return contents(store.read("t"))

    assert asyncio.run(both()) == [f"{who}{number}" for number in range(3) for who in "ab"]
