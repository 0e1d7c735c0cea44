"""How long threads live that nobody gave a time, and a running service that sweeps."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import chatstore
from chatstore.backends.memory import MemoryBackend
from chatstore.http.app import create_app
from chatstore.models import Swept
from chatstore.settings import Settings
from tests.http.serving import serving, serving_process

MESSAGE = {"role": "user", "content": "hello"}
DAY = 86_400


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/chat.db"
    with serving_process(url, CHATSTORE_DEFAULT_TTL="90d") as base, httpx.Client(base_url=base) as client:
        yield client


def lifetime(thread: dict[str, Any]) -> int | None:
    if thread["expires_at"] is None:
        return None
    expires, created = (datetime.fromisoformat(thread[name]) for name in ("expires_at", "created_at"))
    return round((expires - created).total_seconds())


@pytest.mark.parametrize(
    ("said", "expected"),
    [({}, 90 * DAY), ({"ttl": 60}, 60), ({"ttl": 400 * DAY}, 400 * DAY), ({"ttl": None}, None)],
)
def test_a_thread_lives_as_long_as_is_said_or_the_default(
    http: httpx.Client, said: dict[str, object], expected: int | None
) -> None:
    created = http.post("/v1/threads", json=said).json()
    assert lifetime(created) == expected
    for method in ("POST", "PUT"):
        path = f"/v1/threads/{chatstore.uuid7()}"
        turn = {"messages": [MESSAGE], "create": True, **said}
        assert http.request(method, f"{path}/messages", json=turn).is_success
        assert lifetime(http.get(path).json()) == expected


@pytest.mark.parametrize("body", [MESSAGE, [MESSAGE]])
def test_a_bare_message_creates_a_thread_of_the_default(http: httpx.Client, body: object) -> None:
    path = f"/v1/threads/{chatstore.uuid7()}"
    http.post(f"{path}/messages", json=body)
    assert lifetime(http.get(path).json()) == 90 * DAY


def test_the_default_is_for_new_threads_and_changes_none(http: httpx.Client) -> None:
    path = http.post("/v1/threads", json={"ttl": None}).json()["href"]
    http.post(f"{path}/messages", json=MESSAGE)
    http.patch(path, json={"topic": "x"})
    assert http.get(path).json()["expires_at"] is None
    forked = http.post(f"{path}/fork")
    assert forked.json()["expires_at"] is None


def test_the_library_at_a_distance_gets_the_default_too(http: httpx.Client) -> None:
    with chatstore.connect(str(http.base_url)) as store:
        for thread in (store.create_thread(), store.create_thread(ttl=60)):
            assert thread.expires_at is not None
        id = chatstore.uuid7()
        store.append(id, MESSAGE)
        expires = store.get_thread(id).expires_at
        assert expires is not None
        assert expires - store.get_thread(id).created_at == timedelta(days=90)


def test_a_tenant_has_a_default_of_its_own() -> None:
    ttls = {"acme": timedelta(days=1), "archive": None}
    settings = Settings(default_ttl=timedelta(days=90), tenant_ttls=ttls)
    with chatstore.connect("memory://") as store:
        backend = store.backend
    for tenant, expected in (("acme", DAY), ("archive", None), ("other", 90 * DAY)):
        with serving(create_app(chatstore.AsyncChatStore(backend, tenant=tenant), settings)) as base:
            assert lifetime(httpx.post(f"{base}/v1/threads").json()) == expected


def test_erasing_an_owner(http: httpx.Client) -> None:
    owner = "a/b é"
    for id in ("one", "two"):
        turn = {"messages": [MESSAGE, MESSAGE], "owner": owner}
        http.post(f"/v1/threads/{id}/messages", json=turn, headers={"Idempotency-Key": "k"})
    http.post("/v1/threads/neighbour/messages", json={"messages": [MESSAGE], "owner": "a"})
    erased = http.delete("/v1/owners/b64:YS9iIMOp")
    assert (erased.status_code, erased.json()) == (
        200,
        {"threads": 2, "messages": 4, "requests": 2, "keys": 0},
    )
    assert http.get("/v1/threads/one").status_code == 404
    assert http.get("/v1/threads/neighbour").status_code == 200
    nothing = {"threads": 0, "messages": 0, "requests": 0, "keys": 0}
    assert http.delete("/v1/owners/b64:YS9iIMOp").json() == nothing
    assert http.delete("/v1/owners/b64:").status_code == 422
    assert http.get("/v1/owners/a").status_code == 405


def test_a_life_of_a_microsecond_is_no_failure(http: httpx.Client) -> None:
    for number in range(20):
        turn = {"messages": [MESSAGE], "ttl": 1e-6, "expires_in": 1e-6}
        assert http.post(f"/v1/threads/short-{number}/messages", json=turn).status_code == 201
        assert http.post("/v1/threads", json={"ttl": 1e-6}).status_code == 201


def test_a_running_service_sweeps_in_steps_and_leaves_the_living(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with chatstore.connect(f"sqlite:///{path}") as store:
        for number in range(300):
            store.append(f"t{number}", MESSAGE, MESSAGE, ttl=1e-6)
        store.append("kept", MESSAGE)
    with (
        serving_process(f"sqlite:///{path}", CHATSTORE_SWEEP_EVERY="0.1") as base,
        httpx.Client(base_url=base) as client,
        sqlite3.connect(path) as file,
    ):
        for _ in range(3000):
            assert len(client.get("/v1/threads/kept/messages").json()["items"]) == 1
            if file.execute("SELECT count(*) FROM messages").fetchone() == (1,):
                break
        assert file.execute("SELECT id FROM threads").fetchall() == [("kept",)]


class Failing(MemoryBackend):
    """Cannot be swept the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.sweeps = 0
        self.again = threading.Event()

    async def sweep(self, limit: int) -> Swept:
        self.sweeps += 1
        if self.sweeps == 1:
            raise chatstore.Unavailable("for now")
        self.again.set()
        return await super().sweep(limit)


def test_a_sweep_that_fails_is_tried_again() -> None:
    backend = Failing()
    with serving(create_app(chatstore.AsyncChatStore(backend), Settings(sweep_every=0.01))) as base:
        assert backend.again.wait(20)
        assert httpx.get(f"{base}/healthz").status_code == 200


class Uncertain(Failing):
    """Does not know the time at first."""

    async def sweep(self, limit: int) -> Swept:
        try:
            return await super().sweep(limit)
        except chatstore.Unavailable:
            raise chatstore.ClockUncertain("the clock is 3 days ahead") from None


def test_a_sweep_that_is_refused_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    backend = Uncertain()
    with serving(create_app(chatstore.AsyncChatStore(backend), Settings(sweep_every=0.01))):
        assert backend.again.wait(20)
    logged = [(one.levelname, one.getMessage()) for one in caplog.records if "sweep" in one.getMessage()]
    assert logged[0] == ("ERROR", "The sweep was refused, and will be tried again: the clock is 3 days ahead")
    assert set(logged[1:]) <= {("INFO", "sweep")}


def test_no_sweep_where_there_is_to_be_none() -> None:
    backend = Failing()
    with serving(create_app(chatstore.AsyncChatStore(backend), Settings(sweep_every=0))) as base:
        httpx.get(f"{base}/healthz")
    assert backend.sweeps == 0
