"""function_app.py in Microsoft's worker library: indexed, called over HTTP and by the timer."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest

from chatstore.http.routes import ROUTES
from chatstore.sweeping import SWEEP_LOG
from tests.azure_tables.azurite import ACCOUNT
from tests.functions import functions_worker
from tests.servers import free_port, table_for
from tests.telemetry.collector import collecting

WORKER = functions_worker.ROOT / ".worker"
PACKAGES = WORKER / "app"
VERSION = "3.13"
"""The Python that infra/azure deploys unless told otherwise."""
SECRET = f"cs_{'a' * 16}_{'s' * 43}"


def call(method: str, path: str, body: str = "", **headers: str) -> dict[str, Any]:
    given = {"authorization": f"Bearer {SECRET}", "content-type": "application/json", **headers}
    return {"do": "call", "method": method, "path": path, "body": body, "headers": given}


@cache
def deployed() -> str | None:
    """A Python of the version that is deployed, if there is one that works and its packages are there."""
    named = [shutil.which(f"python{VERSION}"), *Path.home().glob(f".pyenv/versions/{VERSION}.*/bin/python")]
    program = f"import sys; sys.path.append({str(PACKAGES)!r}); import pydantic_core, azure.functions"
    for one in named:
        if one is None:
            continue
        if subprocess.run([one, "-I", "-c", program], capture_output=True, check=False).returncode == 0:
            return str(one)
    return None


class Worker(Protocol):
    def __call__(self, asked: list[dict[str, Any]], **environ: str) -> dict[str, Any]: ...


@pytest.fixture
def worker(azurite: str, absent: Callable[[str, str], NoReturn], tmp_path: Path) -> Worker:
    """Runs the app in a worker with threads in Azurite; what it tells of its functions and answers."""
    if not WORKER.exists():
        absent("azure-functions-runtime", "make .worker/.installed")
    key = {
        "id": "k",
        "sha256": hashlib.sha256(SECRET.encode()).hexdigest(),
        "tenant": "default",
        "scopes": ["read", "write", "admin"],
    }
    url = f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={azurite}&client=blocking"

    # Elsewhere the app runs with the packages of the tests' own Python.
    python, packages = (one, [str(PACKAGES)]) if (one := deployed()) else (sys.executable, [])

    def run(asked: list[dict[str, Any]], **environ: str) -> dict[str, Any]:
        done = subprocess.run(
            [python, "-I", functions_worker.__file__, str(WORKER), *packages],
            input="\n".join(json.dumps(one) for one in asked),
            env={
                **os.environ,
                "FUNCTIONS_WORKER_RUNTIME": "python",
                "CHATSTORE_URL": url,
                "CHATSTORE_AUTH": "api-key",
                "CHATSTORE_API_KEYS": json.dumps([key]),
                "CHATSTORE_REQUESTS_PER_MINUTE": "0",
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    return run


def test_it_is_indexed_and_answers(worker: Worker) -> None:
    messages = "/v1/threads/t/messages"
    text = json.dumps([{"role": "user", "content": "\u00e9 \U0001f642"}], ensure_ascii=False)
    told = worker(
        [
            call("POST", messages, text.encode().decode("latin-1")),
            call("GET", f"{messages}?last=1"),
            call("GET", "/v1/threads/none"),
            call("POST", messages, "\xff\xfe\x00", **{"content-type": "application/octet-stream"}),
            call("GET", "/v1/threads", authorization="Bearer nobody"),
            {
                "do": "together",
                "path": "/v1/threads/many/messages",
                "count": 50,
                "headers": call("", "")["headers"],
            },
            call("GET", "/v1/threads/many/messages?limit=100"),
            {"do": "timer"},
        ]
    )
    assert told["python"] == VERSION or deployed() is None
    functions = told["functions"]
    assert set(functions) == {"http_app_func", "sweep"}
    [trigger] = [one for one in functions["http_app_func"] if one["type"] == "httpTrigger"]
    # The app asks callers itself, and so the host must not; an empty prefix is in host.json.
    assert (trigger["authLevel"], trigger["route"]) == ("ANONYMOUS", "/{*route}")
    assert (
        json.loads((functions_worker.ROOT / "host.json").read_text())["extensions"]["http"]["routePrefix"]
        == ""
    )
    [timer] = [one for one in functions["sweep"] if one["type"] == "timerTrigger"]
    assert timer["schedule"] == "0 17 * * * *"
    assert told["retries"] == {
        "http_app_func": {},
        "sweep": {"max_retry_count": 2, "retry_strategy": "fixed_delay", "delay_interval": "0:05:00"},
    }

    live, appended, read, missing, binary, stranger, together, many, swept = told["answers"]
    assert live["status"] == 200
    assert appended["status"] == 201, appended
    assert appended["headers"]["chatstore-cost"].startswith("azure-tables; transactions=")
    [item] = json.loads(read["body"].encode("latin-1"))["items"]
    assert item["message"]["content"] == "\u00e9 \U0001f642"
    assert (missing["status"], binary["status"], stranger["status"]) == (404, 415, 401)
    assert together["statuses"] == [201] * 50
    contents = [one["message"]["content"] for one in json.loads(many["body"])["items"]]
    assert sorted(contents) == list(range(50))
    assert swept == {"timer": "StatusResult.Success"}
    [line] = [json.loads(one["message"]) for one in told["log"] if one["category"] == SWEEP_LOG]
    assert (line["logger"], line["threads"], line["more"]) == (SWEEP_LOG, 0, False)


def test_the_version_is_the_one_that_is_deployed() -> None:
    template = (functions_worker.ROOT / "infra/azure/main.bicep").read_text()
    assert f"param pythonVersion string = '{VERSION}'\n" in template


def test_every_route_is_reached(worker: Worker) -> None:
    said = json.dumps({"role": "user", "content": "hello"})
    messages = "/v1/threads/t/messages"
    begun = worker(
        [
            call("POST", "/v1/threads", json.dumps({"id": "t", "owner": "ada"})),
            call("POST", messages, f"[{said}, {said}, {said}]"),
            call("GET", messages),
        ]
    )["answers"]
    assert [one["status"] for one in begun] == [200, 201, 201, 200]
    first, second, _ = (one["id"] for one in json.loads(begun[-1]["body"])["items"])
    at = "2026-01-31T12:00:00Z"
    restored = json.dumps({"thread": {"created_at": at, "active_at": at}})
    asked = {
        "POST /v1/threads": call("POST", "/v1/threads", "{}"),
        "GET /v1/threads": call("GET", "/v1/threads?owner=ada"),
        "GET /v1/threads/{id}": call("GET", "/v1/threads/t"),
        "PATCH /v1/threads/{id}": call("PATCH", "/v1/threads/t", '{"metadata": {"topic": "x"}}'),
        "POST /v1/threads/{id}/fork": call("POST", "/v1/threads/t/fork", "{}"),
        "POST /v1/threads/{id}/restore": call("POST", "/v1/threads/old/restore", restored),
        "POST /v1/threads/{id}/messages": call("POST", messages, said),
        "GET /v1/threads/{id}/messages": call("GET", f"{messages}?last=20"),
        "GET /v1/threads/{id}/messages/{message_id}": call("GET", f"{messages}/{first}"),
        "PATCH /v1/threads/{id}/messages/{message_id}": call(
            "PATCH", f"{messages}/{first}", '{"metadata": {"rating": 5}}'
        ),
        "PUT /v1/threads/{id}/messages/{message_id}": call("PUT", f"{messages}/{first}", said),
        "DELETE /v1/threads/{id}/messages/{message_id}": call("DELETE", f"{messages}/{second}"),
        "PUT /v1/threads/{id}/messages": call("PUT", messages, f"[{said}]"),
        "DELETE /v1/threads/{id}/messages": call("DELETE", messages),
        "GET /v1/changes": call("GET", "/v1/changes"),
        "GET /v1/count": call("GET", "/v1/count?owner=ada"),
        "GET /v1/search": call("GET", "/v1/search?owner=ada&text=hello"),
        "DELETE /v1/threads/{id}": call("DELETE", "/v1/threads/t"),
        "DELETE /v1/owners/{owner}": call("DELETE", "/v1/owners/ada"),
        "DELETE /v1/tenants/{tenant}": call("DELETE", "/v1/tenants/default"),
        "GET /healthz": call("GET", "/healthz"),
        "GET /readyz": call("GET", "/readyz"),
        "GET /metrics": call("GET", "/metrics"),
        "GET /openapi.json": call("GET", "/openapi.json"),
        "GET /docs": call("GET", "/docs"),
    }
    answers = worker(list(asked.values()), CHATSTORE_TELEMETRY="prometheus")["answers"][1:]
    expected = {f"{route.method} {route.path}": min(route.answers) for route in ROUTES}
    # Azure's tables have no index for these.
    expected |= {"GET /v1/count": 501, "GET /v1/search": 501}
    assert dict(zip(asked, (one.get("status") for one in answers), strict=True)) == expected
    for kind, answer in zip(asked, answers, strict=True):
        assert answer["body"], kind


def test_what_fails_is_answered_by_the_app_and_told_to_the_host(worker: Worker) -> None:
    nowhere = f"aztables://{ACCOUNT}/chat?endpoint=http://127.0.0.1:{free_port()}/{ACCOUNT}"
    told = worker([call("GET", "/v1/threads/t"), {"do": "timer"}], CHATSTORE_URL=nowhere, CHATSTORE_LOG="off")
    alive, failed, swept = told["answers"]
    # A caller gets the service's own problem; only the timer, which nobody waits for, fails.
    assert alive["status"] == 200
    assert failed["status"] == 503
    assert json.loads(failed["body"])["type"].endswith("unavailable")
    assert swept["timer"] == "StatusResult.Failure"
    levels = {one["level"] for one in told["log"] if one["category"].startswith("chatstore")}
    assert levels == {"ERROR"}


def test_the_hosts_log_has_the_lines_that_every_other_log_has(worker: Worker) -> None:
    messages = "/v1/threads/secret-thread/messages"
    said = json.dumps({"role": "user", "content": "hunter2"})
    asked = [
        call("POST", messages, said, **{"x-request-id": "r-1"}),
        {"do": "break", "text": "hunter2"},
        call("GET", "/v1/threads/secret-thread"),
        {"do": "timer"},
    ]
    told = worker(asked)
    _, posted, failed, swept = told["answers"]
    assert (posted["status"], failed["status"]) == (201, 500)
    ours = [one for one in told["log"] if one["category"].startswith("chatstore")]
    access = [json.loads(one["message"]) for one in ours if one["category"] == "chatstore.access"]
    line = access[1]
    assert (line["request_id"], line["tenant"], line["credential"]) == ("r-1", "default", "key:k")
    assert (line["route"], line["status"]) == ("/v1/threads/{id}/messages", 201)
    assert line["units"]["transactions"] >= 1
    # An unexpected error is there with its place, and without its text, from the service and from the timer.
    errors = [json.loads(one["message"]) for one in ours if one["level"] == "ERROR"]
    assert [one["message"] for one in errors] == ["The service failed", "the sweep failed"]
    assert all("RuntimeError" in one["traceback"] for one in errors)
    assert swept["timer"] == "StatusResult.Failure"
    assert "the sweep failed with RuntimeError" in swept["failed"]
    for word in ("hunter2", "secret-thread"):
        assert word not in json.dumps([told["log"], swept])
    # Two records for each request that the SDK sends would fill what telemetry there may be.
    assert [one for one in told["log"] if one["category"].startswith("azure.core")] == []


def test_a_collector_gets_what_happened(worker: Worker) -> None:
    messages = "/v1/threads/secret-thread/messages"
    said = json.dumps({"role": "user", "content": "hunter2"})
    with collecting() as (endpoint, collector):
        asked = [call("POST", messages, said), call("GET", f"{messages}?last=1"), {"do": "timer"}]
        settings = {"CHATSTORE_TELEMETRY": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        told = worker(asked, **settings, WEBSITE_SITE_NAME="chat-1")
    assert [one.get("status") for one in told["answers"]] == [200, 201, 200, None]
    names = [span.name for span in collector.spans]
    assert names == [
        "GET /healthz", "POST /v1/threads/{id}/messages", "GET /v1/threads/{id}/messages",
    ]  # fmt: skip
    assert sum(one.count for one in collector.points("http.server.request.duration")) == 3
    units = {one.labels["chatstore.operation"]: one for one in collector.points("chatstore.storage.units")}
    assert set(units) == {*names[1:], "sweep"}
    assert units["POST /v1/threads/{id}/messages"].labels["chatstore.unit"] == "transactions"
    assert all(one.value >= 1 for one in units.values())
    [cold] = collector.points("faas.coldstarts")
    assert (cold.value, cold.labels) == (1, {"faas.trigger": "http"})
    assert sum(one.count for one in collector.points("chatstore.sweep.duration")) == 1
    for resource in collector.resources:
        assert (resource["service.name"], resource["cloud.platform"]) == ("chat-1", "azure_functions")
    everything = b"".join(collector.raw)
    assert b"hunter2" not in everything
    assert b"secret-thread" not in everything
