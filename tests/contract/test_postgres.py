"""The PostgreSQL backend keeps the contract, on a server of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract
from chatstore.testing.colours import Colour
from chatstore.testing.suite.lifecycle import Lifecycle
from chatstore.testing.suite.requests import Requests
from chatstore.testing.suite.together import Together
from chatstore.urls import open_backend
from tests.conftest import SOAK
from tests.postgres.servers import Emptied, prepared
from tests.servers import table_for

ELSEWHERE = os.environ.get("CHATSTORE_TEST_POSTGRES", "")
"""The URL of a database by which the same is run there; each test leaves a schema of its own."""


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
    """Each test in one colour, what waits for others in both; `make soak` tries all in both."""

    thirds: ClassVar = {Colour.BLOCKING: (0,), Colour.ASYNC: (1, 2)}
    entire: ClassVar = (Together, Lifecycle, Requests, MachineContract)


class TestCockroachForm(MachineContract):
    """The tables and statements as CockroachDB has them, on PostgreSQL."""

    one_in = 10 if SOAK else 100
    colours: ClassVar[Sequence[Colour]] = (Colour.BLOCKING,)

    @pytest.fixture(autouse=True)
    def _server(self, postgres: str) -> None:
        self.emptied = Emptied(postgres, "cockroachdb")

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(self.emptied.url(tmp_path), blocking=blocking, clock=clock)


class OnOneOfTheKin(BackendContract, MachineContract):
    """A database of somebody's, whose schema of this process stays there."""

    one_in = 20
    one_case_in = 4

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        separator = "&" if "?" in ELSEWHERE else "?"
        url = f"{ELSEWHERE}{separator}schema=test_{os.getpid()}_{table_for(tmp_path)}&timeout=30"
        return open_backend(prepared(url), blocking=blocking, clock=clock)


if ELSEWHERE:

    class TestElsewhere(OnOneOfTheKin):
        """Only with CHATSTORE_TEST_POSTGRES."""
