"""Over a wire that fails in every way, through the vendor's SDK, nothing is lost, doubled or reordered."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from chatstore import ChatStore
from chatstore.backends.calls import BlockingCalls
from chatstore.blocking import run
from chatstore.contract import Backend, Clock, system_clock
from chatstore.testing import ManualClock
from chatstore.urls import open_backend
from tests.backends import actors
from tests.backends.patient import Patient, any_sequence
from tests.conftest import SOAK
from tests.tablestore.connected import connected, url_for
from tests.tablestore.faulty_wire import FATES, FaultyWire
from tests.tablestore.service import Service

ROUNDS = 300 if SOAK else 10
EXAMPLES = 30 if SOAK else 2

Tell = Callable[[str, object], None]
Open = Callable[[Clock], Backend]


@pytest.fixture
def seed() -> int:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return seed


@pytest.fixture
def wire(seed: int, record_property: Tell) -> Iterator[FaultyWire]:
    service = Service(time.time, page=7)
    wire = FaultyWire(service, random.Random(seed))
    with connected(wire):
        yield wire
    record_property("calls over a faulty wire", len(service.calls))
    record_property("faults", sum(wire.faults.values()))


@pytest.fixture
def opened(wire: FaultyWire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a table over the wire; who waits there waits long enough for another to go first, no longer."""
    run(open_backend(url_for(tmp_path), blocking=True, clock=system_clock).prepare())
    wire.begin()
    pause = BlockingCalls.pause

    async def briefly(self: BlockingCalls, seconds: float) -> None:
        await pause(self, min(seconds, 0.002))

    monkeypatch.setattr(BlockingCalls, "pause", briefly)
    return lambda clock: open_backend(url_for(tmp_path), blocking=True, clock=clock)


def test_clients_over_a_faulty_wire(opened: Open, seed: int, wire: FaultyWire, record_property: Tell) -> None:
    """Ten clients at two threads, each with a store of its own, over one wire."""
    repeated: Counter[str] = Counter()

    def act(number: int, actor: str) -> actors.Told:
        with ChatStore(opened(system_clock)) as store:
            patient = cast("ChatStore", Patient(store, system_clock, repeated))
            chance = random.Random(f"{seed} {number}")
            return actors.ACTORS[actor](patient, f"{actor}-{number}", chance, ROUNDS)

    with ThreadPoolExecutor(len(actors.CAST)) as pool:
        told = list(pool.map(act, range(len(actors.CAST)), actors.CAST))
    wire.end()
    with ChatStore(opened(system_clock)) as store:
        final = list(store.iter_messages(actors.LOG))
    record_property("operations repeated", sum(repeated.values()))
    assert len(wire.faults) == FATES, f"seed {seed}: {wire.faults}"
    actors.check(told, final, f"seed {seed}")


def test_any_sequence_of_operations_over_a_faulty_wire(
    opened: Open, seed: int, wire: FaultyWire, record_property: Tell
) -> None:
    """The state machine of the contract suite: every answer is right, however often it was asked for."""
    clock = ManualClock()
    with ChatStore(opened(clock)) as store:
        repeated = any_sequence(store, clock, seed, max_examples=EXAMPLES)
    assert wire.faults
    record_property("operations repeated", sum(repeated.values()))
