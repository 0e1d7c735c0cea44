"""Sends spans and metrics by OTLP over HTTP, as the standard ``OTEL_*`` variables say where to.

Nobody who asks the service waits for the sending. What is to be sent waits in a bounded queue for a thread.
On AWS Lambda it is sent as the invocation ends, because a frozen instance sends nothing. What does not fit,
or is not taken, is lost and counted.
"""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http import metric_exporter, trace_exporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import chatstore
from chatstore.errors import ConfigurationError
from chatstore.http.telemetry.losses import Losses
from chatstore.settings import cloud_platform, function_name, otel_variables

__all__ = ["MOST_SPANS", "Queue", "Sender", "sending"]

MOST_SPANS = 2048
"""How many spans wait to be sent; the next one is lost."""

_AT_ONCE = 512
_SPANS_SECONDS = 5.0
_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
_TIMEOUTS = frozenset(f"OTEL_EXPORTER_OTLP_{signal}TIMEOUT" for signal in ("", "TRACES_", "METRICS_"))
_ENDPOINTS = frozenset(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT" for signal in ("", "TRACES_", "METRICS_"))
_LAMBDA_TIMEOUT_SECONDS = 1.0
"""What a call to a collector may take there unless a variable says: a caller waits."""

_LAST_SECONDS = 3.0
"""How long the end of the process waits for what is still to be sent."""

_REST_SECONDS, _LONGEST_REST_SECONDS = 15.0, 240.0


class Queue(SpanProcessor):
    """Spans that have ended, until they are sent; `full` is told when there are many."""

    def __init__(
        self, exporter: SpanExporter, losses: Losses, full: Callable[[], None] = lambda: None
    ) -> None:
        self._exporter = exporter
        self._losses = losses
        self._full = full
        self._spans: deque[ReadableSpan] = deque()

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span that is to be sent, if there is room."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if len(self._spans) >= MOST_SPANS:
            self._losses.add("spans", 1, f"{MOST_SPANS:,} wait to be sent")
            return
        self._spans.append(span)
        if len(self._spans) >= _AT_ONCE:
            self._full()

    def send(self) -> bool:
        """Send what waits, and say whether it was taken: what is not is lost."""
        for _ in range(math.ceil(len(self._spans) / _AT_ONCE)):
            batch = [self._spans.popleft() for _ in range(min(len(self._spans), _AT_ONCE))]
            if self._exporter.export(batch) is not SpanExportResult.SUCCESS:
                self._losses.add("spans", len(batch), "the collector did not take them")
                return False
        return True


class _Metrics(OTLPMetricExporter):
    """Remembers whether the last ones were taken, which their reader does not ask."""

    taken = True

    def export(self, *args: Any, **named: Any) -> MetricExportResult:
        result = super().export(*args, **named)
        self.taken = result is MetricExportResult.SUCCESS
        return result


class Sender:
    """Sends spans and metrics when it is asked to, but leaves a collector alone for a while that failed."""

    def __init__(
        self,
        spans: Callable[[], bool],
        metrics: Callable[[], bool],
        losses: Losses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signals = spans, metrics
        self._losses = losses
        self._clock = clock
        self._lock = threading.Lock()
        self._rest, self._until = _REST_SECONDS, -math.inf

    def send(self, *, metrics: bool = True) -> None:
        """Send what there is; without the `metrics`, spans alone. One call at a time."""
        with self._lock:
            if self._clock() < self._until:
                return
            if self._signals[0]() and (not metrics or self._sent_metrics()):
                self._rest = _REST_SECONDS
            else:
                self._until = self._clock() + self._rest
                self._rest = min(self._rest * 2, _LONGEST_REST_SECONDS)

    def _sent_metrics(self) -> bool:
        taken = self._signals[1]()
        if not taken:
            self._losses.add("exports of metrics", 1, "the collector did not take them")
        return taken


def sending(losses: Losses) -> Callable[[], None]:
    """Set the process's providers, and give what sends at once all that waits.

    On AWS Lambda nothing else sends. Elsewhere a thread does, and the end of the process.
    Raises ConfigurationError for a variable that cannot be used.
    """
    given = otel_variables()
    seconds = _seconds(given.get(_INTERVAL, "60000"))
    if cloud_platform() == "Azure Functions" and not _ENDPOINTS & given.keys():
        raise ConfigurationError(
            "CHATSTORE_TELEMETRY=otlp needs a collector: set OTEL_EXPORTER_OTLP_ENDPOINT"
        )
    on_lambda = cloud_platform() == "AWS Lambda"
    timeout = _LAMBDA_TIMEOUT_SECONDS if on_lambda and not _TIMEOUTS & given.keys() else None
    for exporting in (metric_exporter, trace_exporter):
        logging.getLogger(exporting.__name__).addFilter(_as_warning)
    woken = threading.Event()
    exporter = _Metrics(timeout=timeout)
    reader = PeriodicExportingMetricReader(exporter, math.inf)
    queue = Queue(OTLPSpanExporter(timeout=timeout), losses, woken.set)
    resource = _resource()
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(queue)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([reader], resource, shutdown_on_exit=False))

    def collected() -> bool:
        exporter.taken = True
        reader.collect()
        return exporter.taken

    sender = Sender(queue.send, collected, losses)
    if not on_lambda:
        _Thread(sender, woken, seconds).start()
    return sender.send


class _Thread(threading.Thread):
    """Sends from time to time, when it is `woken`, and at the end of the process, which waits a little."""

    def __init__(self, sender: Sender, woken: threading.Event, seconds: float) -> None:
        super().__init__(name="chatstore-telemetry", daemon=True)
        self._sender = sender
        self._woken = woken
        self._seconds = seconds
        self._ending, self._ended = threading.Event(), threading.Event()
        atexit.register(self._end)

    def run(self) -> None:
        due = time.monotonic() + self._seconds
        while not self._ending.is_set():
            self._woken.wait(min(_SPANS_SECONDS, self._seconds))
            self._woken.clear()
            now = time.monotonic()
            is_due = now >= due or self._ending.is_set()
            self._sender.send(metrics=is_due)
            due = now + self._seconds if is_due else due
        self._ended.set()

    def _end(self) -> None:
        self._ending.set()
        self._woken.set()
        self._ended.wait(_LAST_SECONDS)


def _as_warning(record: logging.LogRecord) -> bool:
    """What the exporters call errors is none of the service's, and is to raise no alarm."""
    if record.levelno > logging.WARNING:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _seconds(text: str) -> float:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 86_400_000):
        raise ConfigurationError(f"{_INTERVAL} is a number of milliseconds, up to a day, not {text[:100]!r}")
    return int(text) / 1000


def _resource() -> Resource:
    """Who tells: each instance by a name of its own, unless the variables say otherwise."""
    function, platform = function_name(), cloud_platform()
    ours = {
        "service.name": function or "chatstore",
        "service.version": chatstore.__version__,
        "service.instance.id": str(uuid.uuid4()),
        **({"faas.name": function} if function else {}),
        **({"cloud.platform": _PLATFORMS[platform]} if platform in _PLATFORMS else {}),
    }
    return Resource.create().merge(Resource(ours)).merge(OTELResourceDetector().detect())


_PLATFORMS = {"AWS Lambda": "aws_lambda", "Azure Functions": "azure_functions"}
