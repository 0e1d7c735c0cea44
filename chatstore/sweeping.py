"""Sweeps: bounded steps of removing what has expired, for as long as there is time for them.

What has expired is never given out, swept or not; a sweep frees its space. Every step is a short
transaction of its own, so that a sweep may be killed at any moment and delays nobody for long.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from chatstore.models import Swept
from chatstore.opening import connect
from chatstore.store import ChatStore

__all__ = ["ROWS", "sweep_steps", "sweep_stored"]

ROWS = 500
"""How many rows a step removes at most, unless something else is asked for."""


def sweep_steps(store: ChatStore, *, limit: int = ROWS, seconds: float | None = None) -> Iterator[Swept]:
    """Sweep for every tenant, step after step, until nothing is left or `seconds` are over.

    Yields after each step what all of them removed so far, and whether there is more.
    """
    until = None if seconds is None else time.monotonic() + seconds
    total = Swept(0, 0, 0, more=True)
    while total.more and (until is None or time.monotonic() < until):
        step = store.sweep(limit=limit)
        total = replace(
            step,
            threads=total.threads + step.threads,
            messages=total.messages + step.messages,
            requests=total.requests + step.requests,
        )
        yield total


def sweep_stored(seconds: float) -> Swept:
    """Sweep the store that the environment names, for at most about so many seconds; what that removed."""
    with connect() as store:
        steps = deque(sweep_steps(store, seconds=seconds), maxlen=1)
    return steps[0] if steps else Swept(0, 0, 0, more=True)
