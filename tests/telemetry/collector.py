"""A collector on loopback: takes OTLP over HTTP, in protocol buffers, and keeps what it was sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Point:
    """One value of a metric, with its labels."""

    def __init__(self, point: Any) -> None:
        self.labels = attributes(point.attributes)
        self.count: int = getattr(point, "count", 0)
        self.sum: float = getattr(point, "sum", 0.0)
        self.value: float = 0.0
        if hasattr(point, "as_int"):
            self.value = point.as_int or point.as_double


def attributes(given: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in given}


class Collector:
    """What has come, decoded; `raw` is all of it as it was sent."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.metrics: dict[str, tuple[str, list[Point]]] = {}
        """By name the unit and the values, as the last export says them."""

    def take(self, path: str, body: bytes) -> None:
        self.raw.append(body)
        if path == "/v1/traces":
            for told in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(attributes(told.resource.attributes))
                self.spans += [span for scope in told.scope_spans for span in scope.spans]
            return
        assert path == "/v1/metrics"
        for sent in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            self.resources.append(attributes(sent.resource.attributes))
            for scope in sent.scope_metrics:
                for metric in scope.metrics:
                    points = getattr(metric, metric.WhichOneof("data") or "").data_points
                    self.metrics[metric.name] = metric.unit, [Point(point) for point in points]

    def points(self, name: str) -> list[Point]:
        return self.metrics[name][1]


@contextmanager
def collecting(status: int = 200) -> Iterator[tuple[str, Collector]]:
    """The address of a collector, which answers everything with `status`."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(self.path, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", collector
        finally:
            server.shutdown()
            thread.join()
