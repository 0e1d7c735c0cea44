"""A sweep that takes what is dead out of rows which stay, beside edits of what lives in the same rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from chatstore.blocking import run
from chatstore.contract import Cut, Draft, NewThread
from chatstore.engines.log import LogBackend, head
from chatstore.engines.log.layout import HOUR
from chatstore.engines.log.port import Key, Table
from chatstore.engines.log.records import Slot
from tests.log.memory_table import MemoryTable
from tests.schedules import log as do
from tests.schedules.explorer import Actor, Count, explore
from tests.schedules.log import KEY, Deterministic, SteppedTable, judge
from tests.schedules.log_cuts import rate, truncate
from tests.schedules.model import Modelled

BRIEF, LATE = timedelta(minutes=1), 26 * HOUR


def started() -> tuple[MemoryTable, dict[str, str]]:
    """A row of messages that stay and of messages that expire or were cut, and one behind it."""
    table = MemoryTable()
    backend = Deterministic(table, 15)
    ids: dict[str, str] = {}
    turns = [["a"], ["brief", "b", "brief too", "c", "cut"]]
    for turn in turns:
        drafts = [Draft(text, ttl=BRIEF if text.startswith("brief") else None) for text in turn]
        appended = run(backend.append(KEY, drafts, create=NewThread(), if_match=None, request=None))
        ids.update({message.text: message.id or "" for message in appended.messages})
    cut = Cut(ids["c"])
    run(backend.append(KEY, [Draft("d")], create=None, if_match=None, request=None, cut=cut))
    return table, ids


TABLE, IDS = started()
THERE = ("a", "b", "c", "d")

EDITS: dict[str, Callable[[], Sequence[Modelled]]] = {
    "put": lambda: [do.replace_message(IDS["b"], "b", "B")],
    "put, and put behind it": lambda: [
        do.replace_message(IDS["b"], "b", "B"),
        do.replace_message(IDS["c"], "c", "C"),
    ],
    "take": lambda: [do.delete_message(IDS["b"], "b")],
    "take, and put behind it": lambda: [
        do.delete_message(IDS["b"], "b"),
        do.replace_message(IDS["c"], "c", "C"),
    ],
    "take by its place": lambda: [do.pop(), do.pop("2")],
    "rate": lambda: [rate(IDS["b"], "b", "good")],
    "insert in front": lambda: [do.insert_before(IDS["b"], "b", "i")],
    "insert behind": lambda: [do.insert_before(IDS["c"], "c", "i")],
    "truncate": lambda: [truncate(IDS["b"], "b", "n")],
    "compact": lambda: [do.replace_message(IDS["c"], "c", "C"), do.compact()],
    "replace all": lambda: [do.replace_all("a", "b", "c", "d", "e")],
}


def actor(number: int, operations: Sequence[Modelled]) -> Actor[Modelled]:
    def backend() -> LogBackend:
        return Deterministic(SteppedTable(), number, ahead=LATE)

    return Actor(operations, backend, repeats=True)


def hold(counts: list[Count], *operations: Sequence[Modelled], faults: int = 0) -> None:
    actors = [actor(number, some) for number, some in enumerate(operations, 1)]
    count = explore(TABLE, actors, judge(THERE, ahead=LATE), faults=faults)
    counts.append(count)
    assert not count.bad, count.bad[0]
    assert count.ends


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_beside_a_visit(edit: str, counted: list[Count]) -> None:
    hold(counted, [do.visit()], [*EDITS[edit](), do.read()])


@pytest.mark.parametrize("edit", ["put", "take", "rate", "insert behind"])
def test_an_edit_beside_a_visit_while_one_thing_fails(edit: str, counted: list[Count]) -> None:
    hold(counted, [do.visit()], EDITS[edit](), faults=1)


@pytest.mark.parametrize("edit", ["put", "take", "insert behind"])
def test_a_reader_beside_both(edit: str, counted: list[Count]) -> None:
    hold(counted, [do.visit()], EDITS[edit](), [do.read()])


def found_out(edit: str) -> None:
    with pytest.raises(AssertionError):
        hold([], [do.visit()], [*EDITS[edit](), do.read()])


def test_a_sweep_that_counts_as_an_edit_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slot, "edition", property(lambda slot: slot.version))
    found_out("put")


def test_a_sweep_that_moves_what_stays_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fade = Slot.fade

    def moving(slot: Slot, places: Sequence[int]) -> Slot:
        faded = fade(slot, places)
        return faded._replace(entries=faded.present)

    monkeypatch.setattr(Slot, "fade", moving)
    found_out("put")


def test_an_edit_that_gives_up_beside_a_sweep_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(table: Table, at: Key) -> None: ...

    monkeypatch.setattr(head, "_row", gone)
    found_out("take, and put behind it")
