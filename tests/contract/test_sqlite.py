"""The SQLite backend keeps the contract."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract
from chatstore.testing.backend_tests import BackendTests
from chatstore.testing.colours import Colour
from chatstore.testing.suite.erase import Erase
from chatstore.testing.suite.finding import Searching
from chatstore.testing.suite.lifecycle import Lifecycle
from chatstore.testing.suite.requests import Requests
from chatstore.testing.suite.together import Together
from chatstore.urls import open_backend
from tests.conftest import SOAK


class TestSqlite(BackendContract, MachineContract):
    one_in = 3 if SOAK else 6
    thirds: ClassVar = {Colour.ASYNC: (0,)}
    entire: ClassVar = (Together, Lifecycle, Requests, MachineContract)

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(f"sqlite:///{tmp_path}/chat.db", blocking=blocking, clock=clock)


class TestSqliteWithWords(Searching, Erase, BackendTests):
    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(f"sqlite:///{tmp_path}/chat.db?search=on", blocking=blocking, clock=clock)
