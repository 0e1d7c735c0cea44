"""What long turns and histories cost: calls, whichever way they came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

import chatstore
from bench import aws_costs, month
from chatstore.codec import Json
from chatstore.engines.log import Key, Row, Rows
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from tests.log.memory_table import LogInMemory, MemoryTable

HISTORY: list[dict[str, Json]] = [
    {"role": "user", "content": f"{number} " + "lorem ipsum dolor sit amet " * 37} for number in range(1000)
]


class CountingTable(MemoryTable):
    """Counts calls, and rows that were asked for by their names."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    async def query(self, pk: str, low: str, high: str, *, limit: int, newest: bool = False,
                    after: str | None = None, stale: bool = False) -> Rows:  # fmt: skip
        self.calls["read"] += 1
        return await super().query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        self.calls["read"] += 1
        self.calls["named"] += len(keys)
        return await super().get(keys)

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self.calls["written"] += 1
        return await super().put_new(row, free=free)

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        self.calls["written"] += 1
        return await super().write(puts, deletes)

    def counted(self, work: Callable[[], object]) -> Counter[str]:
        self.calls.clear()
        work()
        return Counter(self.calls)


WAYS: dict[str, Callable[[ChatStore], object]] = {
    "a new thread's history": lambda store: store.replace_all("t", HISTORY, create=True),
    "a new thread's turn": lambda store: store.append("t", *HISTORY),
    "another history": lambda store: store.replace_all("old", HISTORY),
    "a turn": lambda store: store.append("old", *HISTORY),
    "what a history grew by": lambda store: store.replace_all("old", [{"role": "system"}, *HISTORY]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_thousand_messages(way: str) -> None:
    table = CountingTable()
    store = ChatStore(LogInMemory(table, ManualClock()))
    store.append("old", {"role": "system"})
    thread = "t" if "new" in way else "old"
    assert table.counted(lambda: WAYS[way](store))["written"] <= 4
    read = table.counted(lambda: store.read(thread, last=20))
    assert read["read"] <= 2
    found: list[dict[str, Json]] = []
    read = table.counted(lambda: found.extend(one.to_dict() for one in store.iter_messages(thread)))
    assert read["read"] <= 35
    assert read["named"] <= 20
    assert found[-1000:] == HISTORY
    assert [one.to_dict() for one in store.read(thread, last=20)] == HISTORY[-20:]


def test_a_long_turn_after_edits_is_compared_and_forked() -> None:
    """What reads all of a history reads what its texts share once."""
    table = CountingTable()
    store = ChatStore(LogInMemory(table, ManualClock()))
    first = store.append("t", {"role": "system"}).messages[0]
    store.append("t", *HISTORY)
    store.delete_message("t", first.id or "")
    assert table.counted(lambda: store.replace_all("t", HISTORY))["read"] <= 12
    assert table.counted(lambda: store.fork("t", "copy"))["read"] <= 10
    assert [one.to_dict() for one in store.iter_messages("copy")] == HISTORY


def test_messages_of_a_long_turn_by_themselves() -> None:
    table, clock = CountingTable(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    store.append("t", {"role": "system"})
    turn: list[dict[str, Json]] = [{"role": "user", "content": f"{n} é" + "€" * n * 40} for n in range(400)]
    request = chatstore.uuid7(clock() // 1000)
    messages = store.append("t", *turn, request_id=request).messages
    assert store.append("t", *turn, request_id=request).messages == messages
    for number in (0, 199, 399):
        id = messages[number].id or ""
        assert store.get_message("t", id).to_dict() == turn[number]
    for number in range(399, 0, -40):
        store.delete_message("t", messages[number].id or "")
        del turn[number]
    clock.advance(timedelta(hours=26))
    store.sweep()
    assert [one.to_dict() for one in store.iter_messages("t")][1:] == turn
    store.clear("t")
    clock.advance(timedelta(hours=26))
    store.sweep()
    assert not [sk for sk in table.rows["T#default#t"] if sk.startswith("B#")]


def test_a_turn_of_more_messages_than_a_row_takes_is_refused_and_a_history_is_not() -> None:
    store = ChatStore(LogInMemory(MemoryTable(), ManualClock()))
    many: list[dict[str, Json]] = [{"role": "user"}] * 20_001
    store.append("t", {"role": "system"})
    with pytest.raises(chatstore.InvalidArgument, match="append several"):
        store.append("t", *many)
    assert len(store.replace_all("t", [{"role": "system"}, *many]).messages) == 20_002


@pytest.fixture(scope="module")
def weeks() -> list[month.Week]:
    """A month of few turns."""
    return list(month.played(1000))


def test_sweeps_of_a_month_leave_nothing_undone_and_cost_what_was_said(weeks: list[month.Week]) -> None:
    last = weeks[-1]
    assert (last.unfinished, [week.due for week in weeks]) == (0, [0] * 4)
    # What an hour or a visit shares with others, so few turns bear alone.
    assert aws_costs.EXPIRY_WRITES < last.expiry.writes < aws_costs.EXPIRY_WRITES + 1
    assert last.turn.writes == pytest.approx(aws_costs.ITEM + aws_costs.APART, rel=0.1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"rows": 1100}, ["storage is not flat after the first week: [1000, 1000, 1100] rows"]),
        ({"unfinished": 3}, ["3 sweeps ended with more to do"]),
        ({"seconds": 0.01}, ["sweeps would fall behind"]),
        ({"expiry": month.Units(5.0, 3.7)}, ["the bill is"]),
    ],
)
def test_a_month_that_is_not_as_the_page_says_is_told(change: dict[str, Any], told: list[str]) -> None:
    turn = month.Units(aws_costs.ITEM + aws_costs.APART, aws_costs.LAST_ONES + aws_costs.UNKNOWN)
    expiry = month.Units(aws_costs.EXPIRY_WRITES, aws_costs.EXPIRY_READS)
    turns = 1_000_000
    week = month.Week(1000, 400 * turns, 0, turn, expiry, aws_costs.EXPIRY_SECONDS, 5.0, 0)
    faults = month.found(turns, [week, week, week, week._replace(**change)])
    assert [one.partition(" +")[0] for one in faults] == told
