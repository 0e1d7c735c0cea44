"""The Tablestore backend keeps the contract, through the vendor's SDK before a service in memory."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from chatstore import ChatStore
from chatstore.backends.tablestore import TablestoreBackend
from chatstore.blocking import run
from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract
from chatstore.urls import open_backend
from tests.conftest import SOAK
from tests.dynamodb.prefixed import Prefixed
from tests.tablestore.connected import connected, url_for
from tests.tablestore.service import Service

CLOUD = os.environ.get("CHATSTORE_TEST_TABLESTORE")
"""A table in the cloud, by its URL; each test keeps to partitions of its own, which stay there."""


class TestOnTheSdk(BackendContract, MachineContract):
    one_in = 50
    one_case_in = 1 if SOAK else 4

    @pytest.mark.soak
    def test_the_longest_message_is_taken_and_a_longer_one_refused(self, store: ChatStore) -> None:
        """The SDK takes a tenth of a microsecond for each byte that it sends."""
        super().test_the_longest_message_is_taken_and_a_longer_one_refused(store)

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _service() -> Iterator[None]:
        with connected(Service(time.time, page=500)):
            yield

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        backend = open_backend(url_for(tmp_path), blocking=blocking, clock=clock)
        maker = open_backend(url_for(tmp_path), blocking=True, clock=clock)
        run(maker.prepare())
        return backend


class InTheCloud(BackendContract, MachineContract):
    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        opened = cast("TablestoreBackend", open_backend(str(CLOUD), blocking=blocking, clock=clock))
        prefix = hashlib.sha256(f"{os.getpid()} {tmp_path}".encode()).hexdigest()[:12]
        return TablestoreBackend(Prefixed(opened.table, f"{prefix} "), clock)


if CLOUD:

    class TestInTheCloud(InTheCloud):
        """Needs credentials, and is run on demand alone."""
