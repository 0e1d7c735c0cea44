"""Spans and metrics for OpenTelemetry. Imported only where telemetry is on.

A request is a server span, a child of its W3C ``traceparent``, with the attributes of the HTTP semantic
conventions; its route is the template. Two metrics: ``http.server.request.duration`` in seconds, and
``chatstore.storage.units``, what the storage billed, by unit.
"""

from __future__ import annotations

import time

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatstore.http.access import METHODS, route_of, units_of

__all__ = ["Telemetry", "export"]


def export() -> None:
    """Send spans and metrics over OTLP, as the standard ``OTEL_*`` variables say where to and of whom."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))


class Telemetry:
    """A span and measurements for each request, to the providers that the process has set."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._tracer = trace.get_tracer("chatstore")
        meter = metrics.get_meter("chatstore")
        self._duration = meter.create_histogram(
            "http.server.request.duration", "s", "Duration of HTTP server requests."
        )
        self._units = meter.create_counter("chatstore.storage.units", "{unit}", "What the storage billed.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within a span."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        given = Headers(scope=scope)
        # Two headers of one name are no trace that anybody sent.
        carrier = {name: given[name] for name in ("traceparent", "tracestate") if name in given}
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        status = 500
        units: dict[str, float] = {}

        async def watched(message: Message) -> None:
            nonlocal status, units
            if message["type"] == "http.response.start":
                status, units = message["status"], units_of(message["headers"])
            await send(message)

        with self._tracer.start_as_current_span(
            method,
            TraceContextTextMapPropagator().extract(carrier),
            SpanKind.SERVER,
            record_exception=False,  # its text may hold what was said
        ) as span:
            try:
                await self.app(scope, receive, watched)
            finally:
                attributes: dict[str, str | int] = {
                    "http.request.method": method,
                    "http.response.status_code": status,
                    "url.scheme": scope.get("scheme", "http"),
                }
                route = route_of(scope)
                if route is not None:
                    attributes["http.route"] = route
                    span.update_name(f"{method} {route}")
                if status >= 500:
                    attributes["error.type"] = scope.get("chatstore.error") or str(status)
                    span.set_status(StatusCode.ERROR)
                span.set_attributes(attributes)
                self._duration.record(time.perf_counter() - began, attributes)
                for unit, number in units.items():
                    self._units.add(number, {"chatstore.unit": unit, "http.route": route or ""})
