"""`chatstore serve` and a collector that takes what it sends, or does not."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from chatstore.errors import ConfigurationError
from chatstore.http.telemetry import Telemetry, telemetry_to
from chatstore.http.telemetry.losses import Losses
from chatstore.http.telemetry.sending import MOST_SPANS, Queue, Sender
from chatstore.settings import Settings
from tests.http.running import served
from tests.telemetry.collector import collecting

SECRET = "hunter2"  # pragma: allowlist secret
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"  # pragma: allowlist secret
MESSAGES = "/v1/threads/secret-thread/messages"


def test_a_collector_gets_what_requests_and_sweeps_were(tmp_path: Path) -> None:
    with collecting() as (endpoint, collector):
        settings = {
            "CHATSTORE_TELEMETRY": "otlp",
            "CHATSTORE_SWEEP_EVERY": "0.2",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        }
        with served(f"sqlite:///{tmp_path}/chat.db", **settings) as (base, process):
            with httpx.Client(base_url=base) as http:
                traced = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
                http.post(MESSAGES, json={"role": "user", "content": SECRET}, headers=traced)
                for number in range(20):
                    http.get(f"/{SECRET}-{number}?q={SECRET}")
                    http.get(f"/v1/threads/secret-thread-{number}")
                http.request("PURGE", MESSAGES)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0

    unit, points = collector.metrics["http.server.request.duration"]
    assert unit == "s"
    assert sum(point.count for point in points) == 42
    assert all(0 < point.sum < 60 for point in points)
    by_route = {
        (point.labels["http.request.method"], point.labels.get("http.route")): point for point in points
    }
    # However many threads and paths there are, a route is one series.
    assert len(by_route) == len(points) == 4
    posted = by_route["POST", "/v1/threads/{id}/messages"].labels
    assert posted == {
        "http.request.method": "POST",
        "http.route": "/v1/threads/{id}/messages",
        "http.response.status_code": 201,
        "url.scheme": "http",
    }
    assert by_route["GET", "/v1/threads/{id}"].count == 20
    sweeps = collector.points("chatstore.sweep.duration")
    assert sum(point.count for point in sweeps) > 0
    assert sweeps[0].labels == {}
    assert [point.value for point in collector.points("chatstore.sweep.backlog")] == [0]

    assert len(collector.spans) == 42
    [span] = [one for one in collector.spans if one.name == "POST /v1/threads/{id}/messages"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    for resource in collector.resources:
        assert (resource["service.name"], resource["deployment.environment.name"]) == ("chatstore", "test")
        assert resource["service.instance.id"] == collector.resources[0]["service.instance.id"]
    everything = b"".join(collector.raw).lower()
    assert SECRET.encode() not in everything
    assert b"secret-thread" not in everything


def test_a_collector_that_never_answers_delays_nobody(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {
            "CHATSTORE_TELEMETRY": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_METRIC_EXPORT_INTERVAL": "50",
        }
        with served(f"sqlite:///{tmp_path}/chat.db", **settings) as (base, process):
            with httpx.Client(base_url=base) as http, contextlib.ExitStack() as open_:
                http.get("/healthz")
                open_.enter_context(silent.accept()[0])  # it is being sent to
                began = time.monotonic()
                assert {http.get("/healthz").status_code for _ in range(50)} == {200}
                assert time.monotonic() - began < 5
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


@pytest.mark.parametrize("text", ["x", "0", "-5", "1e3"])
def test_a_variable_of_opentelemetrys_that_cannot_be_used_ends_the_start(text: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chatstore", "serve", "--port", "0", "--url", f"sqlite:///{tmp_path}/chat.db"],
        env={"PATH": "", "CHATSTORE_TELEMETRY": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": text},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "OTEL_METRIC_EXPORT_INTERVAL is a number of milliseconds" in done.stderr


class Taking(SpanExporter):
    """Takes spans while it is told to."""

    def __init__(self) -> None:
        self.takes = True
        self.asked = 0
        self.taken: list[ReadableSpan] = []

    def export(self, spans: object) -> SpanExportResult:
        self.asked += 1
        if not self.takes:
            return SpanExportResult.FAILURE
        assert isinstance(spans, list)
        self.taken += spans
        return SpanExportResult.SUCCESS


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_does_not_fit_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    exporter, clock = Taking(), Clock()
    losses = Losses(clock)
    queue = Queue(exporter, losses)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    tracer = provider.get_tracer("test")
    for _ in range(MOST_SPANS + 7):
        tracer.start_span("x").end()
    assert losses.counts == {"spans": 7}
    assert [record.getMessage() for record in caplog.records] == [
        "telemetry lost 1 spans: 2,048 wait to be sent"
    ]
    clock.now = 61
    exporter.takes = False
    assert not queue.send()
    # One batch is lost, the rest waits.
    assert losses.counts == {"spans": 7 + 512}
    assert caplog.records[-1].getMessage() == "telemetry lost 518 spans: the collector did not take them"
    exporter.takes = True
    assert queue.send()
    assert len(exporter.taken) == MOST_SPANS - 512


def test_a_collector_that_fails_is_left_alone_for_a_while() -> None:
    clock, losses = Clock(), Losses()
    takes, sent = [False], [0]

    def send() -> bool:
        sent[0] += 1
        return takes[0]

    sender = Sender(send, lambda: True, losses, clock)
    tried = []
    for second in range(600):
        clock.now = second
        before = sent[0]
        sender.send()
        if sent[0] > before:
            tried.append(second)
    assert tried == [0, 15, 45, 105, 225, 465]
    takes[0], clock.now = True, 1000
    sender.send()
    sender.send()
    assert sent[0] == len(tried) + 2


def test_an_error_of_what_measures_is_not_the_requests() -> None:
    class Broken:
        def begin(self, scope: object) -> object:
            raise RuntimeError(SECRET)

        end = swept = begin

    losses = Losses()
    telemetry = Telemetry([Broken()], losses)  # type: ignore[list-item]  # so broken that it has other arguments
    assert telemetry.begin({}) == [None]
    telemetry.end([None], None)  # type: ignore[arg-type]  # it is not looked at
    assert losses.counts == {"measurements": 2}


def test_places_that_are_not_known_are_refused_from_a_program_too() -> None:
    with pytest.raises(ConfigurationError, match="otlp, emf or prometheus, not 'on'"):
        telemetry_to(Settings(telemetry="on").telemetry)


OFF = """
import sys, chatstore, asyncio
from chatstore.http.app import create_app
from chatstore.settings import Settings
app = create_app(chatstore.aconnect("memory://"), Settings(telemetry=sys.argv[1]))
async def receive(): return {"type": "http.request", "body": b""}
async def send(message): pass
scope = {"type": "http", "method": "GET", "path": "/healthz", "raw_path": b"/healthz", "root_path": "",
         "scheme": "http", "query_string": b"", "headers": [(b"host", b"localhost")]}
asyncio.run(app(scope, receive, send))
names = ("chatstore.http.telemetry", "opentelemetry", "google", "requests", "urllib3")
print(*(name for name in names if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("telemetry", "loaded"),
    [("off", []), ("emf", ["chatstore.http.telemetry"]), ("prometheus", ["chatstore.http.telemetry"])],
)
def test_nothing_is_loaded_that_is_not_asked_for(telemetry: str, loaded: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", OFF, telemetry], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == loaded
