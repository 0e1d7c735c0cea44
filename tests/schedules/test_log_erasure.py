"""An owner is erased beside who writes to her threads: nothing of her is left, and what is new is whole."""

from __future__ import annotations

import functools
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from chatstore.blocking import run
from chatstore.contract import Cut, Draft, Listing, NewThread, Span, ThreadKey
from chatstore.engines.log import Key, LogBackend, Row, erasing, layout
from chatstore.engines.log.lists import Lists
from chatstore.engines.log.records import Header
from chatstore.engines.log.writing import Writer
from chatstore.errors import ChatStoreError, MessageNotFound, ThreadNotFound
from tests.conftest import SOAK
from tests.log.memory_table import MemoryTable
from tests.schedules.explorer import Actor, Count, Done, explore
from tests.schedules.log import Deterministic, SteppedTable
from tests.schedules.model import Modelled, explained

KEY = ThreadKey("default", "of ada")
HOUR = 3_600_000_000
DAY = 26 * HOUR
BIG = "b" * 201_000

Kept: TypeAlias = tuple[str | None, tuple[str, ...]] | None
"""A thread's owner and messages; None where there is no thread. The model's state."""


class WholeTable(MemoryTable):
    """Two are the same where all rows are."""

    def key(self) -> object:
        rows = ((pk, sk, row) for pk, there in self.rows.items() for sk, row in there.items())
        return frozenset((pk, sk, tuple(sorted((k, v) for k, v in row.items()))) for pk, sk, row in rows)


PIECES: ContextVar[Iterator[int]] = ContextVar("pieces")
"""Numbers for the texts that an actor keeps apart: each actor has a context of its own."""


def backend(actor: int, ahead: int = 0) -> Callable[[], LogBackend]:
    def made() -> LogBackend:
        PIECES.set(itertools.count(actor * 1000))
        return Deterministic(SteppedTable(lists=True), actor, ahead=ahead)

    return made


def append(
    text: str, owner: str = "ada", *, key: str | None = None, ttl: timedelta | None = None
) -> Modelled:
    async def call(backend: LogBackend) -> Any:
        new = NewThread(owner=owner, ttl=ttl)
        await backend.append(KEY, [Draft(text, key=key)], create=new, if_match=None, request=None)
        return "done"

    def step(now: Kept) -> tuple[Kept, Any]:
        return (owner if now is None else now[0], ((now or (None, ()))[1]) + (text,)), "done"

    return Modelled(f"append {text[:9]} of {owner}", call, step)


def replace_all(text: str, owner: str = "ada", *, key: str | None = None) -> Modelled:
    async def call(backend: LogBackend) -> Any:
        new = NewThread(owner=owner)
        await backend.replace_all(KEY, [Draft(text, key=key)], create=new, if_match=None, request=None)
        return "done"

    def step(now: Kept) -> tuple[Kept, Any]:
        return (owner if now is None else now[0], (text,)), "done"

    return Modelled(f"replace all by {text[:9]} of {owner}", call, step)


def delete_thread() -> Modelled:
    async def call(backend: LogBackend) -> Any:
        return (await backend.delete_thread(KEY, if_match=None, request=None)).existed

    return Modelled("delete_thread", call, lambda now: (None, now is not None))


def erase() -> Modelled:
    async def call(backend: LogBackend) -> Any:
        await backend.erase("default", "ada")
        return "done"

    def step(now: Kept) -> tuple[Kept, Any]:
        return (None if now is not None and now[0] == "ada" else now), "done"

    return Modelled("erase", call, step)


async def _state(backend: LogBackend) -> Kept:
    page = await backend.read(KEY, Span(1000))
    if page.etag is None:
        return None
    owner = (await backend.get_thread(KEY)).owner
    lists = [await backend.list_threads("default", Listing(10, owner=named)) for named in (owner, None)]
    for listed in lists:
        assert [one.id for one in listed.items] == [KEY.id], "it is in its lists"
    for message in page:
        if message.key is not None:
            found = await backend.get_message(KEY, f"key:{message.key}")
            assert found.id == message.id, "a message is found by its key"
    return owner, tuple(message.text for message in page)


def _read(state: Any) -> Modelled:
    async def call(backend: LogBackend) -> Any:
        return state

    return Modelled("finally", call, lambda now: (now, now))


def _traces(table: MemoryTable) -> list[Row]:
    rows = [row for there in table.rows.values() for row in there.values()]
    return [row for row in rows if "ada" in repr(row).replace(KEY.id, "")]


