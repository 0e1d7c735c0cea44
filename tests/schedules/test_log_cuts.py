"""Cuts, keys and appends that change properties, beside every other operation on a thread of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from chatstore.blocking import run
from chatstore.engines.log import LogBackend, cuts
from chatstore.engines.log.layout import HOUR
from chatstore.engines.log.records import Slot
from tests.log.memory_table import MemoryTable
from tests.schedules import log as do
from tests.schedules.explorer import Actor, Count, explore
from tests.schedules.log import KEY, Deterministic, SteppedTable, judge
from tests.schedules.log_cuts import append_keyed, append_patched, truncate
from tests.schedules.model import Modelled
from tests.schedules.test_log import IDS, STALE, STARTED, WRITERS, actor, hold

ETAG = run(STARTED.get_thread(KEY)).etag

NEW: dict[str, Callable[[str], Modelled]] = {
    "cut": lambda by: truncate(IDS["b"], "b|B|B2", by=by),
    "cut and append": lambda by: truncate(IDS["b"], "b|B|B2", f"n{by}", by=by),
    "key": lambda by: append_keyed(f"k{by}", "key", by),
    "patch": lambda by: append_patched(f"p{by}", ETAG, by),
}


@pytest.mark.parametrize("one", NEW)
@pytest.mark.parametrize("other", [*NEW, *WRITERS])
def test_each_beside_every_other(one: str, other: str, counted: list[Count]) -> None:
    beside = {**NEW, **WRITERS}[other]
    hold(counted, actor(1, NEW[one](""), known=STARTED), actor(2, beside("2"), known=STALE))


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("one", NEW)
def test_a_reader_beside_each(one: str, newest: bool, counted: list[Count]) -> None:
    reads = [do.read("read", newest=newest), do.read("read again", newest=newest)]
    hold(counted, actor(1, NEW[one]("")), actor(2, *reads), faults=1)


def test_what_comes_between_a_cut_and_what_follows_it(counted: list[Count]) -> None:
    cut = truncate(IDS["a"], "a", "n")
    hold(counted, actor(1, cut, do.pop(), do.append("x")), actor(2, do.insert_before(IDS["b"], "b", "i")))


@pytest.mark.parametrize("other", ["append", "cut", "insert before b", "put b", "compact", "replace all"])
def test_a_visit_that_removes_what_was_cut(other: str, counted: list[Count]) -> None:
    table, ids, begun = do.started(["a"], ["b", "c"], ["d"])
    assert ids.keys() == IDS.keys()
    run(truncate(ids["b"], "b")(begun))
    late = 26 * HOUR
    beside = truncate(ids["a"], "a", "n") if other == "cut" else _beside(other, ids)

    def sweeping() -> LogBackend:
        return Deterministic(SteppedTable(), 1, ahead=late)

    def writing() -> LogBackend:
        return Deterministic(SteppedTable(), 2, ahead=late)

    actors = [Actor([do.visit()], sweeping, repeats=True), Actor([beside, do.read()], writing, repeats=True)]
    hold_there(counted, table, ("a", "b"), actors)


def _beside(name: str, ids: dict[str, str]) -> Modelled:
    if name == "insert before b":
        return do.insert_before(ids["b"], "b", "i")
    if name == "put b":
        return do.replace_message(ids["b"], "b", "B")
    return {"append": do.append("x"), "compact": do.compact(), "replace all": do.replace_all("r")}[name]


def hold_there(
    counts: list[Count], table: MemoryTable, there: tuple[str, ...], actors: Sequence[Actor[Modelled]]
) -> None:
    count = explore(table, actors, judge(there))
    counts.append(count)
    assert not count.bad, count.bad[0]
    assert count.ends


def found_out(*operations: Sequence[Modelled]) -> None:
    with pytest.raises(AssertionError):
        hold([], *(actor(number, *each, known=STARTED) for number, each in enumerate(operations, 1)))


def test_without_the_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_shown(ranges: Sequence[cuts.Range], slot: Slot) -> Slot:
        return slot

    monkeypatch.setattr(cuts, "shown", all_shown)
    found_out([truncate(IDS["a"], "a"), do.read()])
