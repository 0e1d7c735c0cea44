"""How often a caller may ask, and how many threads an owner may have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import chatstore
from chatstore.api_keys import KNOWN_SECONDS, Keys, new_key
from chatstore.contract import ThreadKey
from chatstore.http.app import create_app
from chatstore.http.problems import TooManyRequests
from chatstore.http.rates import MOST_BUCKETS, PUBLIC_REQUESTS_PER_MINUTE, Rates, per_minute
from chatstore.models import Thread
from chatstore.settings import Settings
from chatstore.testing.manual_clock import ManualClock
from tests.http.running import served
from tests.http.serving import serving


def test_who_asks_too_often_is_told_when_to_ask_again() -> None:
    app = create_app(chatstore.aconnect("memory://"), Settings(requests_per_minute=3))
    with serving(app) as base, httpx.Client(base_url=base) as http:
        answers = [http.get("/v1/threads") for _ in range(4)]
        probes = [http.get("/healthz"), http.get("/readyz")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit"] for answer in answers[:3]] == [
        '"default";r=2;t=20', '"default";r=1;t=40', '"default";r=0;t=60',
    ]  # fmt: skip
    refused = answers[3]
    assert refused.headers["ratelimit-policy"] == '"default";q=3;w=60'
    assert 0 < int(refused.headers["retry-after"]) <= 20
    assert refused.json()["code"] == "too-many-requests"
    assert [answer.status_code for answer in probes] == [200, 200]


def caller(credential: str | None = None, address: str = "192.0.2.1", tenant: str = "a") -> dict[str, Any]:
    identity = None if credential is None else SimpleNamespace(tenant=tenant, credential=credential)
    return {"path": "/v1/threads", "client": (address, 1), "chatstore.identity": identity}


def admitted(rates: Rates, scope: dict[str, Any]) -> bool:
    try:
        rates.admit(scope)
    except TooManyRequests:
        return False
    return True


def test_each_caller_has_a_bucket_that_fills_again() -> None:
    now = 0.0
    rates = Rates(60, lambda: now)
    ada = caller("ada")
    assert [admitted(rates, ada) for _ in range(61)] == [True] * 60 + [False]
    assert admitted(rates, caller("grace"))
    assert admitted(rates, caller("ada", tenant="b"))
    assert admitted(rates, caller())
    now = 1.0
    assert [admitted(rates, ada) for _ in range(2)] == [True, False]
    now = 1000.0
    assert [admitted(rates, ada) for _ in range(61)] == [True] * 60 + [False]


def test_neighbouring_addresses_of_ipv6_are_one_caller() -> None:
    rates = Rates(1, lambda: 0.0)
    assert admitted(rates, caller(address="2001:db8::1"))
    assert not admitted(rates, caller(address="2001:db8::2"))
    assert admitted(rates, caller(address="2001:db8:0:1::1"))
    assert admitted(rates, caller(address="192.0.2.1"))
    assert admitted(rates, caller(address="192.0.2.2"))


def test_buckets_are_bounded_and_the_longest_unused_one_goes() -> None:
    rates = Rates(1, lambda: 0.0, most=2)
    assert admitted(rates, caller("a"))
    assert admitted(rates, caller("b"))
    assert not admitted(rates, caller("a"))
    assert admitted(rates, caller("c"))  # in the place of b
    assert not admitted(rates, caller("a"))
    assert admitted(rates, caller("b"))


def test_no_number_of_addresses_makes_a_credentials_bucket_full_again() -> None:
    rates = Rates(1, lambda: 0.0)
    assert admitted(rates, caller("ada"))
    for number in range(MOST_BUCKETS + 50):
        assert admitted(rates, caller(address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert not admitted(rates, caller("ada"))


def test_without_identity_each_address_is_a_caller_of_its_own() -> None:
    app = create_app(chatstore.aconnect("memory://"), Settings(requests_per_minute=1))

    async def statuses() -> list[int]:
        found = []
        for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
            transport = httpx.ASGITransport(app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                found.append((await http.get("/v1/threads")).status_code)
        return found

    assert asyncio.run(statuses()) == [200, 200, 429]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/v1/threads", {}, 405),
        ("GET", "/v1/threads", {"Host": "example.org"}, 421),
        ("GET", "/v1/threads", {"Origin": "https://example.org"}, 403),
    ],
)
def test_what_meets_no_route_counts_too(method: str, path: str, headers: dict[str, str], status: int) -> None:
    app = create_app(chatstore.aconnect("memory://"), Settings(requests_per_minute=2))
    with serving(app) as base, httpx.Client(base_url=base, headers=headers) as http:
        found = [http.request(method, path) for _ in range(3)]
    assert [answer.status_code for answer in found] == [status, status, 429]


def test_a_wrong_key_costs_no_read_after_the_limit_and_a_right_one_stays_right() -> None:
    clock = ManualClock()
    store = chatstore.aconnect("memory://", clock=clock)
    backend = store.backend
    reads = 0

    class Counted(type(backend)):  # type: ignore[misc]  # of the store's own kind
        async def get_thread(self, key: ThreadKey) -> Thread:
            nonlocal reads
            reads += 1
            found: Thread = await super().get_thread(key)
            return found

    backend.__class__ = Counted
    app = create_app(store, Settings(auth="api-key", requests_per_minute=3))

    async def ask(http: httpx.AsyncClient, text: str) -> int:
        return (await http.get("/v1/threads", headers={"X-API-Key": text})).status_code

    async def play() -> None:
        _, right = await Keys(store).create("acme", ["read"])
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            assert await ask(http, right) == 200
            assert [await ask(http, new_key()[1]) for _ in range(6)] == [401] * 3 + [429] * 3
            assert reads == 4
            clock.advance(timedelta(seconds=KNOWN_SECONDS + 1))
            assert await ask(http, right) == 200
            assert reads == 5

    asyncio.run(play())


@pytest.mark.parametrize(("proxies", "last"), [("", 429), ("127.0.0.1", 401)])
def test_an_address_that_is_only_said_is_believed_of_a_proxy_alone(
    tmp_path: Path, proxies: str, last: int
) -> None:
    settings = {
        "CHATSTORE_AUTH": "api-key",
        "CHATSTORE_REQUESTS_PER_MINUTE": "3",
        "CHATSTORE_PROXIES": proxies,
    }
    with (
        served(f"sqlite:///{tmp_path}/chat.db", **settings) as (base, _),
        httpx.Client(base_url=base) as http,
    ):
        found = [
            http.get("/v1/threads", headers={"X-Forwarded-For": f"192.0.2.{number}"}) for number in range(4)
        ]
    assert [answer.status_code for answer in found] == [401, 401, 401, last]


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        (Settings(), 0),
        (Settings(host="::1"), 0),
        (Settings(host="0.0.0.0"), PUBLIC_REQUESTS_PER_MINUTE),  # noqa: S104 - nothing listens
        (Settings(host="example.org"), PUBLIC_REQUESTS_PER_MINUTE),
        (Settings(host="example.org", requests_per_minute=0), 0),
        (Settings(requests_per_minute=7), 7),
    ],
)
def test_there_is_a_limit_where_strangers_come(settings: Settings, limit: int) -> None:
    assert per_minute(settings) == limit


@pytest.fixture
def two_each() -> Iterator[httpx.Client]:
    app = create_app(chatstore.aconnect("memory://"), Settings(max_threads_per_owner=2))
    with serving(app) as base, httpx.Client(base_url=base) as http:
        for id in ("one", "two"):
            assert http.post("/v1/threads", json={"id": id, "owner": "ada"}).status_code == 201
        yield http


def test_an_owner_has_so_many_threads_however_they_are_made(two_each: httpx.Client) -> None:
    message = {"messages": [{"role": "user"}], "owner": "ada", "create": True}
    for refused in (
        two_each.post("/v1/threads", json={"owner": "ada"}),
        two_each.post("/v1/threads/three/messages", json=message),
        two_each.put("/v1/threads/three/messages", json=message),
        two_each.post("/v1/threads/one/fork", json={"id": "three"}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "too-many-threads")
    assert two_each.get("/v1/threads/three").status_code == 404
    assert two_each.post("/v1/threads/one/messages", json=message).status_code == 201
    assert two_each.post("/v1/threads", json={"owner": "grace"}).status_code == 201
    assert two_each.post("/v1/threads").status_code == 201
    assert two_each.delete("/v1/threads/one").status_code == 200
    assert two_each.post("/v1/threads/three/messages", json=message).status_code == 201


def test_a_repeated_creation_gets_its_first_answer_at_the_limit(two_each: httpx.Client) -> None:
    two_each.delete("/v1/threads/one")
    key = {"Idempotency-Key": "once"}
    made = two_each.post("/v1/threads", json={"owner": "ada"}, headers=key)
    again = two_each.post("/v1/threads", json={"owner": "ada"}, headers=key)
    assert (made.status_code, again.status_code) == (201, 201)
    assert made.json() == again.json()


def test_limits_are_told_to_machines() -> None:
    settings = Settings(requests_per_minute=100, max_threads_per_owner=7, max_body_bytes=1234, body_seconds=3)
    with serving(create_app(chatstore.aconnect("memory://"), settings)) as base:
        limits = httpx.get(f"{base}/openapi.json").json()["x-limits"]
    assert (limits["requests_per_minute"], limits["threads_per_owner"]) == (100, 7)
    assert (limits["body_bytes"], limits["body_seconds"], limits["page"]) == (1234, 3, 1000)
