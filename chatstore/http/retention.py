"""A running service sweeps from time to time, beside its requests; what a run of a sweep did is measured."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chatstore.contract import Capability
from chatstore.errors import ChatStoreError, ClockUncertain
from chatstore.models import Swept
from chatstore.store import AsyncChatStore
from chatstore.sweeping import log_swept

if TYPE_CHECKING:
    from chatstore.http.telemetry import Telemetry

__all__ = ["Run", "measured", "sweeping"]

_STEP_ROWS = 200
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Run:
    """One run of a sweep: what it has removed so far."""

    swept: Swept = field(default_factory=lambda: Swept(0, 0, 0, more=False))


def measured(telemetry: Telemetry | None, run: Run) -> AbstractContextManager[None]:
    """Measures the run that is made inside, where there is telemetry."""
    return nullcontext() if telemetry is None else telemetry.sweep(run)


@asynccontextmanager
async def sweeping(
    store: AsyncChatStore, every: float, telemetry: Telemetry | None = None
) -> AsyncIterator[None]:
    """Sweeps about every so many seconds while the context lasts; never with 0, or where nothing sweeps."""
    if not every or Capability.SWEEP not in store.backend.capabilities:
        yield
        return
    task = asyncio.create_task(_sweep(store, every, telemetry))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _sweep(store: AsyncChatStore, every: float, telemetry: Telemetry | None) -> None:
    # A service that is often started anew sweeps, too; several over one store do not do so all at once.
    pause = every * random.uniform(0, 0.1)  # noqa: S311 - spreads work, guards nothing
    while True:
        await asyncio.sleep(pause)
        run = Run()
        try:
            with measured(telemetry, run):
                await _sweep_all(store, run)
        except ClockUncertain as error:
            _log.error("The sweep was refused, and will be tried again: %s", error)
        except ChatStoreError as error:
            _log.warning("The sweep failed, and will be tried again: %s", type(error).__name__)
        pause = every * random.uniform(0.9, 1.1)  # noqa: S311 - as above


async def _sweep_all(store: AsyncChatStore, run: Run) -> None:
    """Step by step, each followed by a rest as long as itself, so that requests get their turn."""
    since = time.monotonic()
    run.swept = Swept(0, 0, 0, more=True)
    while run.swept.more:
        began = time.monotonic()
        run.swept += await store.sweep(limit=_STEP_ROWS)
        await asyncio.sleep(time.monotonic() - began)
    log_swept(run.swept, time.monotonic() - since)
