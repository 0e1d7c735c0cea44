"""What a restore costs where storage is billed, and how near the estimate before a copy comes to it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore import ChatStore
from chatstore.backends.memory import MemoryBackend
from chatstore.backup import Chosen, kept_threads, restore_threads
from chatstore.backup.estimating import estimate
from chatstore.engines.log import Rows
from chatstore.testing import ManualClock
from chatstore.urls import open_backend
from tests.azure_tables.azurite import ACCOUNT
from tests.azure_tables.unkind import Unkind
from tests.dynamodb.servers import url_for
from tests.log.memory_table import LogInMemory, MemoryTable
from tests.servers import table_for

SAY = {"role": "user", "content": "x" * 300}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def proxy(azurite: str) -> Iterator[Unkind]:
    with Unkind(azurite) as proxy:
        yield proxy


def source_of(clock: ManualClock, *lengths: int) -> ChatStore:
    """A store with a thread of each length."""
    store = ChatStore(MemoryBackend(clock=clock))
    for number, length in enumerate(lengths):
        store.create_thread(f"{number}", owner="ada")
        for _ in range(length):
            store.append(f"{number}", {**SAY, "n": math.sin(length) * number})
    return store


def restored(source: ChatStore, target: ChatStore) -> list[Any]:
    """What each step of a restore cost: its units and its trips."""
    costs: list[Any] = []
    plain = target.backend.restore

    async def counted(*args: Any, **options: Any) -> Any:
        done = await plain(*args, **options)
        costs.append(done.cost)
        return done

    target.backend.restore = counted  # type: ignore[method-assign]  # to see what it costs
    list(restore_threads(target, kept_threads(source, Chosen())))
    return [(dict(cost.units), cost.trips) for cost in costs]


def test_on_dynamodb(moto: str, clock: ManualClock, tmp_path: Path) -> None:
    def opened(name: str) -> ChatStore:
        return ChatStore(open_backend(url_for(moto, tmp_path / name), blocking=True, clock=clock))

    # In docs/backup.md as well, in these words. A tenant's first thread, and an hour's, take a write more.
    source, target = source_of(clock, 64, 64), opened("one")
    first, second, *rest = restored(source, target)
    assert all(step == ({"wru": 0, "rru": 5}, 2) for step in restored(source, target))
    assert first == ({"wru": 6, "rru": 5}, 5)
    assert rest[0] == ({"wru": 1, "rru": 0}, 1)
    assert [step for step in (second, *rest) if step != rest[0]] == [({"wru": 4, "rru": 5}, 5)]
    source, target = source_of(clock, *range(0, 60, 6)), opened("two")
    spent = sum(units["wru"] for units, _ in restored(source, target))
    expected = estimate(source, target, Chosen()).target["wru"]
    assert 0.8 * expected <= spent <= 1.3 * expected


class Counted(MemoryTable):
    """Counts what it is asked."""

    asked = 0

    async def query(self, *args: Any, **options: Any) -> Rows:
        self.asked += 1
        return await super().query(*args, **options)


def test_a_message_is_found_by_an_id_that_does_not_tell_its_place(clock: ManualClock) -> None:
    table = Counted()
    source, target = source_of(clock, 4000), ChatStore(LogInMemory(table, clock))
    list(restore_threads(target, kept_threads(source, Chosen())))
    appended = target.append("0", SAY).messages[0].id
    last = [message.id for message in source.iter_messages("0")][-1]
    trips = {}
    for id in (last, appended):
        before = table.asked
        target.get_message("0", id or "")
        trips[id] = table.asked - before
    # In docs/backup.md as well, in these words.
    assert (trips[last], trips[appended]) == (6, 2)


def test_on_table_storage(proxy: Unkind, clock: ManualClock, tmp_path: Path) -> None:
    url = f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={proxy.endpoint}"
    with chatstore.connect(url, clock=clock) as target:
        target.prepare()
        source = source_of(clock, *range(0, 60, 6), 700)
        before = len(proxy.requests)
        costs = restored(source, target)
        spent = len(proxy.requests) - before
        again = restored(source, target)
        assert {trips for _, trips in again} == {1}
        # In docs/backup.md as well, in these words. A tenant's first thread takes one more.
        assert {trips for _, trips in costs[1:]} == {3, 1}
        expected = estimate(source, target, Chosen()).target["transactions"]
        assert 0.8 * expected <= spent <= 1.3 * expected
