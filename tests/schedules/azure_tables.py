"""The backend of Azure's tables in schedules, its operations, and what may come of some at the same time.

It must be what comes of one after another, in some order; where one was killed, or its outcome is said to be
unknown, perhaps without it.
"""

from __future__ import annotations

import functools
import itertools
import os
import random
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias, TypeVar

import pytest

from chatstore.backends.azure_tables import AzureTablesBackend, Dialect
from chatstore.blocking import run
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.port import Again, Driver, Entity, Op, Range, Slice
from chatstore.models import Message, Page
from chatstore.store import AsyncChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.schedules.explorer import Actor, Done, Lost, stop

T = TypeVar("T")
Operation: TypeAlias = Callable[[AsyncChatStore], Coroutine[Any, Any, object]]
MINUTE = timedelta(minutes=1)


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


async def update(store: AsyncChatStore) -> object:
    return (await store.update_thread("t", topic="changed", ttl=None)).topic


async def create(store: AsyncChatStore) -> object:
    return (await store.create_thread("t", topic="created", owner="ada")).topic


async def append_briefly(store: AsyncChatStore) -> object:
    return (await store.append("t", say("brief"), ttl=MINUTE)).messages[0].content


async def read(store: AsyncChatStore) -> object:
    return [message.content for message in await store.read("t", limit=10)]


async def read_two(store: AsyncChatStore) -> object:
    return [message.content for message in await store.read("t", limit=2)]


async def sweep(store: AsyncChatStore) -> object:
    await store.sweep()
    return None


async def sweep_ahead(store: AsyncChatStore) -> object:
    """As one whose clock is half an hour ahead, or that meets a writer who slept so long."""
    assert isinstance(store.backend, Prepared)
    await store.backend.ahead.sweep()
    return None


async def sweep_wildly(store: AsyncChatStore) -> object:
    """As one whose clock is days ahead, or whom everybody else has left behind for days."""
    assert isinstance(store.backend, Prepared)
    await store.backend.wild.sweep()
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


class SteppedDriver(FakeDriver):
    """A driver that stops before each call once it is `stepped`, and is given the table then."""

    def __init__(self, table: FakeTable) -> None:
        super().__init__(table)
        self.stepped = False

    async def get(self, partition: str, row: str) -> Entity | None:
        if not self.stepped:
            return await super().get(partition, row)
        return await _stopped(f"get {row}", lambda driver: driver.get(partition, row), writes=False)

    async def page(
        self,
        partitions: str | Range,
        rows: Range | None,
        top: int,
        token: object | None,
        before: str | None = None,
        *,
        bodies: bool = True,
    ) -> Slice:
        if not self.stepped:
            return await super().page(partitions, rows, top, token, before, bodies=bodies)
        return await _stopped(
            f"page {partitions} {rows}",
            lambda driver: driver.page(partitions, rows, top, token, before, bodies=bodies),
            writes=False,
        )

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        name = f"{' and '.join(f'{op.kind} {op.row}' for op in ops)} in {partition[:9]}"
        return await _stopped(name, lambda driver: driver.submit(partition, ops), writes=True)


async def _stopped(name: str, call: Callable[[Driver], Awaitable[T]], *, writes: bool) -> T:
    try:
        return await stop(name, lambda table: call(FakeDriver(table)), writes=writes)
    except Lost as lost:
        raise Again from lost


class Prepared(AzureTablesBackend):
    """A process that has read the thread before anything happened."""

    before: Page[Message]
    ahead: AsyncChatStore
    wild: AsyncChatStore


