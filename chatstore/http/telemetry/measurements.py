"""What is measured: each instrument once, and which facts give which values.

Names and labels are those of OpenTelemetry's semantic conventions where there are any. A label has few values
ever: methods, templates of routes, statuses, problems' codes, units of price lists. None names a tenant, an
owner, a credential or a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

from chatstore.http.access import Facts

__all__ = ["BOUNDS", "INSTRUMENTS", "LOST", "Instrument", "Labels", "Measurement", "Sweep", "labels_of"]
__all__ += ["of_request", "of_sweep", "operation_of"]

Labels: TypeAlias = Mapping[str, str | int]

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The upper bounds of a histogram's buckets, in seconds, as the conventions advise."""


class Instrument(NamedTuple):
    """One metric; `unit` is written as UCUM has it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    meaning: str


class Measurement(NamedTuple):
    """A value of an instrument: what is added, or recorded."""

    instrument: Instrument
    value: float
    labels: Labels


DURATION = Instrument("http.server.request.duration", "histogram", "s", "Duration of HTTP server requests.")
UNITS = Instrument("chatstore.storage.units", "counter", "{unit}", "What the storage billed.")
RETRIES = Instrument(
    "chatstore.storage.retries",
    "counter",
    "{retry}",
    "Calls made again, because the storage did not answer or turned them away.",
)
CONFLICTS = Instrument(
    "chatstore.storage.conflicts",
    "counter",
    "{conflict}",
    "Writes that came too late, after somebody else's, and were planned anew.",
)
SWEEPS = Instrument("chatstore.sweep.duration", "histogram", "s", "Duration of runs of a sweep.")
REMOVED = Instrument("chatstore.sweep.removed", "counter", "{row}", "What sweeps removed.")
BACKLOG = Instrument(
    "chatstore.sweep.backlog", "gauge", "1", "Whether the last run of a sweep left something to remove."
)
COLD_STARTS = Instrument("faas.coldstarts", "counter", "{coldstart}", "New instances of a cloud's function.")
LOST = Instrument(
    "chatstore.telemetry.lost", "counter", "{item}", "Spans and measurements that did not reach anybody."
)

INSTRUMENTS = (DURATION, UNITS, RETRIES, CONFLICTS, SWEEPS, REMOVED, BACKLOG, COLD_STARTS)
"""Those that requests and sweeps give values of; `LOST` is of the telemetry itself."""


class Sweep(NamedTuple):
    """What became of a run of a sweep: how much it removed, and whether it left something."""

    removed: Mapping[str, int]
    """How many of each: threads, messages, requests."""
    more: bool
    seconds: float
    units: Mapping[str, float]
    retries: int
    conflicts: int
    error: str | None
    """The class of the error that ended it."""
    cold_start: bool


def operation_of(facts: Facts) -> str:
    """What was asked for: method and route, such as ``GET /v1/threads``."""
    return f"{facts.method} {facts.route or 'nowhere'}"


def labels_of(facts: Facts) -> dict[str, str | int]:
    """The attributes of a request, by the conventions. One that was given up by its caller has no status."""
    labels: dict[str, str | int] = {
        "http.request.method": "_OTHER" if facts.method == "OTHER" else facts.method,
        "url.scheme": facts.scheme,
    }
    if facts.route is not None:
        labels["http.route"] = facts.route
    if facts.status is not None:
        labels["http.response.status_code"] = facts.status
        if facts.status >= 500:
            labels["error.type"] = facts.error or str(facts.status)
    return labels


def of_request(facts: Facts) -> Iterator[Measurement]:
    """What one request adds."""
    yield Measurement(DURATION, facts.seconds, labels_of(facts))
    yield from _of_storage(operation_of(facts), facts)
    if facts.cold_start:
        yield Measurement(COLD_STARTS, 1, {"faas.trigger": "http"})


def of_sweep(sweep: Sweep) -> Iterator[Measurement]:
    """What one run of a sweep adds."""
    yield Measurement(SWEEPS, sweep.seconds, {} if sweep.error is None else {"error.type": sweep.error})
    for kind, number in sweep.removed.items():
        yield Measurement(REMOVED, number, {"chatstore.kind": kind})
    if sweep.error is None:
        yield Measurement(BACKLOG, int(sweep.more), {})
    yield from _of_storage("sweep", sweep)
    if sweep.cold_start:
        yield Measurement(COLD_STARTS, 1, {"faas.trigger": "timer"})


def _of_storage(operation: str, facts: Facts | Sweep) -> Iterator[Measurement]:
    label = {"chatstore.operation": operation}
    for unit, number in facts.units.items():
        yield Measurement(UNITS, number, {**label, "chatstore.unit": unit})
    for instrument, count in ((RETRIES, facts.retries), (CONFLICTS, facts.conflicts)):
        if count:
            yield Measurement(instrument, count, label)
