"""Two processes on one log: what one remembers or has just read, while the other writes."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from chatstore import ChatStore, Unavailable
from chatstore.blocking import run
from chatstore.engines.log import Key, Row, Rows, layout
from chatstore.engines.log.fairness import Fairness
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents
from tests.log.memory_table import LogInMemory, MemoryTable


class Watched(MemoryTable):
    """Lets others write once in front of a query, and be faster at every slot."""

    def __init__(self) -> None:
        super().__init__()
        self.between: Any = None
        self.contest: Any = None

    async def query(self, pk: str, low: str, high: str, **asked: Any) -> Rows:
        if self.between is not None and low.startswith("E0"):
            between, self.between = self.between, None
            between()
        return await super().query(pk, low, high, **asked)

    async def put_new(self, row: Row, **asked: Any) -> Row | None:
        if self.contest is not None and str(row["sk"]).startswith("E0"):
            self.contest()
        return await super().put_new(row, **asked)


def said(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def stores(clock: ManualClock | None = None) -> tuple[Watched, ChatStore, ChatStore]:
    watched, other = Watched(), MemoryTable()
    other.rows = watched.rows
    clock = clock or ManualClock()
    return watched, ChatStore(LogInMemory(watched, clock)), ChatStore(LogInMemory(other, clock))


@pytest.mark.parametrize("edit", [False, True])
def test_a_pages_etag_is_that_of_what_it_shows(edit: bool) -> None:
    watched, reader, writer = stores()
    first = writer.append("t", said("1")).messages[0]

    def between() -> None:
        if edit:
            writer.replace_message("t", first.id or "", said("edited"))
        writer.append("t", said("2"))

    watched.between = between
    page = reader.read("t", limit=10)
    assert watched.between is None
    now = reader.read("t", limit=10)
    assert (page.etag == now.etag) == ([one.id for one in page] == [one.id for one in now])
    assert [one.to_dict()["content"] for one in page] == (["edited", "2"] if edit else ["1"])
    if edit:
        reader.append("t", said("3"), if_match=page.etag)


def test_a_condition_that_fails_by_what_is_remembered_is_looked_at_again() -> None:
    _, one, other = stores()
    one.append("t", said("1"))
    etag = other.append("t", said("2")).etag
    assert one.append("t", said("3"), if_match=etag).etag


def test_who_loses_every_slot_gives_up_in_time_and_has_written_nothing() -> None:
    clock = ManualClock()
    watched, loser, winner = stores(clock)
    winner.append("t", said("first"))
    wins = itertools.count()

    def contest() -> None:
        next(wins)
        clock.advance(timedelta(seconds=1))
        winner.append("t", said("hot"))

    watched.contest = contest
    with pytest.raises(Unavailable, match="nothing was written"):
        loser.append("t", said("lost"))
    assert next(wins) < 20
    assert "lost" not in [one.to_dict()["content"] for one in winner.read("t", last=50)]


def test_a_fork_that_its_source_forestalls_is_made_of_what_the_source_is_then() -> None:
    """What is in its way is a slot of the source, and tells nothing of the thread that is made."""
    watched, forks, writes = stores()
    writes.append("t", said("1"))

    def contest() -> None:
        watched.contest = None
        writes.append("t", said("2"))

    watched.contest = contest
    forks.fork("t", "new")
    assert [one.content for one in writes.read("new")] == ["1", "2"]
    writes.append("new", said("3"))
    assert [one.content for one in forks.read("new")] == ["1", "2", "3"]


class Timed(MemoryTable):
    """Each call takes five milliseconds; pauses are noted."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.pauses: list[float] = []

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self._clock.advance(timedelta(milliseconds=5))
        return await super().put_new(row, free=free)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._clock.advance(timedelta(seconds=seconds))


def test_who_writes_without_end_rests_so_that_others_get_through() -> None:
    clock = ManualClock()
    table = Timed(clock)
    store = ChatStore(LogInMemory(table, clock))
    for _ in range(200):
        store.append("t", said("hot"))
    # Every third of a second: long enough to look, and to write.
    assert 3 <= len(table.pauses) <= 4
    assert not table.rows.get("W")
    assert all(0.01 < pause < 0.1 for pause in table.pauses)
    table.pauses.clear()
    for _ in range(200):
        clock.advance(timedelta(milliseconds=60))
        store.append("t", said("calm"))
    assert table.pauses == []


def test_who_never_rests_waits_for_a_process_that_is_slow() -> None:
    """It says that it waits after a few losses, and takes that back."""
    clock = ManualClock()
    table, slow = Timed(clock), Watched()
    slow.rows = table.rows
    hot, loser = ChatStore(LogInMemory(table, clock)), ChatStore(LogInMemory(slow, clock))
    hot.append("t", said("first"))
    lost = itertools.count(1)

    def contest() -> None:
        # For each of its calls the other makes eight, unless it makes a long rest.
        next(lost)
        for _ in range(8):
            table.pauses.clear()
            hot.append("t", said("hot"))
            if any(pause > 0.1 for pause in table.pauses):
                assert len(table.rows["W"]) == 1
                slow.contest = None
                return

    slow.contest = contest
    loser.append("t", said("slow"))
    assert 6 < next(lost) < 25
    assert not table.rows["W"]
    assert hot.read("t", last=1).items[0].content == "slow"


def test_a_sweep_forgets_who_waits_only_when_that_was_long_ago() -> None:
    table, clock = MemoryTable(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    run(Fairness(table, clock).wait(layout.waiting("T#default#t", "who")))
    store.sweep()
    assert table.rows[layout.WAITING]
    clock.advance(timedelta(hours=2))
    store.sweep()
    assert not table.rows[layout.WAITING]


def test_who_was_killed_while_it_waited_is_not_waited_for_long() -> None:
    clock = ManualClock()
    table = Timed(clock)
    store = ChatStore(LogInMemory(table, clock))
    run(store.backend._writer.fairness.wait(layout.waiting("T#default#t", "gone")))  # type: ignore[attr-defined]
    began = clock.now
    for _ in range(2000):
        store.append("t", said("hot"))
    long = [pause for pause in table.pauses if pause > 0.1]
    assert clock.now - began > timedelta(seconds=12)
    assert 5 < sum(long) / 0.2 < 50
    clock.advance(timedelta(hours=2))
    while store.sweep().more:
        pass
    assert not table.rows["W"]


def test_what_a_process_remembers_answers_nothing() -> None:
    """One finds the history empty, or the thread gone; then the other writes."""
    _, first, second = stores()
    first.append("t", said("1"))
    first.clear("t")
    assert first.pop("t") is None
    second.append("t", said("2"))
    popped = first.pop("t")
    assert popped is not None
    assert popped.content == "2"
    first.delete_thread("t")
    second.append("t", said("3"))
    assert first.delete_thread("t")
    second.append("t", said("4"))
    first.replace_all("t", [said("4")])
    second.append("t", said("5"))
    first.replace_all("t", [said("4")])
    assert contents(second.read("t")) == ["4"]


@pytest.mark.parametrize("ends", ["clear", "delete_thread", "replace_all"])
def test_who_remembers_a_history_that_another_ended_writes_to_the_one_that_is_there(ends: str) -> None:
    _, first, second = stores()
    first.append("t", said("1"))
    second.append("t", said("2"))
    if ends == "replace_all":
        second.replace_all("t", [said("3")])
    else:
        getattr(second, ends)("t")
    first.append("t", said("new"))
    assert contents(first.read("t")) == contents(second.read("t"))
    assert contents(second.read("t")) == ["3", "new"][ends != "replace_all" :]
