"""Each guard that is taken out of an engine is missed by some history: so the simulation can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatstore.backends import memory
from chatstore.backends.memory import MemoryBackend
from chatstore.backends.memory import stored as memory_stored
from chatstore.clocks import ServerClock
from chatstore.conditions import expiry, require
from chatstore.engines.fenced import backend as fenced_backend
from chatstore.engines.fenced import reading, segments
from chatstore.engines.fenced.header import State
from chatstore.engines.fenced.keys import Keys
from chatstore.engines.fenced.purging import Purger
from chatstore.engines.fenced.sweeping import Sweeper
from chatstore.engines.log import epochs, requests, visiting
from chatstore.engines.log.claiming import Claimer
from chatstore.engines.log.lists import Lists
from chatstore.engines.log.records import Entry
from chatstore.engines.log.visits import Visits
from chatstore.engines.sql import backend as sql_backend
from chatstore.engines.sql.hidden import Hidden
from chatstore.engines.sql.messages import Messages
from chatstore.engines.sql.requests import Requests
from chatstore.engines.sql.rows import Log
from chatstore.engines.sql.threads import Threads
from tests.simulation.plan import plan
from tests.simulation.playing import play
from tests.simulation.storages import STORAGES, AzureStorage, LogStorage
from tests.simulation.world import HOUR

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

    patch.setattr(Visits, "schedule", note)


def names_unclaimed(patch: pytest.MonkeyPatch) -> None:
    """A turn takes its keys without a look at who has them, and without a word to who comes next."""

    async def take(self: Claimer, *args: Any, **given: Any) -> None: ...

    patch.setattr(Claimer, "take", take)


def names_given_again(patch: pytest.MonkeyPatch) -> None:
    """A claim that is there is moved on, whoever has the key."""

    async def nothing(self: Claimer, *args: Any) -> tuple[str, ...]:
        return ()

    patch.setattr(Claimer, "_staying", nothing)


def names_lost_by_copies(patch: pytest.MonkeyPatch) -> None:
    """A history that goes on in another epoch leaves its claims behind."""
    patch.setattr(epochs, "of_slots", lambda pk, header, slots: [])  # noqa: ARG005


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

    patch.setattr(Purger, "schedule", note)


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


def cut_rows_read(patch: pytest.MonkeyPatch) -> None:
    """Rows that were cut away are read."""
    patch.setattr(reading, "cut_off", lambda cuts, row: False)  # noqa: ARG005


def cut_rows_left(patch: pytest.MonkeyPatch) -> None:
    """A sweep finds nothing that was cut away."""

    async def none(self: Purger, *args: Any) -> Any:
        for row in list[Any]():
            yield row

    patch.setattr(Purger, "_cut_rows", none)


def names_taken_from_others(patch: pytest.MonkeyPatch) -> None:
    """A name is given whoever has it."""
    claimed = Keys.claimed

    async def heedless(self: Keys, *args: Any, **given: Any) -> Any:
        change = await claimed(self, *args, **given)
        return change._replace(claims=[claim._replace(kind="upsert") for claim in change.claims])

    patch.setattr(Keys, "claimed", heedless)


def properties_unchecked_on_tables(patch: pytest.MonkeyPatch) -> None:
    """An append changes properties whatever they are."""
    patch.setattr(fenced_backend, "require", _no_revision)


def expiry_never_renewed(patch: pytest.MonkeyPatch) -> None:
    """An append does not move an expiry that slides."""
    touched = State.touched
    patch.setattr(State, "touched", lambda self, now: touched(self, now)._replace(expires=self.expires))


def cut_messages_shown(patch: pytest.MonkeyPatch) -> None:
    """What was cut away and is still to be removed is found."""
    seen = Messages._seen
    patch.setattr(Log, "is_cut", lambda self, place: False)  # noqa: ARG005
    patch.setattr(Messages, "_seen", lambda self, log: seen(self, log._replace(cuts=())))


def cuts_left(patch: pytest.MonkeyPatch) -> None:
    """Nobody removes what was cut away."""

    async def none(self: Hidden, *args: Any) -> tuple[int, bool]:
        return 0, False

    patch.setattr(Hidden, "drain_cuts", none)


def keys_unchecked(patch: pytest.MonkeyPatch) -> None:
    """A key is given to a message whether or not another has it."""

    async def whatever(self: Messages, *args: Any) -> None: ...

    patch.setattr(Messages, "require_new_keys", whatever)


def properties_unchecked(patch: pytest.MonkeyPatch) -> None:
    """An append changes properties whatever they are."""
    patch.setattr(sql_backend, "require", _no_revision)


def patches_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Properties are not changed."""

    async def unchanged(self: Threads, key: Any, thread: Any, changes: Any) -> Any:
        return thread.etag

    patch.setattr(Threads, "update", unchanged)


def keys_unchecked_in_memory(patch: pytest.MonkeyPatch) -> None:
    """A key is given to a message whether or not another has it."""
    patch.setattr(memory_stored.Stored, "require_new_keys", lambda self, drafts, end: None)  # noqa: ARG005


def cuts_ignored_in_memory(patch: pytest.MonkeyPatch) -> None:
    """Nothing is cut away."""
    patch.setattr(memory_stored.Stored, "cut", lambda self, end: None)  # noqa: ARG005


def expired_messages_shown(patch: pytest.MonkeyPatch) -> None:
    """A message is shown until a sweep takes it."""
    patch.setattr(Entry, "expired", lambda self, now: False)  # noqa: ARG005


def expiries_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A message lives for an hour less than it was given."""
    patch.setattr(segments, "expiry", lambda now, ttl: None if ttl is None else expiry(now - HOUR, ttl))


def properties_unchecked_in_memory(patch: pytest.MonkeyPatch) -> None:
    """An append changes properties whatever they are."""
    patch.setattr(memory, "require", _no_revision)


def _no_revision(expected: str | None, current: str | None) -> None:
    """A comparison that leaves out what names no log."""
    if current is None or "." in current:
        require(expected, current)


GUARDS: list[tuple[str, Guard, int]] = [
    ("log", slots_overwritten, 20),
    ("log", versions_ignored, 100),
    ("log", requests_forgotten, 20),
    ("log", pointers_unwritten, 20),
    ("log", visits_unwritten, 20),
    ("log", names_unclaimed, 20),
    ("log", names_given_again, 20),
    ("log", names_lost_by_copies, 60),
    ("log", clocks_trusted, 60),
    ("tables", etags_ignored, 20),
    ("tables", notes_unwritten, 20),
    ("tables", headers_left, 20),
    ("tables", clocks_trusted, 60),
    ("cosmos", etags_ignored, 20),
    ("sqlite", results_forgotten, 20),
    ("sqlite", rows_left_by_erasures, 20),
    ("memory", expired_left, 60),
    ("tables", cut_rows_read, 20),
    ("tables", cut_rows_left, 20),
    ("tables", names_taken_from_others, 40),
    ("tables", properties_unchecked_on_tables, 60),
    ("tables", expiry_never_renewed, 300),
    ("sqlite", cut_messages_shown, 60),
    ("sqlite", cuts_left, 60),
    ("sqlite", keys_unchecked, 20),
    ("sqlite", properties_unchecked, 60),
    ("sqlite", patches_forgotten, 20),
    ("memory", keys_unchecked_in_memory, 20),
    ("memory", cuts_ignored_in_memory, 20),
    ("memory", properties_unchecked_in_memory, 60),
    ("log", expired_messages_shown, 40),
    ("tables", expiries_forgotten, 40),
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