def _ends(table: MemoryTable) -> tuple[Kept, str | None]:
    """What there is in the end; and what is wrong with it, or left after another erasure and days."""
    table = table.copy()
    try:
        state = run(_state(Deterministic(table, 9)))
        run(Deterministic(table, 10).erase("default", "ada"))
    except (ChatStoreError, AssertionError) as error:
        return None, repr(error)
    if left := _traces(table):
        return None, f"of her is left: {left}"
    if state is None or state[0] == "ada":
        for days in range(1, 5):
            swept = Deterministic(table, 11, ahead=days * DAY)
            for pk in [pk for pk in table.rows if pk.startswith("T#")]:
                run(swept._cleaner._visit(pk, swept.clock()))
            run(swept.sweep(1000))
        pks = [pk for pk, rows in table.rows.items() if rows and pk not in ("N", "X", "A#default")]
        if pks:
            return None, f"after days there are {pks}"
    return state, None


def judge(there: Kept) -> Callable[[MemoryTable, Sequence[Done[Modelled]]], str | None]:
    ends = functools.cache(_ends)

    def problem(table: MemoryTable, done: Sequence[Done[Modelled]]) -> str | None:
        state, wrong = ends(table)
        if wrong is not None:
            return wrong
        over = frozenset(number for number, one in enumerate(done) if one.over)
        if explained([*done, Done(_read(state), over, state, over=True)], there):
            return None
        return f"no order explains {[(one.operation.name, one.result) for one in done]} and then {state}"

    return problem


def begun(*operations: Modelled, ahead: int = 0) -> WholeTable:
    table = WholeTable()
    for number, operation in enumerate(operations):
        run(operation(Deterministic(table, 12 + number, ahead=ahead)))
    return table


TABLES: dict[str, tuple[WholeTable, Kept]] = {
    "nothing": (begun(), None),
    "hers": (begun(append("old", key="old")), ("ada", ("old",))),
    "deleted": (begun(append("old", key="old"), delete_thread()), None),
    "bobs": (begun(append("old", key="old"), delete_thread(), append("his", "bob")), ("bob", ("his",))),
}
WRITES: dict[str, tuple[Modelled, ...]] = {
    "append": (append("new"),),
    "replace": (replace_all("new"),),
    "append large": (append(BIG),),
    "append with a key": (append("new", key="first"),),
    "delete": (delete_thread(),),
    "append twice": (append("new"), append("newer")),
    "delete and append": (delete_thread(), append("new")),
    "bob": (append("new", "bob"),),
}
BOBS: dict[str, tuple[Modelled, ...]] = {
    "replace": (replace_all("new", "bob", key="first"),),
    "append large": (append(BIG, "bob", key="first"),),
    "replace by a large text": (replace_all(BIG, "bob", key="first"),),
    "append and replace": (append("new", "bob", key="first"), replace_all("newer", "bob", key="second")),
    "delete and begin": (delete_thread(), append("new", "bob", key="first")),
    "delete and begin large": (delete_thread(), replace_all(BIG, "bob", key="first")),
}
"""What somebody else writes where the owner had a thread. Keys are staged before a slot tells of them."""

EXPIRED: tuple[WholeTable, Kept] = (
    begun(append("his", "bob", ttl=timedelta(minutes=1)), ahead=-HOUR),
    None,
)
LONG: tuple[WholeTable, Kept] = (begun(*map(append, "abcd")), ("ada", tuple("abcd")))


def _named(text: str) -> str:
    page = run(Deterministic(LONG[0].copy(), 20).read(KEY, Span(10)))
    return next(str(message.id) for message in page if message.text == text)


def reading(
    name: str, call: Callable[[LogBackend], Awaitable[Any]], result: object, gone: object
) -> Modelled:
    """A call that gives `result` of the thread `LONG`, and `gone` of none."""

    async def called(backend: LogBackend) -> Any:
        try:
            return await call(backend)
        except (ThreadNotFound, MessageNotFound) as error:
            return type(error).__name__

    return Modelled(name, called, lambda now: (now, gone if now is None else result))


def page(name: str, result: str, gone: object, **span: Any) -> Modelled:
    async def call(backend: LogBackend) -> Any:
        found = await backend.read(KEY, Span(**{"limit": 10, **span}))
        return "".join(message.text for message in found)

    return reading(name, call, result, gone)


async def _forked(backend: LogBackend) -> Any:
    fork = await backend.fork(KEY, KEY._replace(id="the fork"), Cut(_named("c")), if_match=None, request=None)
    return fork.id


async def _found(backend: LogBackend) -> Any:
    return (await backend.get_message(KEY, _named("c"))).text


MISSING = "ThreadNotFound"
READS = (
    page("the first two", "ab", "", limit=2),
    page("the last two", "cd", "", limit=2, newest=True),
    page("what follows a message", "cd", MISSING, after_message=_named("b")),
    page("what is in front of a message", "ab", MISSING, before_message=_named("c")),
    page(
        "what is nearest in front of a message",
        "b",
        MISSING,
        before_message=_named("c"),
        newest=True,
        limit=1,
    ),
    reading("a message", _found, "c", MISSING),
    reading("a fork", _forked, "the fork", MISSING),
)


