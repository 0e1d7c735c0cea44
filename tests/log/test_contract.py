"""The log keeps the contract, on a table in memory whose pages are short."""

from __future__ import annotations

from pathlib import Path

from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract, opted_out
from tests.conftest import SOAK
from tests.log.memory_table import LogInMemory, MemoryTable

TABLES: dict[Path, MemoryTable] = {}


class TestLog(BackendContract, MachineContract):
    one_in = 5 if SOAK else 10
    test_what_was_written_outlives_the_backend = opted_out("a table in memory goes with its process")
    test_two_backends_see_each_others_writes = opted_out("a table in memory is its process's own")

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return LogInMemory(TABLES.setdefault(tmp_path, MemoryTable(page=3)), clock)
