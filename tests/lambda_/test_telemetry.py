"""What a function on AWS Lambda measures: sent within the invocation, or read out of its log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lambda_.conftest import PORTER
from tests.lambda_.emulator import Function, emulated
from tests.lambda_.events import SCHEDULED, function_url
from tests.telemetry.collector import collecting
from tests.telemetry.emf import extracted

MESSAGES = "/v1/threads/secret-thread/messages"
SAID = {"role": "user", "content": "hunter2"}
OPERATION = "POST /v1/threads/{id}/messages"


@pytest.fixture
def start(equipped: Path, tmp_path: Path) -> Callable[..., AbstractContextManager[Function]]:
    @contextmanager
    def started(**settings: str) -> Iterator[Function]:
        environ = {
            "CHATSTORE_URL": f"sqlite:///{tmp_path}/chat.db",
            "CHATSTORE_AUTH": "api-key",
            "CHATSTORE_API_KEYS": PORTER,
            **settings,
        }
        with emulated(equipped, tmp_path / "log", **environ) as function:
            yield function

    return started


def embedded(log: str) -> list[dict[str, float]]:
    """The values in a log by name, or by name and operation, line by line."""
    lines = []
    for line in log.splitlines():
        if '"_aws"' not in line:
            continue
        values: dict[str, float] = {}
        for (name, at), value in extracted(line).items():
            assert dict(at)["service"] == "chatstore"
            assert value.namespace == "chatstore"
            values[" ".join([name, *dict(at).get("operation", "").split()])] = value.value
        lines.append(values)
    return lines


def test_what_happened_is_sent_before_the_answer_is(start: Callable[..., Any]) -> None:
    with (
        collecting() as (endpoint, collector),
        start(CHATSTORE_TELEMETRY="otlp,emf", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as function,
    ):
        assert function.ask(function_url, "POST", MESSAGES, SAID).status == 201
        assert [span.name for span in collector.spans] == [OPERATION]
        assert function.ask(function_url, "GET", f"{MESSAGES}?last=1").status == 200
        assert len(collector.spans) == 2
        function.invoke(SCHEDULED)
        log = function.log()
    durations = collector.points("http.server.request.duration")
    assert sum(point.count for point in durations) == 2
    [cold] = collector.points("faas.coldstarts")
    assert (cold.value, cold.labels) == (1, {"faas.trigger": "http"})
    assert sum(point.count for point in collector.points("chatstore.sweep.duration")) == 1
    for resource in collector.resources:
        assert (resource["service.name"], resource["faas.name"]) == ("chatstore", "chatstore")
        assert resource["cloud.platform"] == "aws_lambda"
    everything = b"".join(collector.raw)
    assert b"hunter2" not in everything
    assert b"secret-thread" not in everything

    posted, read, swept = embedded(log)
    assert [one["faas.coldstarts"] for one in (posted, read, swept)] == [1, 0, 0]
    assert posted[f"http.server.request.duration {OPERATION}"] == posted["http.server.request.duration"] > 0
    assert swept["chatstore.sweep.backlog"] == 0
    assert "hunter2" not in log
    # The line in the log says the same.
    access = [json.loads(line) for line in log.splitlines() if '"chatstore.access"' in line]
    assert [one["cold_start"] for one in access] == [True, False]


def test_a_collector_that_takes_nothing_costs_the_next_callers_nothing(start: Callable[..., Any]) -> None:
    with (
        collecting(status=400) as (endpoint, collector),
        start(CHATSTORE_TELEMETRY="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as function,
    ):
        statuses = [function.ask(function_url, "POST", MESSAGES, SAID).status for _ in range(5)]
        assert statuses == [201] * 5
        assert len(collector.raw) == 1
        log = function.log()
    assert "telemetry lost 1 spans: the collector did not take them" in log
    # It is no failure of the service, and so no alarm's.
    assert '"level": "error"' not in log
    assert '"level":"error"' not in log


def test_a_sweep_may_be_what_a_new_instance_begins_with(start: Callable[..., Any]) -> None:
    with start(CHATSTORE_TELEMETRY="emf", CHATSTORE_LOG="off") as function:
        function.invoke(SCHEDULED)
        function.ask(function_url, "GET", "/healthz")
        swept, asked = embedded(function.log())
    assert (swept["faas.coldstarts"], asked["faas.coldstarts"]) == (1, 0)
    assert swept["chatstore.sweep.duration"] > 0
    assert "http.server.request.duration GET /healthz" in asked
