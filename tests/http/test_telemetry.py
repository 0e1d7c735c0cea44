"""Spans and metrics as a collector would get them, and nothing of it where it is off."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import httpx
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from chatstore import AsyncChatStore
from chatstore.http.app import create_app
from chatstore.settings import Settings
from tests.http.serving import serving
from tests.http.test_access import SECRET, Billed

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"  # pragma: allowlist secret


@pytest.fixture(scope="module")
def told() -> tuple[dict[str, ReadableSpan], dict[str, Any]]:
    """The spans by name, and the metrics by name, of a few requests."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    with (
        serving(create_app(AsyncChatStore(Billed()), Settings(telemetry="otlp"))) as base,
        httpx.Client(base_url=base) as http,
    ):
        http.get(f"/v1/threads/{SECRET}/messages?last=1", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        http.get("/v1/threads/broken/messages/x")
        http.put("/v1/threads/broken", content=SECRET)
        http.get("/v1/threads/broken/messages", headers={"traceparent": "nonsense"})
        http.request("PURGE", "/nowhere")
    data = reader.get_metrics_data()
    assert data is not None
    return (
        {f"{span.name} {span.attributes['http.response.status_code']!r}": span
         for span in spans.get_finished_spans() if span.attributes},
        {metric.name: metric.data.data_points
         for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics},
    )  # fmt: skip


def test_a_request_is_a_span_of_its_callers_trace(told: tuple[dict[str, ReadableSpan], Any]) -> None:
    spans, _ = told
    span = spans["GET /v1/threads/{id}/messages 200"]
    assert span.kind is SpanKind.SERVER
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x} {span.parent.span_id:016x}" == f"{TRACE} {PARENT}"
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/v1/threads/{id}/messages",
        "url.scheme": "http",
        "chatstore.storage.units.wru": 1,
        "chatstore.storage.units.rru": 0.5,
    }


def test_a_failure_is_an_error_and_a_refusal_is_none(told: tuple[dict[str, ReadableSpan], Any]) -> None:
    spans, _ = told
    failed = spans["GET /v1/threads/{id}/messages 500"]
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "internal-error"
    assert not failed.status.is_ok
    assert failed.parent is None
    refused = spans["GET /v1/threads/{id}/messages/{message_id} 404"]
    assert refused.status.is_unset
    assert "_OTHER 404" in spans


def test_durations_and_units_are_measured(told: tuple[Any, dict[str, Any]]) -> None:
    _, measured = told
    points = measured["http.server.request.duration"]
    assert sum(point.count for point in points) == 5
    assert all(0 < point.sum < 60 for point in points)
    units = {point.attributes["chatstore.unit"]: point.value for point in measured["chatstore.storage.units"]}
    assert units == {"wru": 1, "rru": 0.5}


def test_nothing_that_was_said_is_in_them(told: tuple[dict[str, ReadableSpan], Any]) -> None:
    spans, measured = told
    written = "".join(span.to_json() for span in spans.values()) + repr(measured)
    assert len(spans) == 5
    assert SECRET not in written.lower()
    assert "broken" not in written


def test_nothing_is_imported_where_it_is_off() -> None:
    program = """
import sys, chatstore
from chatstore.http.app import create_app
from chatstore.settings import Settings
create_app(chatstore.aconnect("memory://"), Settings(telemetry=sys.argv[1]))
print(any(name.partition(".")[0] == "opentelemetry" for name in sys.modules))
"""
    for setting in ("off", "otlp"):
        done = subprocess.run(
            [sys.executable, "-c", program, setting], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(setting == "otlp")
