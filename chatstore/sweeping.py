"""Sweeps: bounded steps of removing what has expired, for as long as there is time for them.

What has expired is never given out, swept or not; a sweep frees its space. Every step is a short
transaction of its own, so that a sweep may be killed at any moment and delays nobody for long.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from chatstore.models import Swept
from chatstore.opening import connect
from chatstore.store import ChatStore

__all__ = ["SWEEP_LOG", "log_swept", "sweep_steps", "sweep_stored"]

SWEEP_LOG = "chatstore.sweep"
"""The logger of the line that a run of sweeping ends with; its records carry their `fields`."""

_FEWEST, _MOST = 16, 1000
_STEP_SECONDS = 0.25


def sweep_steps(
    store: ChatStore, *, limit: int | None = None, seconds: float | None = None
) -> Iterator[Swept]:
    """Sweep for every tenant, step after step, until nothing is left or `seconds` are over.

    A step removes about `limit` rows. Without a `limit`, it removes as many as take about a quarter of a
    second, so that a run ends soon after its time. Yields after each step what all of them removed so far,
    and whether there is more.
    """
    began = time.monotonic()
    total = Swept(0, 0, 0, more=True)
    rows = _FEWEST if limit is None else limit
    while total.more and (seconds is None or time.monotonic() < began + seconds):
        asked = time.monotonic()
        step = store.sweep(limit=rows)
        if limit is None:
            quick = time.monotonic() - asked < _STEP_SECONDS
            rows = min(_MOST, rows * 2) if quick else max(_FEWEST, rows // 2)
        total += step
        yield total


def sweep_stored(seconds: float) -> Swept:
    """Sweep the store that the environment names, for at most about so many seconds; what that removed.

    Logs it, too.
    """
    began = time.monotonic()
    swept = Swept(0, 0, 0, more=True)
    with connect() as store:
        for swept in sweep_steps(store, seconds=seconds):  # noqa: B007 - the last one counts
            pass
    log_swept(swept, time.monotonic() - began)
    return swept


def log_swept(swept: Swept, seconds: float) -> None:
    """Log what a run removed, and whether it left anything undone: `more` is what alarms look for."""
    fields = {**swept.removed, "more": swept.more, "seconds": round(seconds, 1)}
    logging.getLogger(SWEEP_LOG).info("sweep", extra={"fields": fields})
