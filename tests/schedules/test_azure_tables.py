"""Pairs of operations on one thread in every order of their calls to the table, with lost calls and kills."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence

import pytest

from chatstore.backends.azure_tables import COSMOS, TABLES, Dialect
from chatstore.engines.fenced import attempts, erasing, sweeping, writing
from chatstore.engines.fenced.header import Known, State
from chatstore.engines.fenced.port import Entity, Op, Overtaken
from chatstore.engines.fenced.purging import Purger
from chatstore.errors import CorruptData
from tests.azure_tables.fake import FakeTable
from tests.schedules.azure_tables import (
    Operation,
    Start,
    append,
    append_briefly,
    append_if_unchanged,
    clear,
    create,
    delete,
    draw_the_same,
    edit,
    erase,
    grow,
    insert,
    pop,
    read,
    read_two,
    replace_all,
    request,
    start_of,
    sweep,
    sweep_ahead,
    sweep_wildly,
    update,
)
from tests.schedules.explorer import Count, explore

MUTATIONS = (
    append,
    append_briefly,
    append_if_unchanged,
    request,
    replace_all,
    grow,
    clear,
    delete,
    pop,
    insert,
    edit,
    update,
    create,
)
PAIRS = [
    *itertools.combinations_with_replacement(MUTATIONS, 2),
    *((mutation, other) for other in (read, sweep, sweep_wildly, erase) for mutation in MUTATIONS),
]
# A sweep takes off the note of a thread that begins meanwhile, if its clock is further ahead than an hour.
NOTED = (append_briefly, sweep_wildly)
# These two keep one another from their ends for so long that a fault on the way takes minutes to explore.
FAULTY = [pair for pair in PAIRS if pair not in ((create, erase), NOTED)]
KINDS = ("there", "absent", "deleted", "expired")
# The schedules in which nothing fails are among those in which one thing may.
QUIET = [
    (pair, kind)
    for pair in PAIRS
    for kind in KINDS
    if (pair, kind) != (NOTED, "absent") and not (kind in KINDS[:2] and pair in FAULTY)
]
TRIPLES = list(itertools.combinations_with_replacement((append, replace_all, delete, pop, edit, sweep), 3))


def named(pair: Sequence[Operation]) -> str:
    return " and ".join(operation.__name__ for operation in pair)


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_the_same(monkeypatch)


def hold(
    counts: list[Count], dialect: Dialect, kind: str, operations: Sequence[Operation], *, faults: int = 0
) -> None:
    start = start_of(dialect, kind)
    count = explore(start.table, start.actors(operations), start.judge(operations), faults=faults)
    counts.append(count)
    assert not count.bad, count.bad[0]
    assert count.ends


@pytest.mark.parametrize(("pair", "kind"), QUIET, ids=lambda one: one if isinstance(one, str) else named(one))
def test_every_pair(pair: Sequence[Operation], kind: str, counted: list[Count]) -> None:
    hold(counted, TABLES, kind, pair)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_thread_that_begins_beside_a_sweep_half_an_hour_ahead(
    mutation: Operation, counted: list[Count]
) -> None:
    hold(counted, TABLES, "absent", (mutation, sweep_ahead))


@pytest.mark.parametrize("other", [sweep, sweep_wildly, erase], ids=lambda one: str(one.__name__))
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_history_that_was_replaced(mutation: Operation, other: Operation, counted: list[Count]) -> None:
    hold(counted, TABLES, "replaced", (mutation, other))


@pytest.mark.parametrize("kind", ["absent", "there", "replaced"])
@pytest.mark.parametrize("other", [sweep_wildly, erase, append, delete], ids=lambda one: str(one.__name__))
@pytest.mark.parametrize("mutation", [append, replace_all, edit], ids=lambda one: str(one.__name__))
def test_messages_in_pieces(
    mutation: Operation,
    other: Operation,
    kind: str,
    counted: list[Count],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _small_rows(monkeypatch)
    hold(counted, TABLES, kind, (mutation, other))


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_reader_of_cosmos_beside_each(mutation: Operation, counted: list[Count]) -> None:
    hold(counted, COSMOS, "there", (mutation, read))


@pytest.mark.parametrize("dialect", [TABLES, COSMOS], ids=["tables", "cosmos"])
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_reader_who_remembers_a_trimmed_thread_beside_each(
    mutation: Operation, dialect: Dialect, counted: list[Count]
) -> None:
    hold(counted, dialect, "trimmed", (mutation, read_two))


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("outrun", [append_if_unchanged, edit])
def test_who_has_not_heard_of_the_newest_message_beside_each(
    outrun: Operation, mutation: Operation, counted: list[Count]
) -> None:
    hold(counted, TABLES, "outrun", (outrun, mutation))


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("pair", FAULTY, ids=named)
def test_every_pair_while_one_thing_fails(pair: Sequence[Operation], kind: str, counted: list[Count]) -> None:
    hold(counted, TABLES, kind, pair, faults=1)


HANDED_ON = [
    pair
    for pair in itertools.product((append, request, create, delete), (append, request, create, sweep, erase))
    if pair != (create, erase)
]


@pytest.mark.parametrize("pair", HANDED_ON, ids=named)
def test_an_id_of_too_many_owners(
    pair: Sequence[Operation], counted: list[Count], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (writing, erasing):
        monkeypatch.setattr(module, "LISTINGS", 2)
    hold(counted, TABLES, "handed on", pair, faults=1)


@pytest.mark.parametrize("three", TRIPLES, ids=named)
def test_three(three: Sequence[Operation], counted: list[Count]) -> None:
    hold(counted, TABLES, "there", three)


@pytest.mark.soak
@pytest.mark.parametrize("pair", FAULTY, ids=named)
def test_every_pair_while_two_things_fail(pair: Sequence[Operation], counted: list[Count]) -> None:
    hold(counted, TABLES, "there", pair, faults=2)


class Heedless(FakeTable):
    """Changes a row whoever changed it before."""

    def apply(self, partition: str, ops: Sequence[Op]) -> list[str | None]:
        return super().apply(partition, [op._replace(etag=None) for op in ops])


@pytest.mark.parametrize("pair", [(edit, pop), (replace_all, append)], ids=named)
def test_a_table_without_its_conditions_is_found_out(pair: Sequence[Operation]) -> None:
    start = start_of(TABLES, "there")
    table = Heedless()
    table.rows = start.table.rows
    assert explore(table, start.actors(pair), start.judge(pair)).bad


def test_a_sweep_that_forgets_a_note_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "GRACE", 0)
    start = start_of(TABLES, "absent")
    pair = (append_briefly, sweep_ahead)
    assert explore(start.table, start.actors(pair), start.judge(pair)).bad


def found_out(start: Start, pair: Sequence[Operation]) -> bool:
    """Whether something is wrong after a schedule, or a body is found of which a part is missing."""
    try:
        return bool(explore(start.table, start.actors(pair), start.judge(pair)).bad)
    except CorruptData:
        return True


def _small_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INLINE", "_SMALL"):
        monkeypatch.setattr(attempts, name, 8)


@pytest.mark.parametrize("other", [sweep_wildly, erase], ids=lambda one: str(one.__name__))
def test_removals_without_the_header_are_found_out(other: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    async def discard(
        self: Purger, partition: str, known: Known, state: State, rows: Sequence[Entity], living: object
    ) -> tuple[Known, int]:
        for row in rows:
            with contextlib.suppress(Overtaken):
                await self._table.submit(partition, [Op("delete", row.row, {})])
        return known if known.state == state else await self.commit(partition, known, state), 0

    monkeypatch.setattr(Purger, "discard", discard)
    _small_rows(monkeypatch)
    start, pair = start_of(TABLES, "there"), (append, other)
    assert found_out(start, pair)
