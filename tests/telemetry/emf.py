"""Reads a line of CloudWatch's embedded metric format, by the rules of its specification.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

UNITS = {"Seconds", "Microseconds", "Milliseconds", "Bytes", "Count", "Percent", "Count/Second", "None"}
"""Those of CloudWatch's that the project may use."""

LINE_BYTES = 256 * 1024


class Value(NamedTuple):
    namespace: str
    unit: str
    value: float


def extracted(line: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], Value]:
    """What CloudWatch makes of a line: values by the metric's name and its dimensions."""
    assert len(line.encode()) <= LINE_BYTES
    document: dict[str, Any] = json.loads(line)
    metadata = document["_aws"]
    assert set(metadata) == {"Timestamp", "CloudWatchMetrics"}
    assert isinstance(metadata["Timestamp"], int)
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Value] = {}
    for directive in metadata["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        namespace = directive["Namespace"]
        assert 1 <= len(namespace) <= 255
        assert not namespace.startswith("AWS/")
        assert 1 <= len(directive["Metrics"]) <= 100
        assert directive["Dimensions"]
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            at = tuple((name, document[name]) for name in dimensions)
            for name, text in at:
                assert name.isascii()
                assert 1 <= len(name) <= 255
                assert not name.startswith(":")
                assert isinstance(text, str)
                assert text.isascii()
                assert 1 <= len(text) <= 1024
            for metric in directive["Metrics"]:
                assert set(metric) <= {"Name", "Unit", "StorageResolution"}
                assert metric["Unit"] in UNITS
                name = metric["Name"]
                assert 1 <= len(name) <= 255
                # A target is a member of the root: a dot in its name is no path.
                value = document[name]
                assert isinstance(value, (int, float))
                assert not isinstance(value, bool)
                assert math.isfinite(value)
                assert (name, at) not in found
                found[name, at] = Value(namespace, metric["Unit"], value)
    return found
