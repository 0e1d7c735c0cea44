"""Every interleaving of what may meet on one thread, checked for linearizability and exactly-once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chatstore.contract import Draft, ThreadKey
from chatstore.engines.log import LogBackend, Row, Rows, Table, reading, walking, writing
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.head import Head
from chatstore.engines.log.known import Known
from chatstore.engines.log.planning import Turn
from chatstore.engines.log.port import Key
from chatstore.engines.log.records import Slot, chained
from chatstore.engines.log.writing import Writer
from chatstore.models import from_micros
from tests.log.memory_table import MemoryTable
from tests.schedules import log as do
from tests.schedules.explorer import Actor, Count, Done, explore
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
            made.knowing(known)
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
SKEWS = [-4 * MINUTE, 4 * MINUTE]


def skewed(ahead: int) -> list[Actor[Modelled]]:
    """One request from two, whose clocks differ by more than it takes to send it."""
    one = do.append_once("x", sent_at=from_micros(do.NOW + max(ahead, 0)))

    def backend() -> LogBackend:
        return Deterministic(SteppedTable(), 2, ahead=ahead)

    return [actor(1, one, do.append("y")), Actor([one, do.append("z")], backend, repeats=True)]


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_request_from_two_whose_clocks_differ(ahead: int, counted: list[Count]) -> None:
    """`seen` bounds the search for a request under any skew that its window allows."""
    hold(counted, *skewed(ahead))


class Paged(MemoryTable):
    """Every page ends after one row, so that a page of messages takes several trips."""

    def __init__(self) -> None:
        super().__init__(page=1)
        self.rows = TABLE.rows

    def copy(self) -> MemoryTable:
        copied = MemoryTable(page=1)
        copied.rows = {pk: dict(rows) for pk, rows in self.rows.items()}
        return copied


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("one", WRITERS)
def test_a_reader_of_several_pages_beside_each(one: str, newest: bool, counted: list[Count]) -> None:
    reader = actor(2, do.read(newest=newest))
    hold(counted, actor(1, WRITERS[one]("")), reader, table=Paged())


def test_append_replace_edit_and_read(counted: list[Count]) -> None:
    edit = do.replace_message(IDS["b"], "b", "B")
    operations = (do.append("x"), do.replace_all("r"), edit, do.read())
    hold(counted, *(actor(number, one, known=STARTED) for number, one in enumerate(operations, 1)))


class Lagging(MemoryTable):
    """A query that may be stale sees the table as it was at the beginning."""

    behind = TABLE

    async def query(self, pk: str, low: str, high: str, *, stale: bool = False, **given: Any) -> Rows:
        table: MemoryTable = self.behind if stale else super()  # type: ignore[assignment]
        return await table.query(pk, low, high, **given)


@pytest.mark.parametrize("page", [1000, 1])
@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("one", WRITERS)
def test_an_eventual_reader_sees_the_thread_as_it_was_at_some_moment(
    one: str, newest: bool, page: int, counted: list[Count]
) -> None:
    writer = WRITERS[one]("")
    reads = [do.read("read", newest=newest), do.read("read again", newest=newest)]
    moments = {THERE, writer.step(THERE)[0]}

    def behind(_: Any, done: Sequence[Done[Modelled]]) -> str | None:
        seen = [each.result for each in done if each.operation in reads]
        return None if moments.issuperset(seen) else f"{seen}"

    def reader() -> LogBackend:
        return Deterministic(SteppedTable(), 2, stale=True)

    table = Lagging(page)
    table.rows = TABLE.rows
    counted.append(explore(table, [actor(1, writer), Actor(reads, reader)], behind))
    assert not counted[0].bad, counted[0].bad[0]


ETAG = dict(STARTED._writer.known._known.items())["T#default#t"].head.etag
EXPECTING = do.replace_all("r", if_match=ETAG, was=THERE, once=False)


@pytest.mark.parametrize("knowing", KNOWING)
@pytest.mark.parametrize("other", ["append", "put b", "take b", "insert before b", "pop", "grow"])
def test_a_replace_that_expects_what_was_read_beside_each(
    other: str, knowing: str, counted: list[Count]
) -> None:
    """Also by one who does not know it yet, and remembers what was before."""
    expecting = actor(1, EXPECTING, known=KNOWING[knowing])
    hold(counted, expecting, actor(2, WRITERS[other]("2"), known=STARTED))


@pytest.mark.parametrize("knowing", KNOWING)
@pytest.mark.parametrize("other", WRITERS)
def test_an_edit_of_what_was_just_appended_beside_each(
    other: str, knowing: str, counted: list[Count]
) -> None:
    edits = do.replace_message(IDS["d"], "d", "D")
    hold(counted, actor(1, edits, known=KNOWING[knowing]), actor(2, WRITERS[other]("2"), known=STARTED))


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
    monkeypatch.setattr(walking, "target_of", _unapplied)
    reads = [do.read("read"), do.read("read again")]
    assert found(actor(1, do.replace_message(IDS["b"], "b", "B")), actor(2, *reads), faults=1)


class Unsealed(MemoryTable):
    """Lets an epoch be left without a seal."""

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        return None if row["sk"] != "~" and Slot.load(row).seals else await super().put_new(row, free=free)


def test_without_a_seal_it_is_found_out() -> None:
    unsealed = Unsealed()
    unsealed.rows = TABLE.rows
    late = actor(2, do.append("x"), known=STARTED)
    assert found(actor(1, do.replace_all("r")), late, table=unsealed)


@pytest.mark.parametrize(
    ("last", "compared"),
    [
        (do.replace_message(IDS["b"], "b", "B"), lambda head: head.epoch),
        (do.replace_all("r"), lambda head: head.totals.edits),
    ],
    ids=["the epoch", "the edits"],
)
def test_a_page_that_compares_nothing_else_is_found_out(
    last: Modelled, compared: Callable[[Head], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_edited", lambda before, after: compared(before) != compared(after))
    edits = [do.replace_message(IDS[text], text, text.upper()) for text in "da"]
    assert any(
        found(actor(1, *edits, last), actor(2, do.read(newest=newest)), table=Paged())
        for newest in (True, False)
    )


def test_believing_an_error_by_what_is_remembered_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Writer._seen

    async def believed(self: Writer, *args: Any, **given: Any) -> Any:
        return (await seen(self, *args, **given))._replace(fresh=True)

    monkeypatch.setattr(Writer, "_seen", believed)
    assert found(actor(1, EXPECTING, known=STALE))


def test_without_looking_for_edits_a_history_that_grew_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def kept(self: Deciding, turn: Turn, drafts: Sequence[Draft]) -> int | None:
        texts = [draft.text for draft in drafts[: turn.head.totals.count]]
        return len(texts) if turn.head.totals.chain == chained("", texts) else None

    monkeypatch.setattr(Deciding, "kept", kept)
    assert found(actor(1, WRITERS["grow"]("")), actor(2, WRITERS["take b"]("2"), known=STARTED))


@pytest.mark.parametrize("ahead", SKEWS)
def test_with_a_bound_that_goes_by_ones_own_clock_it_is_found_out(
    ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = Writer._turn

    def by_the_clock(self: Writer, key: ThreadKey, seen: Any) -> Turn:
        turn = turned(self, key, seen)
        return turn._replace(totals=replace(turn.totals, seen=seen.now))

    monkeypatch.setattr(Writer, "_turn", by_the_clock)
    assert found(*skewed(ahead))


@pytest.mark.soak
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_every_pair_beside_a_reader_while_one_thing_fails(one: str, other: str, counted: list[Count]) -> None:
    first, second = actor(1, WRITERS[one](""), known=STALE), actor(2, WRITERS[other]("2"))
    hold(counted, first, second, actor(3, do.read()), faults=1)
