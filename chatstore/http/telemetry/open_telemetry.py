"""Spans and metrics for OpenTelemetry, to the providers that the process has set.

A request is a server span, a child of its W3C ``traceparent``. It has the attributes of the HTTP semantic
conventions, and what the request asked of the storage. Its route is the template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import Scope

from chatstore.http.access import METHODS, Facts
from chatstore.http.telemetry.losses import Losses
from chatstore.http.telemetry.measurements import (
    BOUNDS,
    INSTRUMENTS,
    LOST,
    Instrument,
    Labels,
    Measurement,
    Sweep,
    labels_of,
    of_request,
    of_sweep,
)

__all__ = ["OpenTelemetry"]

_Record: TypeAlias = Callable[[float, Labels], None]
_SCOPE = "chatstore"


class OpenTelemetry:
    """A span and measurements for each request, measurements for each sweep."""

    def __init__(self, losses: Losses) -> None:
        self._tracer = trace.get_tracer(_SCOPE)
        self._meter = metrics.get_meter(_SCOPE)
        self._recording = {one: self._made(one) for one in INSTRUMENTS}

        def lost(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(number, {"chatstore.kind": what}) for what, number in losses.counts.items()]

        self._meter.create_observable_counter(LOST.name, [lost], LOST.unit, LOST.meaning)

    def _made(self, instrument: Instrument) -> _Record:
        name, kind, unit, meaning = instrument
        if kind == "counter":
            return self._meter.create_counter(name, unit, meaning).add
        if kind == "gauge":
            return self._meter.create_gauge(name, unit, meaning).set
        return self._meter.create_histogram(
            name, unit, meaning, explicit_bucket_boundaries_advisory=BOUNDS
        ).record

    def begin(self, scope: Scope) -> object:
        """Begin the span that all that the request does is within."""
        given = Headers(scope=scope)
        # Two headers of one name are no trace that anybody sent.
        carrier = {name: given[name] for name in ("traceparent", "tracestate") if name in given}
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        span = self._tracer.start_span(
            method, TraceContextTextMapPropagator().extract(carrier), SpanKind.SERVER
        )
        return span, context.attach(trace.set_span_in_context(span))

    def end(self, begun: object, facts: Facts) -> None:
        """End it, and measure the request."""
        if isinstance(begun, tuple):
            span, token = begun
            context.detach(token)
            _finish(span, facts)
        self._record(of_request(facts))

    def swept(self, sweep: Sweep) -> None:
        """Measure a run of a sweep."""
        self._record(of_sweep(sweep))

    def _record(self, measurements: Iterable[Measurement]) -> None:
        for instrument, value, labels in measurements:
            self._recording[instrument](value, labels)


def _finish(span: Span, facts: Facts) -> None:
    labels = labels_of(facts)
    if facts.route is not None:
        span.update_name(f"{labels['http.request.method']} {facts.route}")
    if "error.type" in labels:
        span.set_status(StatusCode.ERROR)
    span.set_attributes(labels)
    asked: dict[str, float] = {f"chatstore.storage.units.{unit}": n for unit, n in facts.units.items()}
    asked |= {"chatstore.storage.retries": facts.retries, "chatstore.storage.conflicts": facts.conflicts}
    span.set_attributes({name: number for name, number in asked.items() if number})
    if facts.cold_start:
        span.set_attribute("faas.coldstart", True)
    span.end()
