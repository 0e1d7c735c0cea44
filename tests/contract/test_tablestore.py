"""The Tablestore backend keeps the contract, through the vendor's SDK before a service in memory."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, cast

import pytest

from chatstore import ChatStore
from chatstore.backends.tablestore import TablestoreBackend
from chatstore.blocking import run
from chatstore.contract import Backend, Clock
from chatstore.testing import BackendContract, MachineContract
from chatstore.testing.colours import Colour
from chatstore.testing.suite.exactness import Exactness
from chatstore.testing.suite.lifecycle import Lifecycle
from chatstore.testing.suite.read import Read
from chatstore.testing.suite.replace_all import ReplaceAll
from chatstore.testing.suite.requests import Requests
from chatstore.testing.suite.sweep import Sweep
from chatstore.testing.suite.together import Together
from chatstore.urls import open_backend
from tests.conftest import SOAK
from tests.dynamodb.prefixed import Prefixed
from tests.tablestore.connected import connected, url_for
from tests.tablestore.service import Service

CLOUD = os.environ.get("CHATSTORE_TEST_TABLESTORE")
"""A table in the cloud, by its URL; each test keeps to partitions of its own, which stay there."""


@pytest.fixture(autouse=True, scope="module")
def _service() -> Iterator[None]:
    with connected(Service(time.time, page=500)):
        yield


def opened(tmp_path: Path, clock: Clock, *, blocking: bool) -> Backend:
    """A backend whose table is there."""
    maker = open_backend(url_for(tmp_path), blocking=True, clock=clock)
    run(maker.prepare())
    return maker if blocking else open_backend(url_for(tmp_path), blocking=False, clock=clock)


class TestForBlockingCallers(BackendContract, MachineContract):
    """Two thirds of the suite: the engine is that of DynamoDB, where all of it is tried."""

    colours: ClassVar[Sequence[Colour]] = (Colour.BLOCKING,)
    thirds: ClassVar = {Colour.BLOCKING: (0, 1)}
    entire: ClassVar = (Read, Exactness, MachineContract)
    one_in = 50
    one_case_in = 1 if SOAK else 6

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return opened(tmp_path, clock, blocking=blocking)

    @pytest.mark.soak
    def test_the_longest_message_is_taken_and_a_longer_one_refused(self, store: ChatStore) -> None:
        """The SDK takes a tenth of a microsecond for each byte that it sends."""
        super().test_the_longest_message_is_taken_and_a_longer_one_refused(store)


class TestForEventLoops(Read, ReplaceAll, Requests, Together, Sweep, Lifecycle):
    """What is different there is how calls are waited for: a part shows it, and `make soak` tries all."""

    colours: ClassVar[Sequence[Colour]] = (Colour.ASYNC,)
    one_case_in = 1 if SOAK else 6

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return opened(tmp_path, clock, blocking=blocking)


if SOAK:

    class TestAllForEventLoops(TestForBlockingCallers):
        colours: ClassVar[Sequence[Colour]] = (Colour.ASYNC,)


class InTheCloud(BackendContract, MachineContract):
    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        opened = cast("TablestoreBackend", open_backend(str(CLOUD), blocking=blocking, clock=clock))
        prefix = hashlib.sha256(f"{os.getpid()} {tmp_path}".encode()).hexdigest()[:12]
        return TablestoreBackend(Prefixed(opened.table, f"{prefix} "), clock)


if CLOUD:

    class TestInTheCloud(InTheCloud):
        """Needs credentials, and is run on demand alone."""
