"""A write that was held up between its parts changes nothing, and says so."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

import pytest

from chatstore import ChatStore, Unavailable
from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.port import Op
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.azure_tables.fake import FakeDriver, FakeTable, Killed, Mortal

BIG = random.Random(7).randbytes(400_000).hex()
"""Too large for a row, even when it is compressed."""


class HeldUp(FakeDriver):
    """Takes `long` for pieces of a large body, while it is told so."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(FakeTable())
        self.clock = clock
        self.long = timedelta(0)

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        if any(op.row.startswith("p") and op.kind != "delete" for op in ops):
            self.clock.advance(self.long)
        return await super().submit(partition, ops)


@pytest.mark.parametrize("dialect", [TABLES, COSMOS], ids=["tables", "cosmos"])
def test_what_two_killed_writers_told_in_one_microsecond_is_swept(dialect: Dialect) -> None:
    table, clock = FakeTable(), ManualClock()
    for owner in ("mary", "bob"):
        process = ChatStore(AzureTablesBackend(Mortal(table), dialect, clock)).for_owner(owner)
        with pytest.raises(Killed):
            process.delete_thread("t", request_id="of nothing")
    assert len([partition for partition, _ in table.rows if partition.startswith("L-")]) == 2
    store = ChatStore(AzureTablesBackend(FakeDriver(table), dialect, clock))
    for _ in range(4):
        clock.advance(timedelta(days=2))
        while store.sweep().more:
            pass
    assert [partition for partition, _ in table.rows if partition != "N"] == []


def test_a_thread_stays_of_which_a_killed_writer_told_another_listing() -> None:
    table, clock = FakeTable(), ManualClock()
    store = ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock))
    store.append("t", say("a"))
    process = ChatStore(AzureTablesBackend(Mortal(table), TABLES, clock)).for_owner("bob")
    with pytest.raises(Killed):
        process.delete_thread("t", request_id="of nothing")
    listing = layout.listing("default", "bob")
    assert any(partition == listing for partition, _ in table.rows)
    clock.advance(timedelta(hours=2))
    store.sweep()
    assert not any(partition == listing for partition, _ in table.rows)
    assert [message.content for message in store.read("t")] == ["a"]


def test_a_thread_that_a_killed_writer_never_made_can_be_erased() -> None:
    table, clock = FakeTable(), ManualClock()
    with pytest.raises(Killed):
        ChatStore(AzureTablesBackend(Mortal(table), TABLES, clock)).append("t", say("a"), owner="ada")
    store = ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock))
    assert store.erase("ada").threads == 0
    assert layout.listing("default", "ada") not in repr(table.rows)


def test_a_thread_is_listed_by_the_activity_that_took_place() -> None:
    clock = ManualClock()
    driver = HeldUp(clock)
    store = ChatStore(AzureTablesBackend(driver, TABLES, clock))
    for thread in ("x", "y"):
        store.append(thread, say("a"), owner="ada")
        clock.advance(timedelta(minutes=1))
    driver.long = timedelta(hours=2)
    with pytest.raises(Unavailable, match="nothing was written"):
        store.append("x", say(BIG))
    assert [thread.id for thread in store.list_threads(owner="ada")] == ["y", "x"]


@pytest.mark.parametrize("dialect", [TABLES, COSMOS], ids=["tables", "cosmos"])
@pytest.mark.parametrize("begun", [False, True])
def test_pieces_that_a_sweep_may_have_removed_are_not_named(dialect: Dialect, *, begun: bool) -> None:
    clock = ManualClock()
    driver = HeldUp(clock)
    store = ChatStore(AzureTablesBackend(driver, dialect, clock))
    if begun:
        store.append("t", say("before"))
    driver.long = timedelta(hours=2)
    with pytest.raises(Unavailable, match="nothing was written"):
        store.append("t", say(BIG))
    assert [message.content for message in store.read("t")] == ["before"] * begun
    driver.long = timedelta(0)
    store.append("t", say(BIG))
    for _ in range(3):
        clock.advance(timedelta(hours=3))
        while store.sweep().more:
            pass
    assert [message.content for message in store.read("t")] == [*["before"] * begun, BIG]
