"""The PostgreSQL backend keeps the contract, on a server of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract
from chatstore.testing.colours import Colour
from chatstore.urls import open_backend
from tests.conftest import SOAK
from tests.postgres.servers import Emptied


class OnPostgres(BackendContract, MachineContract):
    one_in = 10 if SOAK else 60
    one_case_in = 1 if SOAK else 4
    scheme = "postgresql"

    @pytest.fixture(autouse=True)
    def _server(self, postgres: str) -> None:
        self.emptied = Emptied(postgres, self.scheme)

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(self.emptied.url(tmp_path), blocking=blocking, clock=clock)


class TestPostgres(OnPostgres):
    """Both colours."""


class TestCockroachForm(MachineContract):
    """The tables and statements as CockroachDB has them, on PostgreSQL."""

    one_in = 10 if SOAK else 100
    colours: ClassVar[Sequence[Colour]] = (Colour.BLOCKING,)

    @pytest.fixture(autouse=True)
    def _server(self, postgres: str) -> None:
        self.emptied = Emptied(postgres, "cockroachdb")

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(self.emptied.url(tmp_path), blocking=blocking, clock=clock)
