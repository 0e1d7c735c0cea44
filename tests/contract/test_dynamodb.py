"""The DynamoDB backend keeps the contract, on two servers that each know what the other does not."""

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
from tests.dynamodb.servers import url_for


class TestOnMoto(BackendContract, MachineContract):
    """Knows transactions, so threads can be forked on it; its own cost is most of the time."""

    colours: ClassVar[Sequence[Colour]] = tuple(Colour) if SOAK else (Colour.BLOCKING,)
    one_in = 50

    @pytest.fixture(autouse=True)
    def _server(self, moto: str) -> None:
        self.endpoint = moto

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(url_for(self.endpoint, tmp_path), blocking=blocking, clock=clock)


class TestOnDynalite(BackendContract, MachineContract):
    """Strict on sizes and pages; it knows no transactions, so nothing can be forked on it."""

    colours: ClassVar[Sequence[Colour]] = tuple(Colour) if SOAK else (Colour.ASYNC,)
    one_in = 33

    @pytest.fixture(autouse=True)
    def _server(self, dynalite: str) -> None:
        self.endpoint = dynalite

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        url = url_for(self.endpoint, tmp_path, transactions="off")
        return open_backend(url, blocking=blocking, clock=clock)
