"""Redis keeps the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract
from chatstore.urls import open_backend
from tests.conftest import SOAK
from tests.redis.servers import prefixed


class TestRedis(BackendContract, MachineContract):
    one_in = 1 if SOAK else 8
    one_case_in = 1 if SOAK else 7

    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(f"{prefixed(self.url, tmp_path)}&durable=always", blocking=blocking, clock=clock)
