"""Cuts, appends that change properties, and names of messages, beside every operation on Azure's tables."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
from chatstore.blocking import run
from chatstore.contract import Cut
from chatstore.engines.fenced import keys, messages
from chatstore.engines.fenced.changing import View
from chatstore.engines.fenced.header import State
from chatstore.engines.fenced.plans import Cutting, cut_away
from chatstore.engines.fenced.port import Entity
from chatstore.engines.fenced.purging import Purger
from chatstore.store import AsyncChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.schedules.azure_tables import (
    MINUTE,
    Operation,
    Prepared,
    Start,
    append,
    draw_the_same,
    erase,
    insert,
    pop,
    read,
    replace_all,
    sweep,
    sweep_wildly,
)
from tests.schedules.explorer import Count, explore
from tests.schedules.test_azure_tables import MUTATIONS

OTHERS = (*MUTATIONS, read, sweep, sweep_wildly, erase)
FAULTY = (append, replace_all, pop, insert, sweep_wildly)


def _first(store: AsyncChatStore) -> str:
    assert isinstance(store.backend, Prepared)
    return store.backend.before.items[0].id or ""


async def truncate(store: AsyncChatStore) -> object:
    await store.truncate("t", after=_first(store))
    return None


async def truncate_all(store: AsyncChatStore) -> object:
    await store.truncate("t", from_=_first(store))
    return None


async def again(store: AsyncChatStore) -> object:
    added = await store.append("t", say("again"), say("and more"), after=_first(store))
    return [message.content for message in added.messages]


async def patch(store: AsyncChatStore) -> object:
    added = await store.append("t", say("patched"), patch={"topic": "by an append"})
    return [message.content for message in added.messages]


async def patch_if_unchanged(store: AsyncChatStore) -> object:
    added = await store.append("t", say("sure"), patch={"topic": "sure"}, if_thread=_thread_etag("there"))
    return [message.content for message in added.messages]


async def name(store: AsyncChatStore) -> object:
    return (await store.append("t", say("named"), key="k")).messages[0].content


async def name_instead(store: AsyncChatStore) -> object:
    return (await store.append("t", say("instead"), key="k", after=_first(store))).messages[0].content


async def find(store: AsyncChatStore) -> object:
    return (await store.get_message("t", "key:k")).content


async def rate(store: AsyncChatStore) -> object:
    return dict((await store.update_message("t", _first(store), metadata={"stars": 5})).metadata)


CUTS = (truncate, truncate_all, again)
PATCHES = (patch, patch_if_unchanged, rate)
NAMES = (name, name_instead)


@functools.cache
def start(dialect: Dialect, kind: str) -> Start:
    """Messages a, b and c of ada's, or "named": of which b has the key k; or "cut": c and d were cut away."""
    table, clock = FakeTable(), ManualClock()
    store = AsyncChatStore(AzureTablesBackend(FakeDriver(table), dialect, clock))
    run(store.append("t", say("a"), owner="ada"))
    [second] = run(store.append("t", say("b"), key="k" if kind == "named" else None)).messages
    run(store.append("t", say("c")))
    if kind == "cut":
        run(store.append("t", say("d")))
        run(store.truncate("t", after=second.id))
    before = run(store.read("t"))
    clock.advance(MINUTE * 2)
    return Start(dialect, table, clock.now, before)


def _thread_etag(kind: str) -> str:
    one = start(TABLES, kind)
    return run(one.store(FakeDriver(one.table.copy())).get_thread("t")).etag


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_the_same(monkeypatch)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut is never removed at once, but passed over until a sweep comes."""
    monkeypatch.setattr(messages, "_NEAR", -1)


def hold(counted: list[Count], one: Start, *pair: Operation, faults: int = 0) -> None:
    count = explore(one.table, one.actors(pair), one.judge(pair), faults=faults)
    counted.append(count)
    assert not count.bad, count.bad[0]
    assert count.ends


def named(operation: Operation) -> str:
    return str(operation.__name__)


@pytest.mark.parametrize("other", [*OTHERS, *CUTS, *PATCHES, *NAMES, find], ids=named)
@pytest.mark.parametrize("operation", [*CUTS, *PATCHES, *NAMES], ids=named)
def test_beside_each_other(operation: Operation, other: Operation, counted: list[Count]) -> None:
    hold(counted, start(TABLES, "named" if operation in NAMES else "there"), operation, other)


@pytest.mark.parametrize("other", [*OTHERS, *CUTS], ids=named)
@pytest.mark.parametrize("operation", CUTS, ids=named)
@pytest.mark.usefixtures("far")
def test_cuts_that_leave_rows_behind(operation: Operation, other: Operation, counted: list[Count]) -> None:
    hold(counted, start(TABLES, "there"), operation, other)


@pytest.mark.parametrize("other", [*OTHERS, *CUTS, name], ids=named)
@pytest.mark.parametrize("operation", [sweep_wildly, erase, again], ids=named)
def test_a_history_that_was_cut(
    operation: Operation, other: Operation, counted: list[Count], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(messages, "_NEAR", -1)
        cut = start(TABLES, "cut")
    hold(counted, cut, operation, other)


@pytest.mark.parametrize("operation", CUTS, ids=named)
def test_a_reader_of_cosmos_beside_a_cut(operation: Operation, counted: list[Count]) -> None:
    hold(counted, start(COSMOS, "there"), operation, read)


@pytest.mark.parametrize("other", FAULTY, ids=named)
@pytest.mark.parametrize("operation", [truncate, again, patch, rate, name_instead], ids=named)
def test_while_one_thing_fails(operation: Operation, other: Operation, counted: list[Count]) -> None:
    hold(counted, start(TABLES, "named"), operation, other, faults=1)


def found_out(one: Start, *pair: Operation) -> bool:
    return bool(explore(one.table, one.actors(pair), one.judge(pair)).bad)


@pytest.mark.usefixtures("far")
def test_a_sweep_that_forgets_a_cut_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_rows(self: Purger, partition: str, state: State) -> AsyncIterator[Entity]:
        for row in list[Entity]():
            yield row

    monkeypatch.setattr(Purger, "_cut_rows", no_rows)
    assert found_out(start(TABLES, "there"), truncate, sweep)


def test_a_cut_that_readers_do_not_notice_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unnoticed(view: View, state: State, cut: Cut, *rest: Any) -> Cutting:
        cutting = cut_away(view, state, cut, *rest)
        return cutting._replace(state=cutting.state._replace(edits=state.edits))

    monkeypatch.setattr(messages, "cut_away", unnoticed)
    assert found_out(start(COSMOS, "there"), again, read)


def test_names_that_are_taken_from_others_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    claim: Callable[..., Any] = keys._claim
    monkeypatch.setattr(keys, "_claim", lambda _, *given: claim("upsert", *given))
    assert found_out(start(TABLES, "there"), name, name)
