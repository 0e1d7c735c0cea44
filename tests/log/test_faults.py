"""Over a table that fails in every way, the log keeps the contract: any sequence of operations is right.

What is late arrives whatever the clock says by then, which is harder than any wire.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from chatstore import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.colours import Colour
from chatstore.testing.machine import StoreMachine
from tests.backends.patient import Patient
from tests.conftest import SOAK
from tests.log.faulty_table import FaultyTable
from tests.log.memory_table import LogInMemory, MemoryTable


@pytest.mark.parametrize("number", range(400 if SOAK else 6))
def test_any_sequence_of_operations(number: int, record_property: Callable[[str, object], None]) -> None:
    chosen = random.randrange(2**32)
    print(f"seed {chosen}")
    clock = ManualClock()
    table = FaultyTable(MemoryTable(page=5), random.Random(chosen))
    with ChatStore(LogInMemory(table, clock)) as store:
        patient = Patient(store, clock)

        class Machine(StoreMachine):
            def __init__(self) -> None:
                super().__init__(cast("ChatStore", patient), Colour.BLOCKING, clock)

        run_state_machine_as_test(
            seed(chosen)(Machine),
            settings=settings(
                max_examples=10,
                stateful_step_count=60,
                phases=[Phase.generate],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    assert len(table.faults) == 5
    record_property("operations repeated", sum(patient.repeated.values()))
    record_property("faults", sum(table.faults.values()))
