"""Table Storage and Cosmos DB keep the contract: on Azurite, on one that is unkind, and in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import hypothesis
import pytest

from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
from chatstore.contract import Backend, Capability, Clock
from chatstore.testing import BackendContract, MachineContract
from chatstore.testing.backend_tests import BackendTests
from chatstore.testing.colours import Colour
from chatstore.testing.suite.erase import Erase
from chatstore.testing.suite.finding import Finding
from chatstore.testing.suite.fork import Fork
from chatstore.testing.suite.iterate import Iterate
from chatstore.testing.suite.list_threads import ListThreads
from chatstore.testing.suite.read import Read
from chatstore.testing.suite.replace_all import ReplaceAll
from chatstore.testing.suite.sweep import Sweep
from chatstore.urls import open_backend
from tests.azure_tables.azurite import ACCOUNT, KEY
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.azure_tables.unkind import Unkind
from tests.conftest import SOAK
from tests.servers import table_for

# On a server each example of the machine takes seconds, and in memory a tenth of one.
hypothesis.settings.register_profile("on a server", deadline=None, max_examples=150 if SOAK else 3)
hypothesis.settings.register_profile("in memory", deadline=None, max_examples=500 if SOAK else 60)


@pytest.fixture(scope="module")
def cutting(azurite: str) -> Iterator[Unkind]:
    with Unkind(azurite, cuts=0.3, throttles=0.02) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def shuffling(azurite: str) -> Iterator[Unkind]:
    with Unkind(azurite, cosmos=True, cuts=0.3, throttles=0.02) as proxy:
        yield proxy


class Sized(MachineContract):
    profile: str

    @pytest.fixture(autouse=True)
    def sized(self) -> Iterator[None]:
        before = hypothesis.settings.get_current_profile_name()
        hypothesis.settings.load_profile(self.profile)
        yield
        hypothesis.settings.load_profile(before)


class OnAServerTests(BackendTests):
    scheme = "aztables"
    client = "async"
    one_case_in = 1 if SOAK else 4

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        table = f"{ACCOUNT}/{table_for(tmp_path)}"
        url = f"{self.scheme}://{table}?endpoint={self.endpoint}&client={self.client}"
        return open_backend(url, blocking=blocking, clock=clock)

    endpoint: str


class OnAServer(BackendContract, OnAServerTests, Sized):
    """All of the contract."""

    profile = "on a server"


class TestAzureTables(OnAServer):
    thirds: ClassVar = {Colour.BLOCKING: (1, 2)}
    entire: ClassVar = (MachineContract,)
    colours: ClassVar[Sequence[Colour]] = tuple(Colour) if SOAK else (Colour.BLOCKING,)

    @pytest.fixture(autouse=True)
    def server(self, azurite: str) -> None:
        self.endpoint = azurite


class TestCosmos(OnAServer):
    """Rows come in any order, pages end early, requests are throttled, and Cosmos DB's limits hold.

    Two thirds of what reads no pages are tried on Table Storage, and all in memory with this dialect.
    """

    thirds: ClassVar = {Colour.ASYNC: (0,)}
    entire: ClassVar = (Read, Iterate, ListThreads, Finding, Sweep, MachineContract)
    scheme = "cosmos-table"
    colours: ClassVar[Sequence[Colour]] = tuple(Colour) if SOAK else (Colour.ASYNC,)

    @pytest.fixture(autouse=True)
    def server(self, shuffling: Unkind, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_COSMOS_KEY", KEY)
        self.endpoint = shuffling.endpoint


class TestUnkindTables(Read, Iterate, ListThreads, Fork, ReplaceAll, Sweep, Erase, OnAServerTests):
    """What reads pages, where those of Table Storage end early; `make soak` runs all of the contract."""

    client = "blocking"
    colours: ClassVar[Sequence[Colour]] = (Colour.ASYNC,)

    @pytest.fixture(autouse=True)
    def server(self, cutting: Unkind) -> None:
        self.endpoint = cutting.endpoint


@pytest.mark.soak
class TestAllOnUnkindTables(OnAServer):
    client = "blocking"

    @pytest.fixture(autouse=True)
    def server(self, cutting: Unkind) -> None:
        self.endpoint = cutting.endpoint


class InMemoryTests(Sized):
    """On what the port says that a table does."""

    dialect: Dialect

    @pytest.fixture(autouse=True)
    def table(self) -> None:
        self.driver = FakeDriver(FakeTable(), page=7)

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        backend = AzureTablesBackend(self.driver, self.dialect, clock)
        # Requests are counted where they leave the SDK, which is not here.
        backend.capabilities -= {Capability.COST}
        return backend


class InMemory(InMemoryTests):
    """Any sequence of operations."""

    profile = "in memory"
    colours: ClassVar[Sequence[Colour]] = (Colour.BLOCKING,)


class TestTablesInMemory(InMemory):
    dialect = TABLES


class TestCosmosInMemory(InMemory):
    dialect = COSMOS


class AllInMemory(BackendContract, InMemoryTests):
    """All of the contract, for either dialect: a server has time for a part of it."""

    profile = "on a server"


class TestAllOfTablesInMemory(AllInMemory):
    """In the colour that they have on no server."""

    dialect = TABLES
    colours: ClassVar[Sequence[Colour]] = tuple(Colour) if SOAK else (Colour.ASYNC,)


class TestAllOfCosmosInMemory(AllInMemory):
    dialect = COSMOS
    colours: ClassVar[Sequence[Colour]] = tuple(Colour) if SOAK else (Colour.BLOCKING,)
