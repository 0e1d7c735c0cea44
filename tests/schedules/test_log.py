"""Every interleaving of what may meet on one thread, checked for linearizability and exactly-once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatstore.log import LogBackend, Row, Table, reading, writing
from chatstore.log.head import Head
from chatstore.log.known import Known
from chatstore.log.port import Key
from chatstore.log.records import Slot
from tests.log.memory_table import MemoryTable
from tests.schedules import log as do
from tests.schedules.explorer import Actor, Count, explore
from tests.schedules.log import Deterministic, SteppedTable, judge, started
from tests.schedules.model import Modelled

TABLE, IDS, STARTED = started(["a"], ["b", "c"], ["d"])
THERE = ("a", "b", "c", "d")

# What a process knows that read the thread before its last turn was added.
_, _, STALE = started(["a"], ["b", "c"])
KNOWING = {"cold": None, "warm": STARTED, "stale": STALE}

WRITERS: dict[str, Callable[[str], Modelled]] = {
    "append": lambda by: do.append(f"x{by}"),
    "replace all": lambda by: do.replace_all("r", f"s{by}"),
    "grow": lambda by: do.replace_all(*THERE, f"g{by}"),
    "clear": do.clear,
    "delete thread": do.delete_thread,
    "put b": lambda by: do.replace_message(IDS["b"], "b|B|B2", f"B{by}", by),
    "take b": lambda by: do.delete_message(IDS["b"], "b|B|B2", by),
    "insert before b": lambda by: do.insert_before(IDS["b"], "b|B|B2", f"i{by}"),
    "insert before c": lambda by: do.insert_before(IDS["c"], "c", f"j{by}"),
    "pop": do.pop,
    "compact": do.compact,
}
PAIRS = [(one, other) for number, one in enumerate(WRITERS) for other in list(WRITERS)[number:]]


def actor(number: int, *operations: Modelled, known: LogBackend | None = None) -> Actor[Modelled]:
    def backend() -> LogBackend:
        made = Deterministic(SteppedTable(), number)
        if known is not None:
            made._writer.known._known.update(known._writer.known._known)
        return made

    return Actor(operations, backend, repeats=True)


def hold(
    counts: list[Count],
    *actors: Actor[Modelled],
    faults: int = 0,
    table: MemoryTable = TABLE,
    there: Any = THERE,
) -> None:
    count = explore(table, actors, judge(there), faults=faults)
    counts.append(count)
    assert not count.bad, count.bad[0]
    assert count.ends


@pytest.mark.parametrize("knowing", KNOWING)
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_every_pair(one: str, other: str, knowing: str, counted: list[Count]) -> None:
    known = KNOWING[knowing]
    hold(counted, actor(1, WRITERS[one](""), known=known), actor(2, WRITERS[other]("2"), known=known))


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("one", WRITERS)
def test_a_reader_beside_each(one: str, newest: bool, counted: list[Count]) -> None:
    reads = [do.read("read", newest=newest), do.read("read again", newest=newest)]
    hold(counted, actor(1, WRITERS[one]("")), actor(2, *reads), faults=1)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_every_pair_while_one_thing_fails(one: str, other: str, counted: list[Count]) -> None:
    hold(counted, actor(1, WRITERS[one](""), known=STARTED), actor(2, WRITERS[other]("2")), faults=1)


@pytest.mark.parametrize("one", WRITERS)
def test_each_alone_while_two_things_fail(one: str, counted: list[Count]) -> None:
    hold(counted, actor(1, WRITERS[one](""), known=STARTED), faults=2)


def test_a_thread_made_by_two(counted: list[Count]) -> None:
    empty = MemoryTable()
    for other in (do.append("y"), do.replace_all("r", "s"), do.delete_thread(), do.pop()):
        hold(counted, actor(1, do.append("x")), actor(2, other), actor(3, do.read()), table=empty, there=None)
        hold(counted, actor(1, do.append("x")), actor(2, other), faults=1, table=empty, there=None)


@pytest.mark.parametrize(
    "operations",
    [
        (do.append("x"), do.append("y"), do.replace_all("r")),
        (do.append("x"), do.replace_message(IDS["b"], "b", "B"), do.read()),
        (do.append("x"), do.replace_all("r"), do.replace_message(IDS["b"], "b", "B")),
        (do.replace_all("r"), do.replace_all("s"), do.append("x")),
        (do.pop(), do.append("x"), do.read()),
        (do.delete_thread(), do.append("x"), do.append("y")),
    ],
)
def test_three(operations: tuple[Modelled, ...], counted: list[Count]) -> None:
    hold(counted, *(actor(number, one, known=STARTED) for number, one in enumerate(operations, 1)))


def test_four_appenders_from_one_stale_tail(counted: list[Count]) -> None:
    hold(counted, *(actor(number, do.append(f"x{number}"), known=STALE) for number in range(1, 5)))


def test_a_lost_append_then_a_replace_then_its_repetition(counted: list[Count]) -> None:
    hold(counted, actor(1, do.append("x")), actor(2, do.read("look"), do.replace_all("r")), faults=1)


def test_one_request_from_two_at_once(counted: list[Count]) -> None:
    one = do.append_once("x")
    hold(counted, actor(1, one, one), actor(2, one, known=STARTED), actor(3, do.append("y")))


MINUTE = 60_000_000


@pytest.mark.parametrize("ahead", [-4 * MINUTE, 4 * MINUTE])
def test_a_request_from_two_whose_clocks_differ(ahead: int, counted: list[Count]) -> None:
    """`seen` bounds the search for a request under any skew that its window allows."""
    one = do.append_once("x")

    def skewed() -> LogBackend:
        return Deterministic(SteppedTable(), 2, ahead=ahead)

    hold(counted, actor(1, do.append("y"), one), Actor([one, do.append("z")], skewed, repeats=True))


@pytest.mark.parametrize("other", ["append", "put b", "take b", "insert before b", "pop", "grow"])
def test_a_replace_that_expects_what_was_read_beside_each(other: str, counted: list[Count]) -> None:
    etag = STARTED._writer.known._known["T#default#t"].head.etag
    replacing = do.replace_all("r", if_match=etag, was=THERE)
    hold(counted, actor(1, replacing), actor(2, WRITERS[other]("2"), known=STARTED))


# What is guarded, unguarded: the checker must find it.


class Overwriting(MemoryTable):
    """Takes a slot whoever has it."""

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        await self.write([row])
        return None


class Heedless(MemoryTable):
    """Swaps a row whatever its version."""

    async def swap(self, row: Row, version: int | None) -> bool:
        await self.write([row])
        return True


def found(*actors: Actor[Modelled], table: MemoryTable = TABLE, faults: int = 0) -> bool:
    return bool(explore(table, actors, judge(THERE), faults=faults).bad)


@pytest.mark.parametrize("table", [Overwriting, Heedless])
def test_a_table_without_its_conditions_is_found_out(
    table: type[MemoryTable],
) -> None:
    careless = table()
    careless.rows = TABLE.rows
    first, second = do.replace_message(IDS["b"], "b|B", "B"), do.delete_message(IDS["c"], "c")
    third = do.append("x")
    assert found(actor(1, first), actor(2, second), actor(3, third), table=careless)


async def _nothing_known(table: Table, head: Head, asked: object, now: int) -> tuple[None, Known]:
    return None, Known(head, (), 0, now)


async def _leave(table: Table, head: Head, *, row: Slot | None = None) -> bool:
    return True


def _unapplied(slot: Slot, row: Slot | None) -> None:
    return None


def test_without_the_search_for_a_request_it_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "search", _nothing_known)
    assert found(actor(1, do.append_once("x")), actor(2, do.append_once("x")))


def test_without_applying_what_was_decided_it_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "settle", _leave)
    assert found(actor(1, do.replace_message(IDS["b"], "b", "B")), actor(2, do.append("x")))


def test_without_reading_what_was_decided_as_applied_it_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "target_of", _unapplied)
    reads = [do.read("read"), do.read("read again")]
    assert found(actor(1, do.replace_message(IDS["b"], "b", "B")), actor(2, *reads), faults=1)


@pytest.mark.soak
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_every_pair_beside_a_reader_while_one_thing_fails(one: str, other: str, counted: list[Count]) -> None:
    first, second = actor(1, WRITERS[one](""), known=STALE), actor(2, WRITERS[other]("2"))
    hold(counted, first, second, actor(3, do.read()), faults=1)
