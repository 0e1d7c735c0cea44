"""Redis keeps the contract."""

from __future__ import annotations

import zlib
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

    A third of the tests each has Redis' oldest release, its newest, and Valkey, by their names.
    """

    thirds: ClassVar = {Colour.BLOCKING: (0,), Colour.ASYNC: (1, 2)}
    entire: ClassVar = (MachineContract,)
    one_in = 1 if SOAK else 16
    one_case_in = 1 if SOAK else 7

    @pytest.fixture(autouse=True)
    def _server(
        self, request: pytest.FixtureRequest, redis_url: str, newer_url: str, valkey_url: str
    ) -> None:
        self.url = (redis_url, newer_url, valkey_url)[zlib.crc32(request.node.name.encode()) % 3]

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(f"{prefixed(self.url, tmp_path)}&durable=always", blocking=blocking, clock=clock)
