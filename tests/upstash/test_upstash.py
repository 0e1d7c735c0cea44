"""One database by two ways, what a call costs, what a lost answer does, and what the API's errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

import chatstore
from chatstore import ChatStore, ConfigurationError, StorageError
from chatstore.clocks import ServerClock
from chatstore.contract import system_clock
from chatstore.engines.fenced import FencedBackend
from chatstore.errors import Unavailable
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say
from chatstore.urls import open_backend
from tests.backends import actors
from tests.backends.patient import Patient, any_sequence
from tests.conftest import SOAK
from tests.redis.servers import prefixed
from tests.upstash.proxy import Proxy, proxy_to

ROUNDS = 200 if SOAK else 8
EXAMPLES = 30 if SOAK else 1
BINARY = "\x00é€😀" + "".join(random.Random(7).choices("abcdefghij", k=3000))
"""Text that is compressed, so that its row is binary."""

Tell = Callable[[str, object], None]


@pytest.fixture
def url(proxied: tuple[Proxy, int], tmp_path: Path) -> str:
    return prefixed(f"upstash://127.0.0.1:{proxied[1]}", tmp_path)


def test_one_database_is_read_and_written_both_ways(url: str, redis_url: str, tmp_path: Path) -> None:
    with chatstore.connect(url) as rest, chatstore.connect(prefixed(redis_url, tmp_path)) as plain:
        stores = (rest, plain)
        for number in range(4):
            stores[number % 2].append(
                "t", say(f"{number}"), say(BINARY), owner="ada", request_id=f"r{number}"
            )
        for store in stores:
            assert contents(store.read("t")) == [text for n in range(4) for text in (f"{n}", BINARY)]
            assert [thread.id for thread in store.list_threads(owner="ada").items] == ["t"]
            # A request of one way is repeated by the other.
            assert store.append("t", say("3"), say(BINARY), owner="ada", request_id="r3").messages
        first = rest.read("t").items[0]
        plain.replace_message("t", first.id or "", say("edited"))
        rest.replace_all("u", [say("é" * number) for number in range(50)], create=True)
        assert contents(rest.read("t", limit=1)) == ["edited"]
        assert contents(plain.read("u", last=2)) == ["é" * 48, "é" * 49]
        assert rest.erase("ada").messages == 8
        assert contents(plain.read("t")) == []


def test_an_append_is_one_request_and_a_cold_one_two(url: str, proxied: tuple[Proxy, int]) -> None:
    """The commands in the script are billed, too: `billed` is what the database ran."""
    proxy, _ = proxied
    clock = ManualClock()

    with contextlib.ExitStack() as stack:

        def opened() -> ChatStore:
            return stack.enter_context(ChatStore(open_backend(url, blocking=True, clock=clock)))

        store = opened()
        store.append("t", say("1"))
        store.append("t", say("2"))
        for caller, requests in ((store, 1), (opened(), 2), (store, 3)):
            before, sent = proxy.billed(), proxy.requests
            found = caller.append("t", say("more"))
            assert found.cost is not None
            assert (found.cost.backend, dict(found.cost.units)) == ("upstash", {"requests": requests})
            assert found.cost.trips == proxy.requests - sent == requests
            ran = Counter(proxy.billed())
            ran.subtract(before)
            append = {"evalsha": 1, "hget": 1, "hset": 1, "xadd": 1}
            if requests == 1:
                assert +ran == append
            if requests == 2:
                assert +ran == append | {"evalsha": 2, "hgetall": 1}
        before = proxy.billed()
        assert dict(store.read("t", last=2).cost.units) == {"requests": 1}  # type: ignore[union-attr]
        ran = Counter(proxy.billed())
        ran.subtract(before)
        assert +ran == {"evalsha": 1, "hgetall": 1, "xrevrange": 1}
        edits = [
            store.replace_message("t", store.read("t").items[place].id or "", say("edited"))
            for place in (-1, 0, 0)
        ]
        assert [one.cost.trips for one in edits] == [1, 2, 1]  # type: ignore[union-attr]


@pytest.fixture
def seed() -> int:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return seed


@pytest.fixture
def faulty(
    redis_url: str, proxied: object, seed: int, monkeypatch: pytest.MonkeyPatch, record_property: Tell
) -> Iterator[tuple[Proxy, int]]:
    """A proxy that fails once it is told to; who waits there waits no longer than it takes to go first."""
    from chatstore.backends.upstash.callers import BlockingRestCaller

    pause = BlockingRestCaller.pause

    async def briefly(self: BlockingRestCaller, seconds: float) -> None:
        await pause(self, min(seconds, 0.002))

    monkeypatch.setattr(BlockingRestCaller, "pause", briefly)
    with proxy_to(redis_url, seed) as (proxy, port):
        proxy.share = 0.15
        yield proxy, port
    record_property("requests over a faulty wire", proxy.requests)
    record_property("faults", sum(proxy.faults.values()))


def test_clients_over_a_faulty_wire(
    faulty: tuple[Proxy, int], seed: int, tmp_path: Path, record_property: Tell
) -> None:
    """A reply that is lost, late or doubled never doubles what was said."""
    from concurrent.futures import ThreadPoolExecutor

    proxy, port = faulty
    url = prefixed(f"upstash://127.0.0.1:{port}?timeout=30", tmp_path)
    repeated: Counter[str] = Counter()

    def act(number: int, actor: str) -> actors.Told:
        with chatstore.connect(url) as store:
            patient = cast("ChatStore", Patient(store, system_clock, repeated))
            return actors.ACTORS[actor](
                patient, f"{actor}-{number}", random.Random(f"{seed} {number}"), ROUNDS
            )

    with ThreadPoolExecutor(len(actors.CAST)) as pool:
        told = list(pool.map(act, range(len(actors.CAST)), actors.CAST))
    proxy.end()
    with chatstore.connect(url) as store:
        actors.check(told, list(store.iter_messages(actors.LOG)), f"seed {seed}")
    assert len(proxy.faults) == 8, proxy.faults


def test_any_sequence_of_operations_over_a_faulty_wire(
    faulty: tuple[Proxy, int], seed: int, tmp_path: Path
) -> None:
    clock = ManualClock()
    url = prefixed(f"upstash://127.0.0.1:{faulty[1]}?timeout=30", tmp_path)
    with ChatStore(open_backend(url, blocking=True, clock=clock)) as store:
        any_sequence(store, clock, seed, max_examples=EXAMPLES, stateful_step_count=50 if SOAK else 25)


def test_a_database_that_says_nothing_is_waited_for_no_longer_than_was_said(
    proxied: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatstore.engines.fenced.table._LONGEST_PAUSE", 0.01)
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        chatstore.connect(f"upstash://127.0.0.1:{deaf.getsockname()[1]}?timeout=0.05") as store,
        pytest.raises(Unavailable),
    ):
        store.ping()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("upstash://", "names no database"),
        ("upstash://db.upstash.io/0", "names no database"),
        ("upstash://hidden@db.upstash.io", "UPSTASH_REDIS_REST_TOKEN"),
        ("upstash://db.upstash.io?token=hidden", "no option 'token'"),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_change(proxied: object, url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as raised:
        chatstore.connect(url)
    assert "hidden" not in str(raised.value)


def test_the_token_comes_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", "another")
    with chatstore.connect(url) as store, pytest.raises(StorageError, match="refuses the token") as raised:
        store.append("t", say("hello"))
    assert not isinstance(raised.value, Unavailable)
    monkeypatch.delenv("UPSTASH_REDIS_REST_TOKEN")
    with pytest.raises(ConfigurationError, match="set UPSTASH_REDIS_REST_TOKEN"):
        chatstore.connect(url)


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (
            400,
            b'{"error":"ERR max requests limit exceeded. Limit: 500000, Usage: 500001"}',
            "plan is reached",
        ),
        (400, b'{"error":"ERR max request size exceeded"}', "plan is reached"),
        (400, b'{"error":"NOPERM this user has no permissions to run evalsha hidden"}', "NOPERM"),
        (400, b'{"error":"OOM command not allowed hidden"}', "no room left"),
        (400, b'{"error":"WRONGTYPE hidden"}', "Upstash answers WRONGTYPE"),
        (404, b"<html>hidden</html>", "HTTP 404"),
    ],
)
def test_what_the_api_refuses_is_one_of_our_errors(
    url: str,
    proxied: tuple[Proxy, int],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    answer: bytes,
    told: str,
) -> None:
    monkeypatch.setattr(proxied[0], "carry", lambda *_: (status, answer))
    with chatstore.connect(url) as store, pytest.raises(StorageError, match=told) as raised:
        store.append("t", say("hello"))
    assert not isinstance(raised.value, Unavailable)
    assert "hidden" not in str(raised.value)


def test_the_database_tells_the_time(url: str) -> None:
    clock = ServerClock()

    async def written() -> None:
        async with chatstore.aconnect(url, clock=clock) as store:
            await store.append("t", say("hello"))
            assert clock.is_fresh
            await store.sweep()

    asyncio.run(written())


def test_a_script_that_the_database_forgot_is_sent_again(url: str, redis_url: str) -> None:
    import redis

    with chatstore.connect(url) as store, redis.Redis.from_url(redis_url) as plain:
        store.append("t", say("1"), say(BINARY))
        plain.script_flush()
        store.append("t", say("2"), say(BINARY))
        assert contents(store.read("t")) == ["1", BINARY, "2", BINARY]
        assert isinstance(store.backend, FencedBackend)
