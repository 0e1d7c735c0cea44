"""Redis keeps the contract."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract
from chatstore.testing.colours import Colour
from chatstore.urls import open_backend
from tests.conftest import SOAK
from tests.redis.servers import prefixed


class TestRedis(BackendContract, MachineContract):
    """Each test in one colour: they share their code, and `make soak` tries all in both.

    Each colour has a release of its own.
    """

    thirds: ClassVar = {Colour.BLOCKING: (0,), Colour.ASYNC: (1, 2)}
    entire: ClassVar = (MachineContract,)
    one_in = 1 if SOAK else 16
    one_case_in = 1 if SOAK else 7

    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str, newer_url: str) -> None:
        self.urls = {True: redis_url, False: newer_url}

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        url = f"{prefixed(self.urls[blocking], tmp_path)}&durable=always"
        return open_backend(url, blocking=blocking, clock=clock)