class Start(NamedTuple):
    """What there is before anything happens: the thread "t", none, or what is left of one.

    Every process has read it, in the table that is `remembered` if there is one.
    """

    dialect: Dialect
    table: FakeTable
    now: datetime
    before: Page[Message]
    remembered: FakeTable | None = None

    def store(self, driver: FakeDriver, clock: ManualClock | None = None) -> AsyncChatStore:
        """A process of its own, which calls `driver`."""
        backend = Prepared(driver, self.dialect, clock or self.clock())
        backend.before = self.before
        backend.ahead, backend.wild = (
            AsyncChatStore(AzureTablesBackend(driver, self.dialect, self.clock(ahead)))
            for ahead in (MINUTE * 30, timedelta(days=3))
        )
        return AsyncChatStore(backend)

    def clock(self, ahead: timedelta = timedelta(0)) -> ManualClock:
        """One that shows the time of the start."""
        clock = ManualClock()
        clock.advance(self.now - clock.now + ahead)
        return clock

    def actors(self, operations: Sequence[Operation]) -> list[Actor[Operation]]:
        """Processes that each do one of `operations`, with random numbers that are always the same."""

        def process(number: int) -> AsyncChatStore:
            _DRAWN.set(random.Random(number))
            driver = SteppedDriver(self.remembered or self.table)
            store = self.store(driver)
            if self.remembered is not None:
                run(store.read("t"))
            driver.stepped = True
            return store

        return [
            Actor([operation], functools.partial(process, number))
            for number, operation in enumerate(operations)
        ]

    def judge(
        self, operations: Sequence[Operation]
    ) -> Callable[[FakeTable, Sequence[Done[Operation]]], str | None]:
        """Says what they left behind, or told, that they cannot have one after another, each in its time."""

        @functools.cache
        def one_by_one(order: Sequence[int]) -> tuple[dict[int, object], object]:
            table, results = self.table.copy(), dict[int, object]()
            for number in order:
                try:
                    results[number] = run(operations[number](self.store(FakeDriver(table))))
                except Exception as error:  # noqa: BLE001 - compared with what comes at the same time
                    results[number] = type(error).__name__
            return results, view(self.store(FakeDriver(table)))

        @functools.cache
        def left_behind(table: FakeTable) -> tuple[object, str | None]:
            return view(self.store(FakeDriver(table.copy()))), self._swept(table.copy())

        def problem(table: FakeTable, done: Sequence[Done[Operation]]) -> str | None:
            seen, wrong = left_behind(table)
            told = {number: one.result for number, one in enumerate(done) if one.over}
            for order in _orders(done):
                results, left = one_by_one(order)
                if left == seen and told.items() <= results.items():
                    return wrong
            return f"no order explains {seen} and {done}"

        return problem

    def _swept(self, table: FakeTable) -> str | None:
        clock = self.clock()
        store = self.store(FakeDriver(table), clock)
        for ahead in (timedelta(0), timedelta(hours=2), timedelta(days=3), timedelta(days=6)):
            clock.advance(ahead)
            unswept = table.copy()
            while run(store.sweep()).more:
                pass
            if table.rows != unswept.rows:
                before, after = view(self.store(FakeDriver(unswept), clock)), view(store)
                if after != before:
                    return f"a sweep changed {before} to {after}"
        rows = [row for partition, row in table.rows if partition.startswith("T-")]
        if rows and rows.count("h") != 1:
            return f"a sweep left rows without a header: {rows}"
        if bool(view(store)[1]) != bool(rows):
            return f"a sweep left something of no thread: {rows}"
        return None


def _orders(done: Sequence[Done[Operation]]) -> Iterator[tuple[int, ...]]:
    """The orders in which they may have taken effect: those without a result may have none."""
    for many in range(len(done) + 1):
        for order in itertools.permutations(range(len(done)), many):
            before = [done[number].after.intersection(order[at:]) for at, number in enumerate(order)]
            if all(one.over <= (number in order) for number, one in enumerate(done)) and not any(before):
                yield order
                # It goes through the threads until there is none, so what is begun meanwhile may go as well.
                for number in order:
                    if done[number].operation is erase and not any(number in one.after for one in done):
                        yield (*order, number)


def view(store: AsyncChatStore) -> tuple[object, object]:
    """All that can be seen of the thread."""
    messages = run(store.read("t", limit=100))
    contents = [message.content for message in messages]
    contents += [dict(message.metadata) for message in messages if message.metadata]
    contents += [run(store.get_message("t", f"key:{one.key}")).id == one.id for one in messages if one.key]
    listed = [(thread.id, thread.topic, thread.owner) for thread in run(store.list_threads())]
    return contents, listed


@functools.cache
def start_of(dialect: Dialect, kind: str) -> Start:
    """Two messages of ada's; deleted or expired some minutes ago, or never written.

    Or "trimmed": the last of six, which every process remembers; "outrun": with a third, of which no process
    has heard; "handed on": deleted after it was bob's and cy's as well, each of whom made a request; or
    "replaced": by others, and not yet swept.
    """
    table, clock = FakeTable(), ManualClock()
    store = AsyncChatStore(AzureTablesBackend(FakeDriver(table), dialect, clock))
    if kind != "absent":
        ttl = MINUTE if kind == "expired" else None
        run(store.append("t", say("a"), owner="ada", ttl=ttl))
        run(store.append("t", say("b")))
    if kind == "trimmed":
        for text in "cdef":
            run(store.append("t", say(text)))
        for message in run(store.read("t", limit=5)):
            run(store.delete_message("t", message.id or ""))
    outrun = table.copy()
    if kind == "outrun":
        run(store.append("t", say("c")))
    if kind == "replaced":
        run(store.replace_all("t", [say("b"), say("c")]))
    for owner in ("bob", "cy") if kind == "handed on" else ():
        run(store.delete_thread("t"))
        run(store.append("t", say(owner), owner=owner, request_id=f"r-{owner}"))
    before = run(store.read("t"))
    if kind in ("deleted", "handed on"):
        run(store.delete_thread("t"))
    clock.advance(MINUTE * 2)
    return Start(dialect, table, clock.now, before, remembered={"trimmed": table, "outrun": outrun}.get(kind))


_DRAWN: ContextVar[random.Random] = ContextVar("drawn")


def draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an actor that is run again draw the random numbers that it drew."""
    text = secrets.token_hex

    def token_hex(nbytes: int) -> str:
        drawn = _DRAWN.get(None)
        return text(nbytes) if drawn is None else drawn.randbytes(nbytes).hex()

    def drawn_bytes(size: int) -> bytes:
        drawn = _DRAWN.get(None)
        return os.urandom(size) if drawn is None else drawn.randbytes(size)

    monkeypatch.setattr(layout, "urandom", drawn_bytes)
    monkeypatch.setattr(secrets, "token_hex", token_hex)
