"""Pairs of operations on one thread in every order of their calls to the table, with lost calls and kills.

What comes of two at the same time must be what comes of one after the other, in either order; of one
that was killed, or whose outcome is said to be unknown, also what comes of the other alone.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest

from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
from chatstore.backends.azure_tables.port import Entity
from chatstore.blocking import run
from chatstore.errors import Unavailable
from chatstore.models import Message, Page
from chatstore.store import AsyncChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.azure.fake import FakeDriver, FakeTable
from tests.conftest import SOAK
from tests.schedules.explorer import Fate, Outcome, Scene, Stage, explore, sample

Operation = Callable[[AsyncChatStore], Coroutine[Any, Any, object]]
MINUTE = timedelta(minutes=1)
SWEPT = 1 if SOAK else 16
"""Of so many schedules of two, one goes on to a sweep."""


async def append(store: AsyncChatStore) -> object:
    return [message.content for message in (await store.append("t", say("new"), say("newer"))).messages]


async def append_if_unchanged(store: AsyncChatStore) -> object:
    return (await store.append("t", say("checked"), if_match=_before(store).etag)).messages[0].content


async def request(store: AsyncChatStore) -> object:
    return (await store.append("t", say("once"), request_id="r")).messages[0].content


async def replace_all(store: AsyncChatStore) -> object:
    return (await store.replace_all("t", [say("x"), say("y")], create=True)).kept


async def grow(store: AsyncChatStore) -> object:
    return (await store.replace_all("t", [say("a"), say("b"), say("grown")], create=True)).kept


async def clear(store: AsyncChatStore) -> object:
    return (await store.clear("t")).existed


async def delete(store: AsyncChatStore) -> object:
    return (await store.delete_thread("t")).existed


async def pop(store: AsyncChatStore) -> object:
    popped = await store.pop("t")
    return popped and popped.content


async def insert(store: AsyncChatStore) -> object:
    return (await store.insert("t", say("between"), index=1)).content


async def edit(store: AsyncChatStore) -> object:
    return (await store.replace_message("t", _id(store), say("edited"))).content


async def remove(store: AsyncChatStore) -> object:
    return (await store.delete_message("t", _id(store))).content


async def update(store: AsyncChatStore) -> object:
    return (await store.update_thread("t", topic="changed", ttl=None)).topic


async def create(store: AsyncChatStore) -> object:
    return (await store.create_thread("t", topic="created", owner="ada")).topic


async def read(store: AsyncChatStore) -> object:
    return [message.content for message in await store.read("t", limit=10)]


async def sweep(store: AsyncChatStore) -> object:
    await store.sweep()
    return None


async def erase(store: AsyncChatStore) -> object:
    await store.erase("ada")
    return None


def _before(store: AsyncChatStore) -> Page[Message]:
    assert isinstance(store.backend, Prepared)
    return store.backend.before


def _id(store: AsyncChatStore) -> str:
    """The id of the newest message before anything happened; another's where there was none."""
    items = _before(store).items
    return items[-1].id or "" if items else "none"


MUTATIONS = (
    append,
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
    *((mutation, other) for other in (read, sweep) for mutation in MUTATIONS),
    *((mutation, erase) for mutation in (edit, pop, delete, update)),
]
BESIDE_ERASE = [(mutation, erase) for mutation in MUTATIONS if (mutation, erase) not in PAIRS]
BEGINNING = (append, append_if_unchanged, request, replace_all, grow, create)


def is_long(kind: str, pair: Sequence[Operation]) -> bool:
    """Whether there are more schedules than a run has time for: of those, some are made up by chance."""
    return pair in BESIDE_ERASE or (kind == "expired" and pair[1] is sweep and pair[0] in BEGINNING)


class Prepared(AzureTablesBackend):
    """A process that has read the thread before anything happened."""

    before: Page[Message]


class Start(NamedTuple):
    """What there is before anything happens: the thread "t", none, or what is left of one."""

    rows: Mapping[tuple[str, str], Entity]
    now: datetime
    before: Page[Message]


@functools.cache
def start_of(dialect: Dialect, kind: str) -> Start:
    """Two messages of ada's; deleted or expired some minutes ago, or never written."""
    table, clock = FakeTable(), ManualClock()
    store = AsyncChatStore(AzureTablesBackend(FakeDriver(table), dialect, clock))
    if kind != "absent":
        ttl = MINUTE if kind == "expired" else None
        run(store.append("t", say("a"), owner="ada", ttl=ttl))
        run(store.append("t", say("b")))
    before = run(store.read("t"))
    if kind == "deleted":
        run(store.delete_thread("t"))
    clock.advance(MINUTE * 2)
    return Start(table.rows, clock.now, before)


