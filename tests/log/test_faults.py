"""Over a table that fails in every way, the log keeps the contract: any sequence of operations is right.

What is late arrives whatever the clock says by then, which is harder than any wire.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from chatstore import ChatStore
from chatstore.testing import ManualClock
from tests.backends.patient import any_sequence
from tests.conftest import SOAK
from tests.log.faulty_table import FaultyTable
from tests.log.memory_table import LogInMemory, MemoryTable


@pytest.mark.parametrize("number", range(400 if SOAK else 3))
def test_any_sequence_of_operations(number: int, record_property: Callable[[str, object], None]) -> None:
    chosen = random.randrange(2**32)
    print(f"seed {chosen}")
    clock = ManualClock()
    table = FaultyTable(MemoryTable(page=5), random.Random(chosen))
    with ChatStore(LogInMemory(table, clock)) as store:
        repeated = any_sequence(store, clock, chosen, max_examples=10, stateful_step_count=60)
    assert len(table.faults) == 5
    record_property("operations repeated", sum(repeated.values()))
    record_property("faults", sum(table.faults.values()))
