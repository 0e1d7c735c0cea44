"""A step of a sweep is bounded, the steps come to an end, and one thread is not in the way of the others."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import ClassVar

import pytest

import chatstore
from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
from chatstore.backends.memory import MemoryBackend
from chatstore.backup import Chosen, kept_threads, restore_threads
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.port import Again, Entity, Op, Range, Slice
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say
from tests.azure_tables.fake import FakeDriver, FakeTable

LIMIT = 5
PER_ROW = 16
"""Requests for each row of the limit, the look at a thread from which nothing is to be removed included."""

NOTES = 16
"""Requests for the notes alone."""


class Counting(FakeDriver):
    """Counts requests; with `gone`, none is answered."""

    def __init__(self) -> None:
        super().__init__(FakeTable())
        self.requests = 0
        self.gone = False

    def _count(self) -> None:
        self.requests += 1
        if self.gone:
            raise Again

    async def get(self, partition: str, row: str) -> Entity | None:
        self._count()
        return await super().get(partition, row)

    async def page(
        self,
        partitions: str | Range,
        rows: Range | None,
        top: int,
        token: object | None,
        before: str | None = None,
        *,
        bodies: bool = True,
    ) -> Slice:
        self._count()
        return await super().page(partitions, rows, top, token, before, bodies=bodies)

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        self._count()
        return await super().submit(partition, ops)


@pytest.fixture
def driver() -> Counting:
    return Counting()


@pytest.fixture(params=[TABLES, COSMOS], ids=["tables", "cosmos"])
def store(request: pytest.FixtureRequest, driver: Counting, clock: ManualClock) -> ChatStore:
    dialect: Dialect = request.param
    return ChatStore(AzureTablesBackend(driver, dialect, clock))


def steps(store: ChatStore, driver: Counting, limit: int = LIMIT) -> int:
    """Sweep to the end, each step within its bound; how many steps that took."""
    for number in range(1, 1000):
        before = driver.requests
        more = store.sweep(limit=limit).more
        assert driver.requests - before <= NOTES + PER_ROW * limit
        if not more:
            return number
    raise AssertionError("the sweep does not come to its end")


@pytest.mark.parametrize("limit", [1, LIMIT, 1000])
def test_what_is_left_of_deleted_threads_goes_in_bounded_steps(
    store: ChatStore, driver: Counting, clock: ManualClock, limit: int
) -> None:
    for number in range(60):
        store.append(f"t{number}", say("a"))
        store.delete_thread(f"t{number}")
    clock.advance(timedelta(days=2))
    assert steps(store, driver, limit) >= 60 // limit
    assert {partition for partition, _ in driver.table.rows} == {layout.TENANTS}


def test_looking_at_threads_without_removing_anything_is_bounded(
    store: ChatStore, driver: Counting, clock: ManualClock
) -> None:
    for number in range(60):
        store.append(f"t{number}", say("a"), ttl=timedelta(hours=1))
        store.update_thread(f"t{number}", ttl=timedelta(days=9))
    clock.advance(timedelta(hours=2))
    assert steps(store, driver) > 1
    assert len(store.list_threads(limit=100)) == 60


@pytest.mark.parametrize("limit", [1, LIMIT, 1000])
def test_every_row_of_a_history_that_was_replaced_goes_however_small_the_steps(
    store: ChatStore, driver: Counting, clock: ManualClock, limit: int
) -> None:
    for number in range(30):
        store.append("t", say(number))
    store.replace_all("t", [say("new")])
    steps(store, driver, limit)
    assert sum(row.startswith("m") for _, row in driver.table.rows) == 1
    assert contents(store.read("t")) == ["new"]


@pytest.mark.parametrize("limit", [1, 4])
def test_a_thread_that_cannot_be_read_is_told_of_when_the_others_are_swept(
    store: ChatStore, driver: Counting, clock: ManualClock, limit: int
) -> None:
    for number in range(9):
        store.append(f"t{number}", say("a"), ttl=timedelta(minutes=1))
        clock.advance(timedelta(seconds=1))
    headers = [key for key in driver.table.rows if key[1] == "h"]
    broken = headers[0]
    good = driver.table.rows[broken]
    driver.table.rows = {**driver.table.rows, broken: good._replace(properties={"s": "{}"})}
    clock.advance(timedelta(minutes=2))
    with pytest.raises(chatstore.StorageError, match="header cannot be read") as raised:
        steps(store, driver, limit)
    assert isinstance(raised.value.__cause__, chatstore.CorruptData)
    assert broken[0] in str(raised.value)
    assert {partition for partition, row in driver.table.rows if row.startswith("m")} == {broken[0]}
    driver.table.rows = {**driver.table.rows, broken: good}
    steps(store, driver, limit)
    assert not [row for _, row in driver.table.rows if row.startswith("m")]


def test_a_table_that_does_not_answer_ends_the_sweep(
    store: ChatStore, driver: Counting, clock: ManualClock
) -> None:
    for number in range(60):
        store.append(f"t{number}", say("a"), ttl=timedelta(minutes=1))
    clock.advance(timedelta(minutes=2))
    driver.gone, driver.requests = True, 0
    with pytest.raises(chatstore.Unavailable):
        store.sweep()
    assert driver.requests < 20


@pytest.mark.parametrize("hours", [0, 1.02, 26, 24 * 365])
@pytest.mark.parametrize("dialect", [TABLES, COSMOS], ids=["tables", "cosmos"])
def test_a_sweep_that_comes_too_late_removes_nothing_that_was_acknowledged_meanwhile(
    dialect: Dialect, hours: float
) -> None:
    """However long it stood still between its look at the header and its look at the rows."""

    class Late(FakeDriver):
        meanwhile: ClassVar[list[Callable[[], object]]] = []

        async def page(
            self,
            partitions: str | Range,
            rows: Range | None,
            top: int,
            token: object | None,
            before: str | None = None,
            *,
            bodies: bool = True,
        ) -> Slice:
            if isinstance(partitions, str) and partitions.startswith("T-") and self.meanwhile:
                self.meanwhile.pop()()
            return await super().page(partitions, rows, top, token, before, bodies=bodies)

    table, clock, ahead = FakeTable(), ManualClock(), ManualClock()
    writer = ChatStore(AzureTablesBackend(FakeDriver(table), dialect, clock))
    writer.append("t", say("1"))
    writer.replace_all("t", [say("2")])
    ahead.advance(timedelta(hours=hours))
    driver = Late(table)
    sweeper = ChatStore(AzureTablesBackend(driver, dialect, ahead))
    noise = random.Random(1).randbytes(200_000).hex()
    for new in ([say("new"), say("history")], [say(noise), say("large")], []):
        driver.meanwhile.append(functools.partial(writer.replace_all, "t", new))
        sweeper.sweep()
        assert not driver.meanwhile, "the sweep looked at the thread"
        fresh = ChatStore(AzureTablesBackend(FakeDriver(table), dialect, clock))
        assert [message.to_dict() for message in fresh.read("t")] == new


def test_a_copy_goes_when_its_time_has_come(store: ChatStore, driver: Counting, clock: ManualClock) -> None:
    store.append("t", say("a"), ttl=timedelta(hours=1))
    store.fork("t", "copy")
    store.update_thread("t", ttl=None)
    clock.advance(timedelta(hours=2))
    steps(store, driver)
    left = [partition for partition, row in driver.table.rows if row.startswith("m")]
    assert left == [layout.partition("default", "t")]


@pytest.mark.parametrize("restored", [False, True])
def test_what_came_late_of_an_earlier_life_goes_with_the_next_sweep(
    store: ChatStore, driver: Counting, clock: ManualClock, *, restored: bool
) -> None:
    partition = layout.partition("default", "t")
    late = layout.message_row(layout.next_epoch(None, 0), "0000000001")
    store.append("t", say("a"), owner="ada")
    store.erase("ada")
    driver.table.apply(partition, [Op("insert", late, {"b00": b"late"})])
    if restored:
        source = ChatStore(MemoryBackend(clock=clock))
        source.append("t", say("b"))
        list(restore_threads(store, kept_threads(source, Chosen())))
    else:
        store.append("t", say("b"))
    clock.advance(timedelta(seconds=1))
    steps(store, driver)
    assert (partition, late) not in driver.table.rows
    assert contents(store.read("t")) == ["b"]


def removed(threads: int, *, erased: bool) -> int:
    """The requests that it takes until nothing is left of so many threads of ten turns."""
    clock, driver = ManualClock(), Counting()
    with ChatStore(AzureTablesBackend(driver, TABLES, clock)) as store:
        for number in range(threads):
            store.create_thread(f"t{number}", owner="ada", ttl=timedelta(days=7))
            for _ in range(10):
                store.append(f"t{number}", say("question"), say("answer"))
        driver.requests = 0
        if erased:
            store.erase("ada")
        else:
            for _ in range(9 * 24):
                clock.advance(timedelta(hours=1))
                while store.sweep().more:
                    pass
            assert {partition for partition, _ in driver.table.rows} <= {layout.TENANTS}
    return driver.requests


@pytest.mark.parametrize(("erased", "most"), [(False, 28), (True, 7)])
def test_the_removal_of_a_thread_takes_so_many_requests(*, erased: bool, most: int) -> None:
    none, one, two = (removed(threads, erased=erased) for threads in range(3))
    # An erasure that found something looks once more, for forks that were made meanwhile.
    assert one - none <= most + erased
    assert two - one <= most
