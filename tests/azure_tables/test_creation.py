"""The table is made by ``chatstore init``, or by whoever finds that it is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableServiceClient

import chatstore
from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.cli import main
from chatstore.engines.fenced.port import Again, BeingDeleted, Entity, NoTable
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say
from tests.azure_tables.azurite import ACCOUNT, KEY
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.azure_tables.unkind import Unkind
from tests.servers import table_for


@pytest.fixture
def proxy(azurite: str) -> Iterator[Unkind]:
    with Unkind(azurite) as proxy:
        yield proxy


@pytest.fixture
def table(tmp_path: Path) -> str:
    return table_for(tmp_path)


@pytest.fixture
def url(proxy: Unkind, table: str) -> str:
    return f"aztables://{ACCOUNT}/{table}?endpoint={proxy.endpoint}"


def tables(azurite: str) -> set[str]:
    """What the account has, as the service says it."""
    with TableServiceClient(azurite, credential=AzureNamedKeyCredential(ACCOUNT, KEY)) as service:
        return {one.name for one in service.list_tables()}


def test_init_makes_the_table_and_leaves_what_is_there(azurite: str, url: str, table: str) -> None:
    assert table not in tables(azurite)
    assert main(["init", url]) == 0
    assert table in tables(azurite)
    with chatstore.connect(url) as store:
        store.append("t", say("a"))
        store.prepare()
        assert contents(store.read("t")) == ["a"]


@pytest.mark.parametrize(
    "command", [("threads",), ("backup", "--out", "{out}"), ("export",), ("erase", "--owner", "a", "--yes")]
)
def test_what_only_reads_does_not_make_it(
    azurite: str, url: str, table: str, tmp_path: Path, command: tuple[str, ...]
) -> None:
    out = tmp_path / "out.jsonl"
    assert main([*(part.format(out=out) for part in command), "--from", url]) == 2
    assert table not in tables(azurite)
    assert not out.exists()
    with chatstore.connect(url) as store:
        store.append("t", say("a"), owner="a")
    assert main([*(part.format(out=out) for part in command), "--from", url]) == 0


@pytest.mark.parametrize("client", ["async", "blocking"])
def test_either_client_makes_it(azurite: str, url: str, table: str, client: str) -> None:
    async def prepare() -> None:
        async with chatstore.aconnect(f"{url}&client={client}") as store:
            await store.prepare()

    asyncio.run(prepare())
    assert table in tables(azurite)


@pytest.mark.parametrize("fault", ["429", "503", "409 deleting", "drop after"])
def test_a_creation_that_is_not_answered_is_tried_again(
    azurite: str, proxy: Unkind, url: str, table: str, fault: str
) -> None:
    with chatstore.connect(url) as store:
        proxy.faults = [fault] * 2
        store.prepare()
        assert table in tables(azurite)
    with chatstore.connect(url.replace(table, f"{table}lazy")) as store:
        proxy.faults = [None, fault]
        assert contents(store.read("t")) == []
        assert f"{table}lazy" in tables(azurite)


def test_a_creation_that_is_forbidden_is_refused_at_once(proxy: Unkind, url: str) -> None:
    with chatstore.connect(url) as store:
        for faults, call in (
            (["403"], store.prepare),
            ([None, "403"], lambda: store.read("t")),
            ([None, None, "403"], lambda: store.append("t", say("a"))),
        ):
            proxy.faults = [*faults]
            with pytest.raises(chatstore.StorageError, match="AuthorizationPermissionMismatch") as raised:
                call()
            assert raised.value.__cause__ is not None
            assert proxy.faults == []


def test_a_service_that_stays_away_is_unavailable(proxy: Unkind, url: str) -> None:
    proxy.faults = ["503"] * 100
    with chatstore.connect(url) as store, pytest.raises(chatstore.Unavailable):
        store.prepare()


class Pausing(FakeDriver):
    """A table that is not there, and that nobody can make as long as there are `refusals`."""

    def __init__(self, refusals: list[Exception]) -> None:
        super().__init__(FakeTable())
        self.refusals = refusals
        self.pauses: list[float] = []
        self.made = False

    async def create(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.made = True

    async def get(self, partition: str, row: str) -> Entity | None:
        if not self.made:
            raise NoTable
        return await super().get(partition, row)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def store_of(driver: FakeDriver) -> ChatStore:
    return ChatStore(AzureTablesBackend(driver, TABLES, ManualClock()))


def test_a_table_that_is_being_deleted_is_waited_for() -> None:
    driver = Pausing([BeingDeleted() for _ in range(30)])
    store_of(driver).prepare()
    assert driver.made
    assert sum(driver.pauses) > 40, "the service takes at least so long"
    with pytest.raises(chatstore.Unavailable):
        store_of(Pausing([BeingDeleted() for _ in range(1000)])).prepare()


@pytest.mark.parametrize("refusal", [Again, BeingDeleted])
def test_a_caller_waits_for_a_table_not_so_long(refusal: type[Exception]) -> None:
    driver = Pausing([refusal() for _ in range(1000)])
    with pytest.raises(chatstore.Unavailable):
        store_of(driver).get_thread("t")
    assert sum(driver.pauses) < 10


def test_a_table_that_is_made_and_never_found_is_unavailable() -> None:
    class Hidden(Pausing):
        async def create(self) -> None:
            """It is said to be made."""

    driver = Hidden([])
    with pytest.raises(chatstore.Unavailable):
        store_of(driver).get_thread("t")
    assert driver.pauses == sorted(driver.pauses), "the pauses grow"


@pytest.mark.parametrize("call", ["ping", "read", "append"])
def test_what_is_no_such_service_is_not_healthy(proxy: Unkind, url: str, call: str) -> None:
    calls: dict[str, Any] = {
        "ping": lambda store: store.ping(),
        "read": lambda store: store.get_thread("t"),
        "append": lambda store: store.append("t", say("a")),
    }
    with chatstore.connect(url) as store:
        proxy.faults = ["404"]
        with pytest.raises(chatstore.StorageError, match="404"):
            calls[call](store)
        store.append("t", say("a"))
        proxy.faults = ["404"]
        with pytest.raises(chatstore.StorageError, match="404"):
            calls[call](store)
        proxy.faults = []
        store.ping()
