"""The memory backend keeps the contract."""

from __future__ import annotations

from pathlib import Path

from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract, opted_out
from chatstore.urls import open_backend
from tests.conftest import SOAK


class TestMemory(BackendContract, MachineContract):
    one_in = 3 if SOAK else 6

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend("memory://", blocking=blocking, clock=clock)

    test_what_was_written_outlives_the_backend = opted_out("what is in memory goes with its process")
    test_two_backends_see_each_others_writes = opted_out("each backend is a memory of its own")
