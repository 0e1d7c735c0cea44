"""The operations of the schedules: each as a call of the backend and as a step of a plain list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from chatstore.contract import Capability, Draft, InsertAt, NewThread, Request, Span, ThreadKey
from chatstore.errors import Conflict, MessageNotFound, ThreadNotFound
from chatstore.log import LogBackend, Table
from tests.log.explorer import Operation

KEY = ThreadKey("default", "t")
NOW = 1_790_000_000_000_000

Texts: TypeAlias = tuple[str, ...] | None
"""A thread's messages; None where there is no thread. The model's state."""


class Deterministic(LogBackend):
    """The log with tokens that say who made them, so that the same schedule is the same again."""

    name = "log"
    capabilities = frozenset(Capability) - {Capability.DURABLE, Capability.SHARED, Capability.COST}

    def __init__(self, table: Table, actor: int = 0, *, ahead: int = 0) -> None:
        count = 0

        def token() -> str:
            nonlocal count
            count += 1
            return f"{count:03x}{actor:01x}{actor:08x}"

        super().__init__(table, lambda: NOW + actor + ahead, tokens=token)


def append(*texts: str, by: str = "", create: bool = True) -> Operation:
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

    return Operation(f"append {texts}", call, step)


def append_once(text: str) -> Operation:
    """The same request as everybody else's of this text: it takes effect once."""

    async def call(backend: LogBackend) -> Any:
        request = Request(f"once {text}", "d")
        await backend.append(KEY, [Draft(text)], create=NewThread(), if_match=None, request=request)
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        return now if text in (now or ()) else (*(now or ()), text), "done"

    return Operation(f"append once {text}", call, step)


def replace_all(*texts: str, by: str = "", if_match: str | None = None, was: Texts = None) -> Operation:
    async def call(backend: LogBackend) -> Any:
        drafts = [Draft(text) for text in texts]
        try:
            request = Request(f"replace {texts}{by}", "d")
            await backend.replace_all(KEY, drafts, create=NewThread(), if_match=if_match, request=request)
        except Conflict:
            return "conflict"
        return "done"

    def step(now: Texts) -> tuple[Texts, Any]:
        if if_match is not None and now != was:
            return now, "conflict"
        return texts, "done"

    return Operation(f"replace_all {texts} {if_match}", call, step)


def replace_message(id: str, old: str, new: str, by: str = "") -> Operation:
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

    return Operation(f"replace_message {old} {new}", call, step)


def delete_message(id: str, old: str, by: str = "") -> Operation:
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

    return Operation(f"delete_message {old}", call, step)


def insert_before(id: str, old: str, new: str, by: str = "") -> Operation:
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

    return Operation(f"insert {new} before {old}", call, step)


def pop(by: str = "") -> Operation:
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

    return Operation("pop", call, step)


def clear(by: str = "") -> Operation:
    async def call(backend: LogBackend) -> Any:
        return (await backend.clear(KEY, if_match=None, request=Request(f"clear{by}", "d"))).existed

    def step(now: Texts) -> tuple[Texts, Any]:
        return (None, False) if now is None else ((), True)

    return Operation("clear", call, step)


def delete_thread(by: str = "") -> Operation:
    async def call(backend: LogBackend) -> Any:
        return (await backend.delete_thread(KEY, if_match=None, request=Request(f"delete{by}", "d"))).existed

    def step(now: Texts) -> tuple[Texts, Any]:
        return None, now is not None

    return Operation("delete_thread", call, step)


def read(name: str = "read", *, newest: bool = True) -> Operation:
    async def call(backend: LogBackend) -> Any:
        page = await backend.read(KEY, Span(1000, newest=newest))
        return None if page.etag is None else tuple(message.text for message in page)

    def step(now: Texts) -> tuple[Texts, Any]:
        return now, now

    return Operation(name, call, step)


def compact(by: str = "") -> Operation:
    async def call(backend: LogBackend) -> Any:
        await backend._decide.compact(KEY)
        return "done"

    return Operation("compact", call, lambda now: (now, "done"))


def started(*turns: Sequence[str]) -> Any:
    """A table with a thread of these turns, and the ids of its messages by their texts."""
    from chatstore.blocking import run
    from tests.log.memory_table import MemoryTable

    table = MemoryTable()
    backend = Deterministic(table, 15)
    ids = {}
    for turn in turns:
        drafts = [Draft(text) for text in turn]
        appended = run(backend.append(KEY, drafts, create=NewThread(), if_match=None, request=None))
        ids.update({message.text: message.id or "" for message in appended.messages})
    return table, ids, backend
