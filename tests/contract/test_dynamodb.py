"""The DynamoDB backend keeps the contract, on two servers that each know what the other does not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, cast

import pytest

from chatstore.backends.dynamodb import DynamoBackend
from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract
from chatstore.testing.colours import Colour
from chatstore.testing.suite.exactness import Exactness
from chatstore.testing.suite.fork import Fork
from chatstore.testing.suite.list_threads import ListThreads
from chatstore.testing.suite.read import Read
from chatstore.urls import open_backend
from tests.conftest import SOAK
from tests.dynamodb.prefixed import Prefixed
from tests.dynamodb.servers import url_for

CLOUD = os.environ.get("CHATSTORE_TEST_DYNAMODB")
"""A table in the cloud, by its URL; each test keeps to partitions of its own, which stay there."""


class TestOnMoto(BackendContract, MachineContract):
    """Knows transactions, so threads can be forked on it; its own cost is most of the time.

    Two thirds of all else are tried on dynalite.
    """

    colours: ClassVar[Sequence[Colour]] = tuple(Colour) if SOAK else (Colour.BLOCKING,)
    thirds: ClassVar = {Colour.BLOCKING: (0,)}
    entire: ClassVar = (Fork, MachineContract)
    one_in = 50
    one_case_in = 1 if SOAK else 4

    @pytest.fixture(autouse=True)
    def _server(self, moto: str) -> None:
        self.endpoint = moto

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return open_backend(url_for(self.endpoint, tmp_path), blocking=blocking, clock=clock)


class TestOnDynalite(BackendContract, MachineContract):
    """Strict on sizes and pages; it knows no transactions, so nothing can be forked on it."""

    colours: ClassVar[Sequence[Colour]] = tuple(Colour) if SOAK else (Colour.ASYNC,)
    thirds: ClassVar = {Colour.ASYNC: (1, 2)}
    entire: ClassVar = (Read, ListThreads, Exactness, MachineContract)
    one_in = 50
    one_case_in = 1 if SOAK else 4

    @pytest.fixture(autouse=True)
    def _server(self, dynalite: str) -> None:
        self.endpoint = dynalite

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        url = url_for(self.endpoint, tmp_path, transactions="off")
        return open_backend(url, blocking=blocking, clock=clock)


class InTheCloud(BackendContract, MachineContract):
    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        opened = cast("DynamoBackend", open_backend(str(CLOUD), blocking=blocking, clock=clock))
        prefix = hashlib.sha256(f"{os.getpid()} {tmp_path}".encode()).hexdigest()[:12]
        return DynamoBackend(Prefixed(opened.table, f"{prefix} "), clock)


if CLOUD:

    class TestInTheCloud(InTheCloud):
        """Needs credentials, and is run on demand alone."""
