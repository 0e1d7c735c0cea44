"""Over a wire that fails in every way, nothing is lost, doubled or reordered.

What the wire does depends on a seed and, with several clients, on who comes first: a failure is told
with its seed, and not shortened.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from chatstore import ChatStore
from chatstore.contract import system_clock
from chatstore.testing import ManualClock
from tests.backends import actors
from tests.backends.patient import Patient, any_sequence
from tests.conftest import SOAK
from tests.dynamodb.faulty_wire import Wire
from tests.servers import table_for

ROUNDS = 300 if SOAK else 20

EXAMPLES = 30 if SOAK else 1

OUTAGE = 20
"""So many calls fail at the beginning: more than one operation makes before it gives up."""

Tell = Callable[[str, object], None]


@pytest.fixture
def seed() -> int:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return seed


@pytest.fixture
def wire(seed: int, record_property: Tell) -> Iterator[Wire]:
    wire = Wire(random.Random(seed), share=0.15)
    yield wire
    record_property("calls over a faulty wire", wire.calls)
    record_property("faults", dict(wire.faults))


def test_clients_over_a_faulty_wire(
    dynalite: str, tmp_path: Path, seed: int, wire: Wire, record_property: Tell
) -> None:
    """Ten clients at two threads, each with a store of its own, over one wire."""
    repeated: Counter[str] = Counter()

    def opened() -> ChatStore:
        return ChatStore(wire.backend(table_for(tmp_path), dynalite, system_clock, transactions=False))

    def act(number: int, actor: str) -> actors.Told:
        with opened() as store:
            patient = cast("ChatStore", Patient(store, system_clock, repeated))
            chance = random.Random(f"{seed} {number}")
            wire.fail(OUTAGE)
            return actors.ACTORS[actor](patient, f"{actor}-{number}", chance, ROUNDS)

    with ThreadPoolExecutor(len(actors.CAST)) as pool:
        told = list(pool.map(act, range(len(actors.CAST)), actors.CAST))
    wire.end()
    with opened() as store:
        final = list(store.iter_messages(actors.LOG))
    record_property("operations repeated", sum(repeated.values()))
    assert repeated["append"], f"seed {seed}: no operation was out of tries"
    assert len(wire.faults) == 9, f"seed {seed}: {wire.faults}"
    actors.check(told, final, f"seed {seed}")


@pytest.mark.parametrize("server", ["dynalite", "moto"])
def test_any_sequence_of_operations_over_a_faulty_wire(
    server: str, tmp_path: Path, seed: int, wire: Wire, record_property: Tell, request: pytest.FixtureRequest
) -> None:
    """The state machine of the contract suite: every answer is right, however often it was asked for."""
    clock, endpoint = ManualClock(), request.getfixturevalue(server)
    backend = wire.backend(table_for(tmp_path), endpoint, clock, transactions=server == "moto")
    with ChatStore(backend) as store:
        repeated = any_sequence(store, clock, seed, max_examples=EXAMPLES)
    record_property("operations repeated", sum(repeated.values()))
