"""What a restore costs where storage is billed, and how near the estimate before a copy comes to it."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore import ChatStore, backends
from chatstore.backends.memory import MemoryBackend
from chatstore.backup import Chosen, kept_threads, restore_threads
from chatstore.backup.estimating import Size, billed, estimate
from chatstore.contract import Backend
from chatstore.engines.log import Rows
from chatstore.metering import Watch
from chatstore.testing import ManualClock
from chatstore.urls import open_backend
from tests.azure_tables.azurite import ACCOUNT
from tests.azure_tables.unkind import Unkind
from tests.dynamodb.servers import url_for
from tests.log.memory_table import LogInMemory, MemoryTable
from tests.redis.conftest import redis_url
from tests.redis.servers import prefixed
from tests.servers import table_for
from tests.tablestore.conftest import service
from tests.tablestore.connected import url_for as tablestore_url
from tests.tablestore.service import Service
from tests.upstash.conftest import proxied
from tests.upstash.proxy import Proxy

__all__ = ["proxied", "redis_url", "service"]

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
    expected = estimate(source, target, Chosen()).target.units["wru"]
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
        expected = estimate(source, target, Chosen()).target.units["transactions"]
        assert 0.8 * expected <= spent <= 1.3 * expected


def test_on_tablestore(service: Service, clock: ManualClock, tmp_path: Path) -> None:
    with chatstore.connect(tablestore_url(tmp_path), clock=clock) as target:
        target.prepare()
        source = source_of(clock, *range(0, 60, 6))
        expected = estimate(source, target, Chosen()).target.units
        costs = [units for units, _ in restored(source, target)]
        for unit in ("write_cu", "read_cu"):
            assert 0.8 * expected[unit] <= sum(units[unit] for units in costs) <= 1.3 * expected[unit]
        reading = estimate(target, source, Chosen()).source.units["read_cu"]
        with Watch() as watch:
            for thread in kept_threads(target, Chosen()):
                list(thread.messages())
        # Rows of 16 messages are read for less than turns are.
        assert 0.3 * reading <= watch.units["read_cu"] <= 1.3 * reading


def test_on_upstash(proxied: tuple[Proxy, int], clock: ManualClock, tmp_path: Path) -> None:
    with chatstore.connect(prefixed(f"upstash://127.0.0.1:{proxied[1]}", tmp_path), clock=clock) as target:
        source = source_of(clock, *range(0, 60, 6), 700)
        bill = estimate(source, target, Chosen()).target
        assert "commands" in bill.told
        spent = sum(units["requests"] for units, _ in restored(source, target))
        assert 0.6 * bill.units["requests"] <= spent <= 1.6 * bill.units["requests"]


def test_every_backend_says_what_it_bills() -> None:
    packages = [
        one.name for one in pkgutil.iter_modules(backends.__path__, "chatstore.backends.") if one.ispkg
    ]
    found = {
        kind.name
        for package in packages
        for kind in vars(importlib.import_module(package)).values()
        if isinstance(kind, type) and issubclass(kind, Backend) and kind.__module__ == package
    }
    assert {"dynamodb", "postgresql", "redis", "service", "sqlite", "tablestore", "upstash"} <= found
    size = Size(1, 1, 1, 1)
    for name in found:
        told = {billed(name, size, writing=writing).told for writing in (True, False)}
        assert all(told)
        known = not any("unknown" in one for one in told)
        assert known, f"add {name} to _BILLED or _UNBILLED in chatstore/backup/estimating.py"
    assert billed("of-others", size, writing=True).told == "unknown: there is no estimate for of-others"
