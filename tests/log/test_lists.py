"""A thread is listed, whenever and whoever was killed while it became active."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from chatstore import ChatStore
from chatstore.blocking import run
from chatstore.contract import system_clock
from chatstore.engines.log import Key, Row, Rows
from chatstore.engines.log.lists import hours_of
from chatstore.engines.log.visits import hour_of
from chatstore.errors import Unavailable
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.log.doubles import Mortal
from tests.log.memory_table import Killed, LogInMemory, MemoryTable

T = TypeVar("T")


class Slow(MemoryTable):
    """A process's way to a table, on which what is sent to the lists of threads is under way while `held`."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__()
        self.rows = table.rows
        self.held = False
        self._under_way: list[Callable[[], Coroutine[Any, Any, Any]]] = []

    def arrive(self) -> None:
        self.held = False
        for call in self._under_way:
            run(call())

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        pk = str(puts[0]["pk"]) if puts else deletes[0].pk if deletes else ""
        await self._send(pk, lambda: super(Slow, self).write(puts, deletes))

    async def remove(self, row: Row) -> bool:
        return await self._send(str(row["pk"]), lambda: super(Slow, self).remove(row))

    async def swap(self, row: Row, version: int | None) -> bool:
        return await self._send(str(row["pk"]), lambda: super(Slow, self).swap(row, version))

    async def _send(self, pk: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if not self.held or not pk.startswith(("L#", "A#")):
            return await call()
        self._under_way.append(call)
        raise Unavailable("no answer")


CHANGES: dict[str, Callable[[ChatStore], object]] = {
    "append": lambda store: store.append("t", say("more")),
    "insert": lambda store: store.insert("t", say("more"), index=0),
    "replace_all": lambda store: store.replace_all("t", [say("another")]),
    "create_thread": lambda store: store.create_thread("new"),
    "fork": lambda store: store.fork("t", "new"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_thread_is_listed_whoever_was_killed(name: str) -> None:
    for left in range(30):
        table, clock = MemoryTable(), ManualClock()
        first = ChatStore(LogInMemory(table, clock))
        first.append("t", say("hello"), owner="ada")
        clock.advance(timedelta(hours=1))
        killed = False
        try:
            CHANGES[name](ChatStore(LogInMemory(Mortal(table, left), clock)))
        except Killed:
            killed = True
        for store in (first, ChatStore(LogInMemory(table, clock))):
            clock.advance(timedelta(minutes=2))
            there = [id for id in ("t", "new") if store.read(id).etag is not None]
            assert sorted(thread.id for thread in store.list_threads()) == sorted(there)
            store.append("t", say("later"))
            assert store.list_threads().items[0].id == "t"
            assert store.list_threads(owner="ada").items[0].id == "t"
        if not killed:
            assert left > 2
            return
    raise AssertionError("a change takes no thirty calls")


class Deaf(MemoryTable):
    """A table that, while it is told to, does not take headers."""

    deaf = False

    async def swap(self, row: Row, version: int | None) -> bool:
        if self.deaf and row["sk"] == "~":
            raise Unavailable("no answer")
        return await super().swap(row, version)


ACKNOWLEDGED: list[Callable[[ChatStore], bool]] = [
    lambda store: store.update_thread("t", topic="new", request_id="update").topic == "new",
    lambda store: store.delete_thread("t", request_id="delete").existed,
]


def test_what_is_acknowledged_is_listed_so() -> None:
    table = Deaf()
    stores = [ChatStore(LogInMemory(table, system_clock)) for _ in range(2)]
    stores[0].append("t", say("hello"))
    for change in ACKNOWLEDGED:
        table.deaf = True
        with pytest.raises(Unavailable):
            change(stores[0])
        table.deaf = False
        for store in stores:
            assert change(store), "the first answer again"
            assert [one.topic for one in store.list_threads()] == ["new"] * (store.read("t").etag is not None)


@pytest.mark.parametrize("known", [True, False], ids=["a time", "a time and an hour"])
def test_a_note_that_arrives_late_takes_no_thread_off_the_list(*, known: bool) -> None:
    """Whoever was active in one hour is put back there when another has begun."""
    table, clock = MemoryTable(), ManualClock()
    slow = Slow(table)
    first, second = (ChatStore(LogInMemory(one, clock)) for one in (slow, table))
    second.append("t", say("hello"), owner="ada")
    clock.advance(timedelta(hours=1))
    if known:
        first.append("t", say("more"))
        clock.advance(timedelta(minutes=2))
    slow.held = True
    with pytest.raises(Unavailable):
        first.append("t", say("more"))
    clock.advance(timedelta(hours=1))
    second.append("t", say("more"))
    slow.arrive()
    for store in (first, second):
        assert [thread.id for thread in store.iter_threads()] == ["t"]
        assert [thread.id for thread in store.iter_threads(owner="ada")] == ["t"]
        assert [thread.id for thread in store.iter_threads(active_since=clock.now)] == ["t"]


@pytest.mark.parametrize("how", ["sweep", "erase"])
def test_a_removal_that_arrives_late_takes_no_later_thread_off_the_list(how: str) -> None:
    table, clock = MemoryTable(), ManualClock()
    slow = Slow(table)
    first, second = (ChatStore(LogInMemory(one, clock)) for one in (slow, table))
    second.append("t", say("hello"), owner="ada")
    if how == "sweep":
        second.delete_thread("t")
        clock.advance(timedelta(hours=26))
    slow.held = True
    with pytest.raises(Unavailable):
        first.sweep() if how == "sweep" else first.erase("ada")
    clock.advance(timedelta(seconds=1))
    second.append("t", say("another"), owner="ada")
    slow.arrive()
    for store in (first, second):
        assert [thread.id for thread in store.iter_threads()] == ["t"]
        assert [thread.id for thread in store.iter_threads(owner="ada")] == ["t"]


@pytest.mark.parametrize("found_by", ["list", "sweep"])
def test_an_owners_row_that_comes_back_late_still_names_the_hours_that_it_named(found_by: str) -> None:
    """It is brought forward again, and an erasure finds by it what a killed writer left in another hour."""
    table, clock = MemoryTable(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    store.append("t", say("1"), owner="mary")
    clock.advance(timedelta(hours=1))
    killed = Mortal(table, 5)
    with contextlib.suppress(Killed):
        # As far as the owner's row, which names the hour that was left.
        ChatStore(LogInMemory(killed, clock)).append("t", say("2"))
    place = next(pk for pk in table.rows if pk.startswith("L#"))
    before = {sk: dict(row) for sk, row in table.rows[place].items()}
    assert all(len(hours_of(row)) > 1 for row in before.values())
    clock.advance(timedelta(hours=1))
    store.append("t", say("3"))
    table.rows[place].update(before)
    if found_by == "sweep":
        clock.advance(timedelta(hours=4))
        while store.sweep().more:
            pass
    assert [thread.id for thread in store.iter_threads()] == ["t"]
    [row], [former] = table.rows[place].values(), before.values()
    assert int(row["v"]) > int(former["v"])
    assert hours_of(former) - {hour_of(int(former["v"]))} <= hours_of(row)


class Lossy(MemoryTable):
    """A process's way to a table, on which deletions from lists are lost while `lossy`."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__()
        self.rows = table.rows
        self.lossy = True

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        if self.lossy and deletes:
            raise Unavailable("no answer")
        await super().write(puts, deletes)


SECOND = timedelta(seconds=1)


def clocks_at_the_end_of_an_hour(*ahead: timedelta) -> list[ManualClock]:
    """Clocks of several machines: the first is half a minute before the hour, the others are ahead of it."""
    clocks = [ManualClock() for _ in ahead]
    for clock, one in zip(clocks, ahead, strict=True):
        clock.advance(timedelta(hours=1) - timedelta(minutes=clock.now.minute, seconds=30) + one)
    return clocks


def check_listed(table: MemoryTable, clock: ManualClock, *ids: str) -> None:
    """Every list has these threads, by owner and of the tenant, once, also in hours and days."""
    for wait in (timedelta(0), timedelta(hours=3), timedelta(days=2)):
        clock.advance(wait)
        store = ChatStore(LogInMemory(table, clock))
        for _ in range(2):
            assert [thread.id for thread in store.iter_threads()] == list(ids)
            assert [thread.id for thread in store.iter_threads(owner="ada")] == list(ids)
            while store.sweep().more:
                pass


@pytest.mark.parametrize("ahead", [2 * SECOND, timedelta(minutes=10), timedelta(hours=1), -2 * SECOND])
def test_clocks_that_differ_at_the_end_of_an_hour_take_no_thread_off_the_list(ahead: timedelta) -> None:
    table = MemoryTable()
    slow, fast = clocks_at_the_end_of_an_hour(timedelta(0), ahead)
    first, second = (ChatStore(LogInMemory(table, clock)) for clock in (slow, fast))
    first.append("t", say("1"), owner="ada")
    for clock in (slow, fast):
        clock.advance(timedelta(seconds=29))
    second.append("t", say("2"))
    first.append("t", say("3"))
    for clock in (slow, fast):
        clock.advance(timedelta(minutes=2))
    first.append("t", say("4"))
    second.append("t", say("5"))
    check_listed(table, slow, "t")


def test_activity_never_goes_back() -> None:
    table = MemoryTable()
    slow, fast = clocks_at_the_end_of_an_hour(timedelta(0), timedelta(minutes=5))
    first, second = (ChatStore(LogInMemory(table, clock)) for clock in (slow, fast))
    second.append("t", say("1"))
    active = second.get_thread("t").active_at
    first.append("t", say("2"))
    assert first.get_thread("t").active_at == active
    first.delete_thread("t")
    first.append("t", say("3"))
    assert first.get_thread("t").active_at > active
    assert first.list_threads().items[0].active_at == first.get_thread("t").active_at


def test_a_look_that_takes_long_across_the_hour_takes_no_thread_off_the_list() -> None:
    table = MemoryTable()
    [clock] = clocks_at_the_end_of_an_hour(timedelta(0))

    class Late(MemoryTable):
        """Its next look is answered when another process was faster, in the next hour."""

        late = False

        async def query(self, pk: str, low: str, high: str, *, limit: int, newest: bool = False,
                        after: str | None = None, stale: bool = False) -> Rows:  # fmt: skip
            found = await super().query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)
            if self.late and pk.startswith("T#"):
                self.late = False
                clock.advance(2 * SECOND)
                second.append("t", say("2"))
                clock.advance(-2 * SECOND)
            return found

    late = Late()
    late.rows = table.rows
    first, second = (ChatStore(LogInMemory(one, clock)) for one in (late, table))
    first.append("t", say("1"), owner="ada")
    clock.advance(timedelta(seconds=29))
    # Another process, so that it has to look.
    first = ChatStore(LogInMemory(late, clock))
    late.late = True
    first.append("t", say("3"))
    assert [message.content for message in first.read("t")] == ["1", "2", "3"]
    check_listed(table, clock, "t")


@pytest.mark.parametrize("way", ["begun again", "moved", "moved, and its removal lost"])
def test_an_erased_owner_is_in_no_list_of_any_hour(way: str) -> None:
    table = MemoryTable()
    lossy = Lossy(table)
    lossy.lossy = "lost" in way
    [clock] = clocks_at_the_end_of_an_hour(timedelta(0))
    store = ChatStore(LogInMemory(lossy, clock))
    store.append("of mary", say("one"), owner="mary")
    if "begun" in way:
        store.delete_thread("of mary")
    for hours in range(1, 4):
        clock.advance(timedelta(hours=1))
        with contextlib.suppress(Unavailable):
            store.append("of mary", say(hours), owner="mary")
    lossy.lossy = False
    store.erase("mary")
    assert "mary" not in repr(
        [row for pk, rows in table.rows.items() if pk[0] in "AL" for row in rows.values()]
    )
    assert "'mary" not in repr(table.rows)
    for _ in range(3):
        clock.advance(timedelta(hours=26))
        while store.sweep().more:
            pass
    assert "mary" not in repr([row for rows in table.rows.values() for row in rows.values()])


@pytest.mark.parametrize("ended", ["delete", "expire", "erase", "killed"])
def test_what_is_gone_is_in_no_row_of_any_list_after_days(ended: str) -> None:
    for left in range(12):
        table, clock = MemoryTable(), ManualClock()
        store = ChatStore(LogInMemory(table, clock))
        ttl = timedelta(hours=5) if ended == "expire" else None
        store.append("t", say("hello"), owner="ada", ttl=ttl)
        for _ in range(3):
            clock.advance(timedelta(hours=1))
            with contextlib.suppress(Killed):
                ChatStore(LogInMemory(Mortal(table, left), clock)).append("t", say("more"))
            with contextlib.suppress(Killed):
                ChatStore(LogInMemory(Mortal(table, left), clock)).append("killed", say("never"), owner="bob")
        store.delete_thread("killed")
        if ended == "erase":
            store.erase("ada")
        elif ended != "expire":
            store.delete_thread("t")
        for _ in range(5):
            clock.advance(timedelta(hours=26))
            while store.sweep().more:
                pass
        # An hour's own row, which names no thread, goes with the next list.
        assert list(store.iter_threads()) == []
        assert {pk for pk, rows in table.rows.items() if rows} <= {"N", "X", "A#default"}
        assert set(table.rows["A#default"]) <= {"!"}


def test_a_sweep_that_is_killed_as_it_looks_through_an_hour_leaves_no_row_of_a_list() -> None:
    for left in range(20):
        table, clock = MemoryTable(), ManualClock()
        with contextlib.suppress(Killed):
            ChatStore(LogInMemory(Mortal(table, 5), clock)).append("t", say("never"), owner="bob")
        assert [pk for pk in table.rows if pk.startswith(("L#", "T#"))] == ["L#default#bob"]
        clock.advance(timedelta(hours=4))
        killed = False
        try:
            ChatStore(LogInMemory(Mortal(table, left), clock)).sweep()
        except Killed:
            killed = True
        ChatStore(LogInMemory(table, clock)).sweep()
        assert "bob" not in repr([rows for rows in table.rows.values() if rows]), left
        if not killed:
            assert left > 5
            return
    raise AssertionError("a sweep takes no twenty calls")


def test_killed_while_it_deletes_leaves_nothing_to_an_erasure() -> None:
    for left in range(10):
        table, clock = MemoryTable(), ManualClock()
        store = ChatStore(LogInMemory(table, clock))
        store.create_thread("t", owner="mary", topic="illness", participants=[{"id": "dr-x"}])
        with contextlib.suppress(Killed):
            ChatStore(LogInMemory(Mortal(table, left), clock)).delete_thread("t")
        store.erase("mary")
        for word in ("mary", "illness", "dr-x"):
            assert word not in repr([rows for rows in table.rows.values() if rows]), (left, word)


@pytest.mark.parametrize("lost", [False, True])
def test_rows_of_before_tokens_are_read_as_they_are(*, lost: bool) -> None:
    table, clock = MemoryTable(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    store.append("t", say("hello"), owner="ada")
    for pk, rows in table.rows.items():
        if pk.startswith(("A#", "L#")):
            for row in rows.values():
                row.pop("s", None)
    if lost:
        # A call that arrived late has put it back further than the hour.
        table.rows["L#default#ada"].clear()
    check_listed(table, clock, "t")
