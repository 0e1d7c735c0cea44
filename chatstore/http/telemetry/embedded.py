"""Metrics as lines of JSON that CloudWatch reads out of a log: its embedded metric format.

A line is of one request or one run of a sweep. CloudWatch is paid by metric and set of dimensions, so there
are two sets: the service, and the service with the operation, of which there is one for each route.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping

from starlette.types import Scope

from chatstore.http import logs
from chatstore.http.access import Facts
from chatstore.http.telemetry.measurements import (
    BACKLOG,
    COLD_STARTS,
    CONFLICTS,
    DURATION,
    REMOVED,
    RETRIES,
    SWEEPS,
    UNITS,
    Sweep,
    operation_of,
)

__all__ = ["NAMESPACE", "Embedded"]

NAMESPACE = "chatstore"

_Values = Mapping[str, float]
_COUNT = "Count"
_UNIT_OF = {DURATION.name: "Seconds", SWEEPS.name: "Seconds"}


def _to_stdout(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Embedded:
    """Writes a line for each request and sweep, of the `service` that its dimension names."""

    def __init__(
        self,
        service: str,
        write: Callable[[str], None] = _to_stdout,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._write = write
        self._clock = clock

    def begin(self, scope: Scope) -> object:
        """Nothing is measured before a request's end."""

    def end(self, begun: object, facts: Facts) -> None:  # noqa: ARG002 - nothing was begun
        """Write a request."""
        failed = facts.status is not None and facts.status >= 500
        whole = {
            DURATION.name: facts.seconds,
            "http.server.errors": int(failed),
            **_storage(facts),
            COLD_STARTS.name: int(facts.cold_start),
        }
        self._line(operation_of(facts), whole, {DURATION.name: facts.seconds, **_units(facts)})

    def swept(self, sweep: Sweep) -> None:
        """Write a run of a sweep."""
        whole = {
            SWEEPS.name: sweep.seconds,
            "chatstore.sweep.errors": int(sweep.error is not None),
            **{f"{REMOVED.name}.{kind}": number for kind, number in sweep.removed.items()},
            **({BACKLOG.name: int(sweep.more)} if sweep.error is None else {}),
            **_storage(sweep),
            COLD_STARTS.name: int(sweep.cold_start),
        }
        self._line("sweep", whole, _units(sweep))

    def _line(self, operation: str, whole: _Values, by_operation: _Values) -> None:
        directives = [(["service"], whole), (["service", "operation"], by_operation)]
        told = {
            "_aws": {
                "Timestamp": round(self._clock() * 1000),
                "CloudWatchMetrics": [
                    {"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": _defined(values)}
                    for dimensions, values in directives
                    if values
                ],
            },
            "service": self._service,
            "operation": operation,
            "request_id": logs.request_id.get(),
            **whole,
            **by_operation,
        }
        self._write(json.dumps(told, separators=(",", ":")))


def _defined(values: _Values) -> list[dict[str, str]]:
    return [{"Name": name, "Unit": _UNIT_OF.get(name, _COUNT)} for name in values]


def _storage(facts: Facts | Sweep) -> dict[str, float]:
    return {RETRIES.name: facts.retries, CONFLICTS.name: facts.conflicts}


def _units(facts: Facts | Sweep) -> dict[str, float]:
    return {f"{UNITS.name}.{unit}": number for unit, number in facts.units.items()}
