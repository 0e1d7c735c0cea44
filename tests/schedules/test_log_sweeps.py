"""What soon expires, beside a sweep whose clock is ahead: nothing of it is left when all is due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from chatstore.blocking import run
from chatstore.contract import Draft, NewThread
from chatstore.engines.log import LogBackend, cleaning
from tests.log.memory_table import MemoryTable
from tests.schedules.explorer import Actor, Count, Done, explore
from tests.schedules.log import KEY, Deterministic, SteppedTable, started

Operation = Callable[[LogBackend], Awaitable[object]]
SOON = timedelta(minutes=1)
AHEAD, DAYS = 5 * 60_000_000, 3 * 86_400_000_000
TABLES = {"a thread": started(["a"], ["b"])[0], "no thread": MemoryTable()}


async def append(backend: LogBackend) -> object:
    drafts = [Draft("brief", ttl=SOON), Draft("brief too", ttl=SOON * 2)]
    return await backend.append(KEY, drafts, create=NewThread(), if_match=None, request=None)


async def begin(backend: LogBackend) -> object:
    new = NewThread(ttl=SOON)
    return await backend.append(KEY, [Draft("brief")], create=new, if_match=None, request=None)


async def replace(backend: LogBackend) -> object:
    drafts = [Draft("brief", ttl=SOON)]
    return await backend.replace_all(KEY, drafts, create=NewThread(), if_match=None, request=None)


async def sweep(backend: LogBackend) -> object:
    return await backend.sweep(1000)


def left(table: MemoryTable, done: Sequence[Done[Operation]]) -> str | None:
    table = table.copy()
    for ahead in (DAYS, DAYS * 2):  # what ended stays for a day
        backend = Deterministic(table, 9, ahead=ahead)
        while run(backend.sweep(1000)).more:
            pass
    rows = {sk: row for pk, rows in table.rows.items() if pk.startswith("T#") for sk, row in rows.items()}
    return f"{sorted(rows)} are left" if b"brief" in repr(rows).encode() else None


def actors(writes: Operation) -> list[Actor[Operation]]:
    def at(ahead: int) -> Callable[[], LogBackend]:
        return lambda: Deterministic(SteppedTable(visits=True), ahead, ahead=ahead)

    return [Actor([writes], at(0), repeats=True), Actor([sweep, sweep], at(AHEAD))]


CASES = [(append, "a thread"), (replace, "a thread"), (begin, "no thread"), (replace, "no thread")]


@pytest.mark.parametrize(("writes", "there"), CASES)
def test_nothing_is_left(writes: Operation, there: str, counted: list[Count]) -> None:
    counted.append(explore(TABLES[there], actors(writes), left, faults=1))
    assert not counted[0].bad, counted[0].bad[0]


def test_a_sweep_that_takes_its_visit_off_at_once_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "LONGEST", -DAYS)
    assert explore(TABLES["a thread"], actors(append), left).bad
