"""What is left of a thread, or of a message, is removed beside whoever writes under its id."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.blocking import run
from chatstore.contract import Draft, NewThread, Request
from chatstore.engines.log import Key, LogBackend, Row, layout
from chatstore.engines.log.discarding import Discarder
from chatstore.engines.log.head import Head, look
from chatstore.engines.log.visits import Visit
from tests.conftest import SOAK
from tests.log.memory_table import MemoryTable
from tests.schedules import log as do
from tests.schedules.explorer import Actor, Count, explore
from tests.schedules.log import KEY, Deterministic, SteppedTable, judge, started
from tests.schedules.model import Modelled

LATER = 26 * layout.HOUR


def visited(table: MemoryTable, ahead: int) -> None:
    backend = Deterministic(table, 13, ahead=ahead)
    run(backend._cleaner._visit(layout.thread_partition(KEY), backend.clock()))


def deleted() -> tuple[MemoryTable, int]:
    """The rows of a thread that was deleted a day ago, in the epoch in which all threads begin."""
    table: MemoryTable = started(["a"], ["b"])[0]
    run(Deterministic(table, 14).delete_thread(KEY, if_match=None, request=None))
    return table, LATER


def emptied() -> tuple[MemoryTable, int]:
    """The same a day later: its rows are gone, and its last epoch is sealed."""
    table, ahead = deleted()
    visited(table, ahead)
    return table, 2 * LATER


def asked_for() -> tuple[MemoryTable, int]:
    """What a request about a thread left that was never there."""
    table = MemoryTable()
    run(Deterministic(table, 14).delete_thread(KEY, if_match=None, request=Request("gone", "d")))
    return table, LATER


def deleted_twice() -> tuple[MemoryTable, int]:
    """A deleted thread, and a request about it since."""
    table, _ = deleted()
    request = Request("again", "d")
    run(Deterministic(table, 12, ahead=1).delete_thread(KEY, if_match=None, request=request))
    return table, LATER


def emptied_before() -> tuple[MemoryTable, int]:
    """The emptied one as earlier versions left it: its header says what its absence says."""
    table, ahead = emptied()
    pk = layout.thread_partition(KEY)
    header = run(look(table, pk)).header
    assert header is not None
    table.rows[pk][layout.HEADER] = header.dump(pk)
    return table, ahead


TABLES = {made.__name__: made() for made in (deleted, emptied, emptied_before, asked_for, deleted_twice)}


def actor(
    number: int, ahead: int, *operations: Modelled, knows: MemoryTable | None = None
) -> Actor[Modelled]:
    """One whose clock is `ahead`, and who has looked at the thread as it is in the table that it `knows`."""

    def backend() -> LogBackend:
        made = Deterministic(SteppedTable(), number, ahead=ahead)
        if knows is not None:
            looked = Deterministic(knows.copy(), number, ahead=ahead)
            run(looked.delete_thread(KEY, if_match=None, request=None))
            made.knowing(looked)
        return made

    return Actor(operations, backend, repeats=True)


def hold(table: MemoryTable, counts: list[Count], *actors: Actor[Modelled], faults: int = 0) -> None:
    count = explore(table, actors, judge(None), faults=faults)
    counts.append(count)
    assert not count.bad, count.bad[0]


WRITES: dict[str, tuple[Modelled, ...]] = {
    "append twice": (do.append("x"), do.append("y")),
    "append and read": (do.append("x"), do.read()),
    "replace all": (do.replace_all("r", "s"), do.append("x")),
    "append and delete": (do.append("x"), do.delete_thread()),
    "ask for it": (do.delete_thread(), do.append("x")),
}


BRIEF = ("append twice", "ask for it")
"""What something fails beside, even where there is not much time."""


@pytest.mark.parametrize("there", TABLES)
@pytest.mark.parametrize("writes", WRITES)
@pytest.mark.parametrize("knowing", [False, True])
def test_a_visit_beside_a_new_thread(there: str, writes: str, knowing: bool, counted: list[Count]) -> None:
    table, ahead = TABLES[there]
    writer = actor(1, ahead, *WRITES[writes], knows=table if knowing else None)
    hold(table, counted, writer, actor(2, ahead, do.visit()), faults=int(SOAK or writes in BRIEF))


def unseal() -> Modelled:
    """What sweeps do where they think that nothing is left but a seal: nobody sees that it was there."""
    pk = layout.thread_partition(KEY)
    [sealed] = (sk for sk in TABLES["emptied"][0].rows[pk] if sk.startswith("E"))
    found = layout.epoch_of(sealed)
    assert found is not None
    visit = Visit(Key("X", "0"), 0, pk, found[0])

    async def call(backend: LogBackend) -> str:
        await backend._cleaner._unseal([visit], backend.clock())
        return "done"

    return Modelled("unseal", call, lambda now: (now, "done"))


@pytest.mark.parametrize("there", ["emptied", "emptied_before"])
@pytest.mark.parametrize("writes", WRITES)
@pytest.mark.parametrize("knowing", [False, True])
def test_a_seal_goes_beside_a_new_thread(
    there: str, writes: str, knowing: bool, counted: list[Count]
) -> None:
    table, ahead = TABLES[there]
    writer = actor(1, ahead, *WRITES[writes], knows=table if knowing else None)
    hold(table, counted, writer, actor(2, ahead, unseal()), faults=1)


def test_a_seal_that_is_young_stays() -> None:
    table, ahead = TABLES["emptied"]
    table = table.copy()
    before = table.key()
    run(unseal()(Deterministic(table, 1, ahead=LATER)))
    assert table.key() == before
    run(unseal()(Deterministic(table, 1, ahead=ahead)))
    assert not table.rows[layout.thread_partition(KEY)]


def test_a_seal_stays_while_a_header_leads_to_it() -> None:
    """As when a sweep was killed between the two."""
    pk = layout.thread_partition(KEY)
    table, ahead = TABLES["emptied"]
    table = table.copy()
    table.rows[pk][layout.HEADER] = TABLES["deleted"][0].rows[pk][layout.HEADER]
    before = table.key()
    run(unseal()(Deterministic(table, 1, ahead=ahead)))
    assert table.key() == before


LONG = [pytest.param(there, marks=pytest.mark.soak if there == "deleted" else ()) for there in TABLES]


@pytest.mark.parametrize("there", LONG)
def test_two_visits_beside_a_new_thread(there: str, counted: list[Count]) -> None:
    table, ahead = TABLES[there]
    visits = (actor(number, ahead, do.visit()) for number in (2, 3))
    hold(table, counted, actor(1, ahead, do.append("x"), do.append("y")), *visits)


@pytest.mark.parametrize("there", LONG)
def test_two_new_threads_beside_a_visit(there: str, counted: list[Count]) -> None:
    table, ahead = TABLES[there]
    first = actor(1, ahead, do.append("x"), knows=table)
    hold(table, counted, first, actor(2, ahead, do.append("y"), do.read()), actor(3, ahead, do.visit()))


def test_an_edit_beside_a_visit_that_takes_a_dead_text_out_of_the_same_row(counted: list[Count]) -> None:
    """Whichever of the two writes the row first, the edit is there before another slot hides it."""
    table = MemoryTable()
    drafts = [Draft("a", ttl=timedelta(minutes=1)), Draft("b"), Draft("c")]
    backend = Deterministic(table, 14)
    made = run(backend.append(KEY, drafts, create=NewThread(), if_match=None, request=None))
    edit = do.replace_message(made.messages[2].id or "", "c", "C")
    writer = actor(1, LATER, edit, do.append("d"))
    count = explore(table, [writer, actor(2, LATER, do.visit())], judge(("b", "c"), ahead=LATER))
    counted.append(count)
    assert not count.bad, count.bad[0]


class Careless(MemoryTable):
    """Removes a row whatever became of it."""

    async def remove(self, row: Row) -> bool:
        return self.rows.get(str(row["pk"]), {}).pop(str(row["sk"]), None) is not None


def test_removing_what_is_another_row_by_now_is_found_out() -> None:
    careless = Careless()
    table, ahead = TABLES["deleted"]
    careless.rows = table.rows
    writer = actor(1, ahead, do.append("x"), do.append("y"))
    assert explore(careless, [writer, actor(2, ahead, do.visit())], judge(None)).bad


def test_leaving_the_last_epoch_without_a_seal_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The header's absence has to say what the header said."""

    async def removed(self: Discarder, key: object, head: Head) -> None:
        if head.header is not None:
            await self._table.remove(head.header.dump(head.pk))

    monkeypatch.setattr(Discarder, "_move_on", removed)
    table, ahead = TABLES["deleted"]
    first, second = (actor(number, ahead, do.append(text)) for number, text in ((1, "x"), (2, "y")))
    assert explore(table, [first, second, actor(3, ahead, do.visit())], judge(None)).bad
