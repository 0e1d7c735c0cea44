"""The log in schedules, and its operations: each as a call of the backend and as a step of a plain list."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from chatstore.blocking import run
from chatstore.contract import (
    Draft,
    InsertAt,
    NewThread,
    Request,
    Span,
    ThreadKey,
)
from chatstore.engines.log import Key, LogBackend, Row, Rows, Table, layout
from chatstore.errors import (
    Conflict,
    CorruptData,
    MessageNotFound,
    ThreadNotFound,
    Unavailable,
)
from chatstore.models import Message
from tests.log.memory_table import LogInMemory, MemoryTable
from tests.schedules.explorer import Done, Lost, stop
from tests.schedules.model import Modelled, explained

T = TypeVar("T")
KEY = ThreadKey("default", "t")
NOW = 1_790_000_000_000_000

Texts: TypeAlias = tuple[str, ...] | None
"""A thread's messages; None where there is no thread. The model's state."""


class SteppedTable(Table):
    """A table that stops before each call for a thread's rows, with `visits` also for when to sweep them.

    Lists only point to threads.
    Without `lists` nobody reads them: each is found empty and takes what it is given.
    """

    def __init__(self, *, visits: bool = False, lists: bool = False) -> None:
        self._stopped = ("T#", *(["X"] if visits else []), *(["L#", "A#", "N"] if lists else []))
        self._eager = ("A#", "N")

    async def query(
        self,
        pk: str,
        low: str,
        high: str,
        *,
        limit: int,
        newest: bool = False,
        after: str | None = None,
        stale: bool = False,
    ) -> Rows:
        async def call(table: Table) -> Rows:
            return await table.query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)

        return await self._stop(f"query {low!r} to {high!r}", [pk], call, Rows([], more=False), writes=False)

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        name = f"get {' and '.join(key.sk for key in keys)}"
        return await self._stop(
            name, [key.pk for key in keys], lambda table: table.get(keys), [], writes=False
        )

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        name = f"put new {row['sk']!r}"
        return await self._stop(
            name, [str(row["pk"])], lambda table: table.put_new(row, free=free), None, writes=True
        )

    async def swap(self, row: Row, version: int | None) -> bool:
        name = f"swap {row['sk']!r} of {version}"
        return await self._stop(
            name, [str(row["pk"])], lambda table: table.swap(row, version), True, writes=True
        )

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        pks = [*(str(row["pk"]) for row in puts), *(key.pk for key in deletes)]
        name = f"write {len(puts)} and delete {len(deletes)}"
        await self._stop(name, pks, lambda table: table.write(puts, deletes), None, writes=True)

    async def remove(self, row: Row) -> bool:
        name = f"remove {row['sk']!r} of {row['v']!r}"
        return await self._stop(name, [str(row["pk"])], lambda table: table.remove(row), False, writes=True)

    async def ping(self) -> None: ...

    async def pause(self, seconds: float) -> None: ...

    async def close(self) -> None: ...

    async def _stop(
        self, name: str, pks: Sequence[str], call: Callable[[Table], Awaitable[T]], listed: T, *, writes: bool
    ) -> T:
        if not any(pk.startswith(self._stopped) for pk in pks):
            return listed
        try:
            eager = all(pk.startswith(self._eager) for pk in pks)
            return await stop(name, call, writes=writes, eager=eager)
        except Lost as lost:
            raise Unavailable("no answer") from lost


class Deterministic(LogBackend):
    """The log with tokens that say who made them, so that the same schedule is the same again."""

    name = "log"
    capabilities = LogInMemory.capabilities

    def __init__(self, table: Table, actor: int = 0, *, ahead: int = 0, stale: bool = False) -> None:
        count = 0

        def token() -> str:
            nonlocal count
            count += 1
            return f"{count:03x}{actor:01x}{actor:08x}"

        super().__init__(table, lambda: NOW + actor + ahead, stale=stale, tokens=token)

    def knowing(self, other: LogBackend) -> None:
        """Know of threads what `other` knows."""
        for pk, known in other._writer.known._known.items():
            self._writer.known.put(pk, known)


def append(*texts: str, by: str = "", create: bool = True) -> Modelled:
    async def call(backend: LogBackend) -> Any:
        try:
            await backend.append(
                KEY,
                [Draft(text) for text in texts],
                create=NewThread() if create else None,
                if_match=None,
                request=Request(f"append {texts}{by}", "d"),
            )
        except ThreadNotFound:
            return "no thread"
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        if now is None and not create:
            return now, "no thread"
        return (now or ()) + texts, "done"

    return Modelled(f"append {texts}", call, step)


def append_once(text: str, sent_at: datetime | None = None) -> Modelled:
    """The same request as everybody else's of this text: it takes effect once."""

    async def call(backend: LogBackend) -> Any:
        request = Request(f"once {text}", "d", sent_at)
        await backend.append(KEY, [Draft(text)], create=NewThread(), if_match=None, request=request)
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        return now if text in (now or ()) else (*(now or ()), text), "done"

    return Modelled(f"append once {text}", call, step)


def replace_all(
    *texts: str, by: str = "", if_match: str | None = None, was: Texts = None, once: bool = True
) -> Modelled:
    """With an id of the request where it is to happen `once`."""

    async def call(backend: LogBackend) -> Any:
        drafts = [Draft(text) for text in texts]
        try:
            request = Request(f"replace {texts}{by}", "d") if once else None
            await backend.replace_all(KEY, drafts, create=NewThread(), if_match=if_match, request=request)
        except Conflict:
            return "conflict"
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        if if_match is not None and now != was:
            return now, "conflict"
        return texts, "done"

    return Modelled(f"replace_all {texts} {if_match}", call, step)


