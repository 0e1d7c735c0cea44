"""Each guard that is taken out of an engine is missed by some history: so the simulation can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatstore.backends.memory import MemoryBackend
from chatstore.clocks import ServerClock
from chatstore.engines.fenced.purging import Purger
from chatstore.engines.fenced.sweeping import Sweeper
from chatstore.engines.log import requests, visiting
from chatstore.engines.log.lists import Lists
from chatstore.engines.log.visits import Visits
from chatstore.engines.sql.requests import Requests
from tests.simulation.plan import plan
from tests.simulation.playing import play
from tests.simulation.storages import STORAGES, AzureStorage, LogStorage

Guard = Callable[[pytest.MonkeyPatch], None]


def slots_overwritten(patch: pytest.MonkeyPatch) -> None:
    """A slot is put whether or not there is one."""
    patch.setattr(LogStorage, "put_new", lambda self, row, free: self.put(row))  # noqa: ARG005


def versions_ignored(patch: pytest.MonkeyPatch) -> None:
    """A row is swapped whatever version it is of."""

    def swap(self: LogStorage, row: Any, version: int | None) -> bool:
        self.put(row)
        return True

    patch.setattr(LogStorage, "swap", swap)


def requests_forgotten(patch: pytest.MonkeyPatch) -> None:
    """No slot is known by the request that wrote it."""
    patch.setattr(requests.Asked, "written_by", lambda self, slot: False)  # noqa: ARG005


def epochs_freed_early(patch: pytest.MonkeyPatch) -> None:
    """What was sealed goes with the next sweep."""
    patch.setattr(visiting, "KEPT", 0)


def pointers_unwritten(patch: pytest.MonkeyPatch) -> None:
    """A thread is made without a word to the lists."""

    async def point(self: Lists, *args: Any, **given: Any) -> None: ...

    patch.setattr(Lists, "point", point)


def visits_unwritten(patch: pytest.MonkeyPatch) -> None:
    """Nobody notes that a thread is to be visited."""

    async def note(self: Visits, *args: Any, **given: Any) -> None: ...

    patch.setattr(Visits, "note", note)


def clocks_trusted(patch: pytest.MonkeyPatch) -> None:
    """A process goes by its own clock."""
    patch.setattr(ServerClock, "heard", lambda self, date, asked: None)  # noqa: ARG005
    patch.setattr(ServerClock, "require_certain", lambda self: None)  # noqa: ARG005


def etags_ignored(patch: pytest.MonkeyPatch) -> None:
    """A group is applied whatever header is there."""
    apply = AzureStorage.apply

    def unconditional(self: AzureStorage, partition: str, ops: Any) -> Any:
        return apply(self, partition, [op._replace(etag=None) for op in ops])

    patch.setattr(AzureStorage, "apply", unconditional)


def notes_unwritten(patch: pytest.MonkeyPatch) -> None:
    """A sweep plans no other."""

    async def note(self: Purger, *args: Any) -> None: ...

    patch.setattr(Purger, "note", note)


def headers_left(patch: pytest.MonkeyPatch) -> None:
    """A sweep never removes the last of a thread."""

    async def remove(self: Sweeper, *args: Any) -> int:
        return 0

    patch.setattr(Sweeper, "_remove", remove)


def results_forgotten(patch: pytest.MonkeyPatch) -> None:
    """No request has been answered before."""

    async def find(self: Requests, *args: Any) -> None: ...

    patch.setattr(Requests, "find", find)


def rows_left_by_erasures(patch: pytest.MonkeyPatch) -> None:
    """An erasure forgets what requests were answered."""

    async def remove_owned(self: Requests, *args: Any) -> int:
        return 0

    patch.setattr(Requests, "remove_owned", remove_owned)


def expired_left(patch: pytest.MonkeyPatch) -> None:
    """In memory what has expired is found."""
    patch.setattr(MemoryBackend, "_find", lambda self, key: self._threads.get((key.tenant, key.id)))


GUARDS: list[tuple[str, Guard, int]] = [
    ("log", slots_overwritten, 20),
    ("log", versions_ignored, 60),
    ("log", requests_forgotten, 20),
    ("log", pointers_unwritten, 20),
    ("log", visits_unwritten, 20),
    ("log", clocks_trusted, 60),
    ("tables", etags_ignored, 20),
    ("tables", notes_unwritten, 20),
    ("tables", headers_left, 20),
    ("tables", clocks_trusted, 60),
    ("cosmos", etags_ignored, 20),
    ("sqlite", results_forgotten, 20),
    ("sqlite", rows_left_by_erasures, 20),
    ("memory", expired_left, 60),
]
"""A storage, what is taken out, and within how many histories that is found."""

RARE: list[tuple[str, Guard, int]] = [("log", epochs_freed_early, 400)]
"""Those that take many histories to be missed."""


@pytest.mark.parametrize(
    ("storage", "guard", "most"), GUARDS, ids=lambda one: getattr(one, "__name__", str(one))
)
def test_a_guard_that_is_taken_out_is_missed(storage: str, guard: Guard, most: int) -> None:
    _is_missed(storage, guard, most)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("storage", "guard", "most"), RARE, ids=lambda one: getattr(one, "__name__", str(one))
)
def test_a_guard_that_is_seldom_needed_is_missed(storage: str, guard: Guard, most: int) -> None:
    _is_missed(storage, guard, most)


def _is_missed(storage: str, guard: Guard, most: int) -> None:
    for seed in range(most):
        with pytest.MonkeyPatch.context() as patch:
            guard(patch)
            found = not _well(storage, seed)
        if found and _well(storage, seed):
            return
    pytest.fail(f"none of {most} histories needs it")


def _well(storage: str, seed: int) -> bool:
    return play(plan(seed), STORAGES[storage]()).failure is None