@pytest.fixture(autouse=True)
def repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who keeps texts apart names them. An erasure looks for threads once, because another one follows."""
    monkeypatch.setattr(secrets, "token_hex", lambda size: f"{next(PIECES.get()):0{2 * size}x}")
    if not SOAK:
        monkeypatch.setattr(erasing, "_ROUNDS", 1)


def hold(there: str, counts: list[Count], *actors: Actor[Modelled], faults: int = 0) -> None:
    table, state = TABLES[there]
    count = explore(table, actors, judge(state), faults=faults)
    counts.append(count)
    assert not count.bad, count.bad[0]


@pytest.mark.parametrize("there", TABLES)
@pytest.mark.parametrize("writes", WRITES)
def test_an_erasure_beside_a_writer(there: str, writes: str, counted: list[Count]) -> None:
    """Also where a call is lost or comes late, and where either of them is killed."""
    writer = Actor(WRITES[writes], backend(1), repeats=SOAK)
    long = "large" in writes or "key" in writes
    faults = int(SOAK or (len(WRITES[writes]) == 1 and not long))
    hold(there, counted, writer, Actor([erase()], ERASER), faults=faults)


@pytest.mark.parametrize(
    "writes", [pytest.param(one, marks=() if one == "replace" else pytest.mark.soak) for one in BOBS]
)
@pytest.mark.parametrize(
    "there", [pytest.param(one, marks=() if one == "bobs" else pytest.mark.soak) for one in TABLES]
)
def test_an_erasure_beside_another_owner(there: str, writes: str, counted: list[Count]) -> None:
    """Theirs stays whole, and is found by its keys."""
    hold(there, counted, Actor(BOBS[writes], backend(1)), Actor([erase()], ERASER))


def test_an_erasure_beside_who_begins_a_thread_where_another_has_expired(counted: list[Count]) -> None:
    table, state = EXPIRED
    actors = [Actor([append("new")], backend(1)), Actor([erase()], ERASER)]
    count = explore(table, actors, judge(state), faults=int(SOAK))
    counted.append(count)
    assert not count.bad, count.bad[0]


@pytest.mark.parametrize("read", READS, ids=lambda read: str(read.name))
def test_an_erasure_beside_a_reader(read: Modelled, counted: list[Count]) -> None:
    """Who reads sees the thread, or none; never a part of one, and no message that is missing."""
    table, state = LONG
    count = explore(table, [Actor([read], backend(1)), Actor([erase()], ERASER)], judge(state))
    counted.append(count)
    assert not count.bad, count.bad[0]


def test_a_clock_that_is_behind_changes_nothing(counted: list[Count]) -> None:
    writer = Actor(WRITES["append twice"], backend(1, ahead=-10 * 60_000_000))
    hold("hers", counted, writer, Actor([erase()], backend(2)))


class Careless(WholeTable):
    """Removes a row whatever became of it."""

    async def remove(self, row: Row) -> bool:
        return self.rows.get(str(row["pk"]), {}).pop(str(row["sk"]), None) is not None


class Unfenced(Writer):
    """Takes no slot."""

    async def mutate(self, *_: Any, **__: Any) -> Any:
        return None


def unfenced() -> LogBackend:
    made = backend(2)()
    made._eraser._writer = Unfenced(made.table, made.clock, lambda: "")
    return made


ERASER = backend(2)


def found_out(eraser: Callable[[], LogBackend] = ERASER, table: WholeTable = TABLES["nothing"][0]) -> bool:
    actors = Actor(WRITES["append"], backend(1)), Actor([erase()], eraser)
    return bool(explore(table, actors, judge(None), faults=1).bad)


def test_an_erasure_that_takes_no_slot_is_found_out() -> None:
    assert found_out(unfenced)


def test_removing_what_is_another_row_by_now_is_found_out() -> None:
    assert found_out(table=Careless())


def test_emptying_what_was_decided_since_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = erasing.Eraser._empty

    def all_of_it(eraser: Any, pk: str, owner: str | None, _end: str, *more: Any, **named: Any) -> Any:
        return empty(eraser, pk, owner, "~", *more, **named)

    monkeypatch.setattr(erasing.Eraser, "_empty", all_of_it)
    assert found_out()


def test_a_header_that_was_not_looked_behind_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stored(self: Lists, listed: Sequence[tuple[str, int]]) -> dict[str, Header | None]:
        rows = await self._table.get([Key(pk, layout.HEADER) for pk, _ in listed])
        return {pk: None for pk, _ in listed} | {str(row["pk"]): Header.load(row) for row in rows}

    monkeypatch.setattr(Lists, "headers", stored)
    assert found_out()