class Pair:
    """Two operations by two processes."""

    def __init__(self, dialect: Dialect, kind: str, operations: Sequence[Operation]) -> None:
        start = start_of(dialect, kind)
        self.table, self.clock, self.dialect = FakeTable(start.rows), ManualClock(), dialect
        self.clock.advance(start.now - self.clock.now)
        self.before = start.before
        self.operations = operations

    def store(self, driver: FakeDriver) -> AsyncChatStore:
        backend = Prepared(driver, self.dialect, self.clock)
        backend.before = self.before
        return AsyncChatStore(backend)

    def actors(self, stage: Stage) -> Sequence[Coroutine[Any, Any, object]]:
        stores = [self.store(FakeDriver(self.table, stage.step)) for _ in self.operations]
        return [operation(store) for operation, store in zip(self.operations, stores, strict=True)]

    def view(self) -> object:
        """All that can be seen of the thread afterwards."""
        store = self.store(FakeDriver(self.table))
        contents = [message.content for message in run(store.read("t", limit=100))]
        listed = [(thread.id, thread.topic, thread.owner) for thread in run(store.list_threads())]
        return contents, listed

    def one_by_one(self, order: Sequence[int]) -> tuple[object, ...]:
        """What comes of some of the operations, one after the other."""
        results: list[object] = [None] * len(self.operations)
        for number in order:
            store = self.store(FakeDriver(self.table))
            try:
                results[number] = run(self.operations[number](store))
            except LookupError as error:
                results[number] = type(error).__name__
            except Exception as error:  # noqa: BLE001 - compared with what comes at the same time
                results[number] = type(error).__name__
        return (*results, self.view())

    def swept(self) -> None:
        """Nothing that anybody sees goes with a sweep, now or when all the rest is due."""
        store = self.store(FakeDriver(self.table))
        before = self.view()
        for ahead in (timedelta(0), timedelta(hours=2), timedelta(days=3)):
            self.clock.advance(ahead)
            while run(store.sweep()).more:
                pass
            assert self.view() == before
        rows = [row for partition, row in self.table.rows if partition.startswith("T-")]
        headers = [row for row in rows if row == "h"]
        assert rows == [] or headers == ["h"], f"a sweep left rows without a header: {rows}"
        assert bool(before[1]) == bool(rows), f"a sweep left something of no thread: {rows}"  # type: ignore[index]


def scene_of(dialect: Dialect, start: str, operations: Sequence[Operation]) -> Callable[[], Scene]:
    """What `explore` runs, checked against the same operations one by one."""

    def after(*order: int) -> tuple[object, ...]:
        return Pair(dialect, start, operations).one_by_one(order)

    numbers = itertools.count()
    both = [after(0, 1), after(1, 0)]
    if erase in operations:
        # It goes through the threads until there is none, so what is begun meanwhile may go as well.
        both.append(after(1, 0, 1))
    alone = {0: after(1), 1: after(0)}
    neither = after()

    class Checked(Pair):
        def check(self, outcomes: Sequence[Outcome]) -> None:
            view, told, unknown = self.view(), [], []
            for number, one in enumerate(outcomes):
                if one.killed or isinstance(one.error, Unavailable):
                    unknown.append(number)
                told.append(one.result if one.error is None else type(one.error).__name__)
            possible = [*both, *(alone[number] for number in unknown)]
            if len(unknown) == len(outcomes):
                possible.append(neither)
            fits = [
                one
                for one in possible
                if one[-1] == view
                and all(told[number] == one[number] for number in range(len(told)) if number not in unknown)
            ]
            assert fits, f"{told} and {view} are none of {possible}"
            if next(numbers) % SWEPT == 0:
                self.swept()

    return lambda: Checked(dialect, start, operations)


KINDS = ("there", "absent", "deleted", "expired")
FAULTS = (Fate.ANSWER_LOST, Fate.LOST, Fate.KILLED)
FAULTY = (append, delete, request, replace_all, pop, insert)
SAMPLES = 5000 if SOAK else 60
Said = Callable[[str, int], None]


@pytest.mark.parametrize("kind", KINDS)
def test_every_order_of_two(kind: str, schedules: Said) -> None:
    pairs = [pair for pair in PAIRS if not is_long(kind, pair)]
    schedules("pairs, every schedule", sum(explore(scene_of(TABLES, kind, pair)) for pair in pairs))


@pytest.mark.parametrize("kind", KINDS)
def test_many_orders_of_two_that_have_too_many(kind: str, schedules: Said) -> None:
    seed = random.randrange(2**32)
    for pair in (*PAIRS, *BESIDE_ERASE):
        if is_long(kind, pair):
            try:
                schedules("longer pairs, by chance", sample(scene_of(TABLES, kind, pair), SAMPLES, seed))
            except AssertionError as wrong:
                raise AssertionError(f"seed {seed}: {wrong}") from wrong


def test_every_order_beside_a_reader_of_cosmos(schedules: Said) -> None:
    pairs = [(mutation, read) for mutation in MUTATIONS]
    schedules("pairs on Cosmos", sum(explore(scene_of(COSMOS, "there", pair)) for pair in pairs))


@pytest.mark.parametrize("kind", KINDS[:2])
def test_every_order_with_a_fault_at_every_call(kind: str, schedules: Said) -> None:
    pairs = itertools.combinations_with_replacement(FAULTY if SOAK else FAULTY[:2], 2)
    count = sum(explore(scene_of(TABLES, kind, pair), faults=FAULTS, most_faults=1) for pair in pairs)
    schedules("pairs with a fault, every schedule", count)


def test_many_orders_with_faults(schedules: Said) -> None:
    seed = random.randrange(2**32)
    for pair in itertools.combinations_with_replacement(FAULTY, 2):
        scene = scene_of(TABLES, "there", pair)
        try:
            schedules(
                "pairs with faults, by chance", sample(scene, SAMPLES, seed, faults=FAULTS, most_faults=2)
            )
        except AssertionError as wrong:
            raise AssertionError(f"seed {seed}: {wrong}") from wrong
