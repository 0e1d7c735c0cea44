"""Metrics of this process for Prometheus, which asks for them: summed up, and written in its text format."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from starlette.types import Scope

from chatstore.http.access import Facts
from chatstore.http.telemetry.losses import Losses
from chatstore.http.telemetry.measurements import (
    BOUNDS,
    INSTRUMENTS,
    LOST,
    Instrument,
    Measurement,
    Sweep,
    of_request,
    of_sweep,
)

__all__ = ["Prometheus"]

_Key = tuple[tuple[str, str], ...]


class _Histogram:
    """How many values were in each bucket, the last one without a bound, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0


class Prometheus:
    """Sums since the process began. Safe among threads."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._lock = threading.Lock()
        self._sums: dict[Instrument, dict[_Key, float]] = {one: {} for one in INSTRUMENTS}
        self._histograms: dict[Instrument, dict[_Key, _Histogram]] = {one: {} for one in INSTRUMENTS}

    def begin(self, scope: Scope) -> object:
        """Nothing is measured before a request's end."""

    def end(self, begun: object, facts: Facts) -> None:  # noqa: ARG002 - nothing was begun
        """Add a request."""
        self._add(of_request(facts))

    def swept(self, sweep: Sweep) -> None:
        """Add a run of a sweep."""
        self._add(of_sweep(sweep))

    def text(self) -> str:
        """All of it, as it is now."""
        with self._lock:
            lines = [line for one in INSTRUMENTS for line in self._written(one)]
        lost: dict[_Key, float] = {(("chatstore_kind", what),): n for what, n in self._losses.counts.items()}
        return "\n".join([*lines, *_sums(LOST, lost)]) + "\n"

    def _add(self, measurements: Iterable[Measurement]) -> None:
        for instrument, value, labels in measurements:
            key = tuple(sorted((name.replace(".", "_"), str(label)) for name, label in labels.items()))
            with self._lock:
                if instrument.kind == "histogram":
                    found = self._histograms[instrument].setdefault(key, _Histogram())
                    found.counts[bisect_left(BOUNDS, value)] += 1
                    found.total += value
                else:
                    sums = self._sums[instrument]
                    sums[key] = value + (sums.get(key, 0) if instrument.kind == "counter" else 0)

    def _written(self, instrument: Instrument) -> Iterator[str]:
        if instrument.kind != "histogram":
            yield from _sums(instrument, self._sums[instrument])
            return
        name = _name(instrument)
        yield from _head(instrument)
        for key, found in self._histograms[instrument].items():
            count = 0
            for bound, number in zip((*map(_number, BOUNDS), "+Inf"), found.counts, strict=True):
                count += number
                yield f"{name}_bucket{_labels((*key, ('le', bound)))} {count}"
            yield f"{name}_sum{_labels(key)} {_number(found.total)}"
            yield f"{name}_count{_labels(key)} {count}"


def _sums(instrument: Instrument, sums: dict[_Key, float]) -> Iterator[str]:
    yield from _head(instrument)
    for key, value in sums.items():
        yield f"{_name(instrument)}{_labels(key)} {_number(value)}"


def _head(instrument: Instrument) -> Iterator[str]:
    yield f"# HELP {_name(instrument)} {instrument.meaning}"
    yield f"# TYPE {_name(instrument)} {instrument.kind}"


def _name(instrument: Instrument) -> str:
    """As OpenTelemetry says that its names are written for Prometheus."""
    unit = {"s": "_seconds"}.get(instrument.unit, "")
    return instrument.name.replace(".", "_") + unit + ("_total" if instrument.kind == "counter" else "")


def _labels(key: _Key) -> str:
    said = ",".join(f'{name}="{_escaped(value)}"' for name, value in key)
    return f"{{{said}}}" if said else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