def replace_message(id: str, old: str, new: str, by: str = "") -> Modelled:
    async def call(backend: LogBackend) -> Any:
        try:
            await backend.replace_message(
                KEY, id, Draft(new), if_match=None, request=Request(f"replace {id} {new}{by}", "d")
            )
        except (ThreadNotFound, MessageNotFound):
            return "not there"
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        if now is None or not (set(now) & set(old.split("|"))):
            return now, "not there"
        return tuple(new if text in old.split("|") else text for text in now), "done"

    return Modelled(f"replace_message {old} {new}", call, step)


def delete_message(id: str, old: str, by: str = "") -> Modelled:
    async def call(backend: LogBackend) -> Any:
        try:
            await backend.delete_message(KEY, id, if_match=None, request=Request(f"delete {id}{by}", "d"))
        except (ThreadNotFound, MessageNotFound):
            return "not there"
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        if now is None or not (set(now) & set(old.split("|"))):
            return now, "not there"
        return tuple(text for text in now if text not in old.split("|")), "done"

    return Modelled(f"delete_message {old}", call, step)


def insert_before(id: str, old: str, new: str, by: str = "") -> Modelled:
    async def call(backend: LogBackend) -> Any:
        try:
            await backend.insert(
                KEY, Draft(new), InsertAt(before=id), if_match=None, request=Request(f"insert {new}{by}", "d")
            )
        except (ThreadNotFound, MessageNotFound):
            return "not there"
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        at = next((place for place, text in enumerate(now or ()) if text in old.split("|")), None)
        if now is None or at is None:
            return now, "not there"
        return (*now[:at], new, *now[at:]), "done"

    return Modelled(f"insert {new} before {old}", call, step)


def pop(by: str = "") -> Modelled:
    async def call(backend: LogBackend) -> Any:
        try:
            popped = await backend.delete_message(KEY, -1, if_match=None, request=Request(f"pop{by}", "d"))
        except ThreadNotFound:
            return "no thread"
        return None if popped is None else popped.text

    def step(now: Texts) -> tuple[Texts, Any]:
        if now is None:
            return now, "no thread"
        return now[:-1], now[-1] if now else None

    return Modelled("pop", call, step)


def clear(by: str = "") -> Modelled:
    async def call(backend: LogBackend) -> Any:
        return (await backend.clear(KEY, if_match=None, request=Request(f"clear{by}", "d"))).existed

    def step(now: Texts) -> tuple[Texts, Any]:
        return (None, False) if now is None else ((), True)

    return Modelled("clear", call, step)


def delete_thread(by: str = "") -> Modelled:
    async def call(backend: LogBackend) -> Any:
        return (await backend.delete_thread(KEY, if_match=None, request=Request(f"delete{by}", "d"))).existed

    def step(now: Texts) -> tuple[Texts, Any]:
        return None, now is not None

    return Modelled("delete_thread", call, step)


def read(name: str = "read", *, newest: bool = True) -> Modelled:
    async def call(backend: LogBackend) -> Any:
        page = await backend.read(KEY, Span(1000, newest=newest))
        return None if page.etag is None else tuple(map(_shown, page))

    def step(now: Texts) -> tuple[Texts, Any]:
        return now, now

    return Modelled(name, call, step)


def _shown(message: Message) -> str:
    return " ".join((message.text, *message.metadata.values()))


def compact(by: str = "") -> Modelled:
    async def call(backend: LogBackend) -> Any:
        await backend._decide.compact(KEY)
        return "done"

    return Modelled("compact", call, lambda now: (now, "done"))


def visit(name: str = "visit") -> Modelled:
    """A sweep's visit: nobody sees that it was there."""

    async def call(backend: LogBackend) -> Any:
        await backend._cleaner._visit(layout.thread_partition(KEY), backend.clock())
        return "done"

    return Modelled(name, call, lambda now: (now, "done"))


def started(*turns: Sequence[str]) -> Any:
    """A table with a thread of these turns, and the ids of its messages by their texts."""
    table = MemoryTable()
    backend = Deterministic(table, 15)
    ids = {}
    for turn in turns:
        drafts = [Draft(text) for text in turn]
        appended = run(backend.append(KEY, drafts, create=NewThread(), if_match=None, request=None))
        ids.update({message.text: message.id or "" for message in appended.messages})
    return table, ids, backend


def judge(
    there: Texts, *, ahead: int = 0, last: Sequence[Modelled] = (read("finally"),)
) -> Callable[[MemoryTable, Sequence[Done[Modelled]]], str | None]:
    """What is wrong where a thread had these texts, after what was done to it since.

    At the `last`, and `ahead` of all, nothing but reads is done.
    """
    right: dict[object, bool] = {}

    @functools.cache
    def left_behind(table: MemoryTable) -> list[Any]:
        return [run(one(Deterministic(table, ahead=ahead))) for one in last]

    def problem(table: MemoryTable, done: Sequence[Done[Modelled]]) -> str | None:
        over = frozenset(number for number, one in enumerate(done) if one.over)
        try:
            left = zip(last, left_behind(table), strict=True)
            done = [*done, *(Done(one, over, result, over=True) for one, result in left)]
        except CorruptData as error:
            return str(error)
        told = tuple((one.operation.name, one.after, one.over, one.result) for one in done)
        if told not in right:
            right[told] = explained(done, there)
        if right[told]:
            return None
        return "\n".join(
            f"{number}: {name} after {sorted(after)} -> {result if over else 'unknown'}"
            for number, (name, after, over, result) in enumerate(told)
        )

    return problem
