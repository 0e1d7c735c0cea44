"""/metrics: what Prometheus reads, and who may."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import AsyncChatStore, Cost
from chatstore.backends.memory import MemoryBackend
from chatstore.contract import Span, ThreadKey
from chatstore.http.access import METHODS, Facts
from chatstore.http.app import create_app
from chatstore.http.routes import ROUTES
from chatstore.http.telemetry import telemetry_to
from chatstore.http.telemetry.losses import Losses
from chatstore.http.telemetry.measurements import BOUNDS, INSTRUMENTS, Sweep
from chatstore.http.telemetry.prometheus import Prometheus
from chatstore.models import Message, Page
from chatstore.settings import Settings
from tests.http.serving import serving
from tests.telemetry.exposition import parsed

SECRET = "hunter2"  # pragma: allowlist secret
DURATION = "http_server_request_duration_seconds"
HOSTILE = st.text(min_size=1)
FACTS = st.builds(
    Facts,
    tenant=HOSTILE,
    credential=HOSTILE,
    scheme=st.sampled_from(["http", "https"]),
    method=st.sampled_from(sorted(METHODS)),
    route=st.none() | st.sampled_from([route.path for route in ROUTES]),
    status=st.none() | st.sampled_from([200, 404, 412, 500, 503]),
    seconds=st.floats(0, 100) | st.sampled_from(BOUNDS),
    bytes=st.integers(0),
    units=st.dictionaries(HOSTILE, st.floats(0, 1e6), max_size=2),
    retries=st.integers(0, 3),
    conflicts=st.integers(0, 3),
    error=st.none() | HOSTILE,
    cold_start=st.booleans(),
)


class Billed(MemoryBackend):
    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        if key.id == "broken":
            raise RuntimeError(SECRET)
        page = await super().read(key, span)
        return Page(page.items, page.next, page.end, page.etag, Cost("toy", {"wru": 1, "rru": 0.5}, 1))


def key(name: str, *scopes: str) -> dict[str, object]:
    secret = hashlib.sha256(f"cs_{name}".encode()).hexdigest()
    return {"id": name, "sha256": secret, "tenant": "acme", "scopes": scopes}


KEYS = json.dumps([key("porter", "admin"), key("writer", "read", "write")])


def as_(name: str) -> dict[str, str]:
    return {"X-API-Key": f"cs_{name}"}


@pytest.fixture
def make() -> Iterator[Callable[[str], httpx.Client]]:
    """Makes a service over a store in memory, and a client of it."""
    telemetry_to.cache_clear()
    opened = []

    def made(telemetry: str) -> httpx.Client:
        settings = Settings(telemetry=telemetry, auth="api-key", api_keys=KEYS)
        running = serving(create_app(AsyncChatStore(Billed()), settings))
        opened.append(running)
        return httpx.Client(base_url=running.__enter__())

    yield made
    for one in opened:
        one.__exit__(None, None, None)


def test_what_was_asked_is_what_prometheus_reads(make: Callable[[str], httpx.Client]) -> None:
    with make("prometheus") as http:
        for number in range(30):
            path = f"/v1/threads/secret-{number}/messages"
            assert http.post(path, json={"role": "user", "content": SECRET}, headers=as_("writer")).is_success
            http.get(path, headers=as_("writer"), params={"last": 1})
            http.get(f"/{SECRET}{number}", headers=as_("writer"))
        http.get("/v1/threads/broken/messages", headers=as_("writer"))
        answer = http.get("/metrics", headers=as_("porter"))
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    told = parsed(answer.text)
    durations = told[DURATION]
    assert durations.value("_count") == 91
    assert durations.value("_count", http_route="/v1/threads/{id}/messages", http_request_method="POST") == 30
    assert durations.value("_count", http_response_status_code="404") == 30
    assert durations.value("_count", error_type="internal-error") == 1
    units = told["chatstore_storage_units_total"]
    read = "GET /v1/threads/{id}/messages"
    assert units.value(chatstore_operation=read, chatstore_unit="wru") == 30
    assert units.value(chatstore_operation=read, chatstore_unit="rru") == 15
    assert len(durations.samples) == 4 * (len(BOUNDS) + 3)
    for word in (SECRET, "secret-", "acme", "writer", "porter"):
        assert word not in answer.text


def test_metrics_are_the_admins(make: Callable[[str], httpx.Client]) -> None:
    with make("prometheus") as http:
        assert http.get("/metrics").status_code == 401
        refused = http.get("/metrics", headers=as_("writer"))
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert http.get("/metrics", headers=as_("porter")).status_code == 200
        operation = http.get("/openapi.json").json()["paths"]["/metrics"]["get"]
    assert set(operation["responses"]["200"]["content"]) == {"text/plain; version=0.0.4; charset=utf-8"}
    assert "403" in operation["responses"]
    assert "admin" in json.dumps(operation["security"]) + operation["description"]


@pytest.mark.parametrize("telemetry", ["off", "emf", "otlp,emf"])
def test_where_they_are_off_it_is_said_how_to_turn_them_on(
    make: Callable[[str], httpx.Client], telemetry: str
) -> None:
    with make(telemetry) as http:
        answer = http.get("/metrics", headers=as_("porter"))
        assert http.get("/metrics", headers=as_("writer")).status_code == 403
    assert answer.status_code == 404
    assert "add prometheus to CHATSTORE_TELEMETRY" in answer.json()["detail"]


@given(st.lists(FACTS, max_size=20), st.booleans())
def test_whatever_happens_it_can_be_read(facts: list[Facts], more: bool) -> None:
    prometheus = Prometheus(Losses())
    for one in facts:
        prometheus.end(None, one)
    prometheus.swept(Sweep({"threads": 3}, more, 0.5, {"wru": 2}, 1, 0, None, False))
    told = parsed(prometheus.text())
    assert len(told) == len(INSTRUMENTS) + 1
    assert told[DURATION].value("_count") == len(facts)
    assert told["chatstore_storage_conflicts_total"].value() == sum(one.conflicts for one in facts)
    assert told["chatstore_storage_retries_total"].value() == 1 + sum(one.retries for one in facts)
    assert told["faas_coldstarts_total"].value() == sum(one.cold_start for one in facts)
    assert told["chatstore_sweep_backlog"].value() == more
    assert told["chatstore_sweep_removed_total"].value(chatstore_kind="threads") == 3
    total = sum(one.seconds for one in facts)
    assert told[DURATION].value("_sum") == pytest.approx(total)
