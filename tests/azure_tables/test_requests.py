"""Which requests each operation of the fenced engine makes, and what it keeps of a restored thread."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

import chatstore
from chatstore import ChatStore, position
from chatstore.backends.memory import MemoryBackend
from chatstore.backup import Chosen, kept_threads, restore_threads
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.header import State
from chatstore.engines.fenced.payload import unpack
from chatstore.engines.fenced.port import Entity, Op, Slice
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say, whole
from examples.fenced_driver import FencedInMemory, MemoryDriver, MemoryGroups
from tests.operations import Note, appends, counted, histories_and_lists

MINUTE = timedelta(minutes=1)
BIG = "b" * 100_000

CALLS = {
    "a tenant's first append": "1 get, 2 submit(1), 1 submit(2)",
    "an append": "1 submit(2)",
    "a cold append": "1 get, 1 submit(2)",
    "an append behind another process's": "1 get, 2 submit(2)",
    "an append of a new minute": "1 submit(1), 1 submit(2)",
    "a request": "1 submit(1), 1 submit(3)",
    "a request again": "1 get, 1 submit(3)",
    "an append that expires": "1 get, 1 submit(2)",
    "an append of large messages": "1 submit(4)",
    "an append with a key": "1 submit(3)",
    "an append with a key that is taken": "2 get, 1 page, 1 submit(3)",
    "a message by its key": "2 get, 1 page",
    "no message of a key": "3 get",
    "a page from the end": "1 page",
    "all from the end": "1 page",
    "a page from the beginning": "1 get, 1 page",
    "a page behind a message": "1 get, 1 page",
    "a page before a message": "1 get, 1 page",
    "a message by its id": "1 get, 1 page",
    "a replaced message": "1 page, 1 submit(2)",
    "a message between": "1 page, 1 submit(2)",
    "a deleted message": "1 submit(2)",
    "the last message": "1 page, 1 submit(3)",
    "a cut": "1 page, 1 submit(9)",
    "a page of what a cut left": "1 page",
    "changed properties": "1 get, 1 submit(1)",
    "another history": "1 page, 1 submit(1), 1 submit(2)",
    "a history that grew": "1 page, 1 submit(2)",
    "a history that is the same": "3 get, 2 page",
    "a fork": "3 get, 1 page, 1 submit(1), 1 submit(2)",
    "a list of an owner's threads": "2 get, 1 page",
    "a list of all threads": "2 get, 1 page",
    "a list of nobody's": "1 page",
    "a cleared history": "1 page, 2 submit(1)",
    "a pop of nothing": "3 get, 2 page",
    "a deleted thread": "1 submit(1)",
    "no thread": "1 get",
    "the newest of a long thread": "1 page",
    "the oldest of a long thread": "1 get, 1 page",
    "behind the middle of a long thread": "1 get, 1 page",
    "before the middle of a long thread": "1 get, 1 page",
    "the last but one of a long thread": "1 get, 3 page",
    "what is before a page": "1 get, 1 page",
    "a full page of what another process went on with": "1 get, 1 page",
    "a cut far from the end": "1 page, 1 submit(1), 1 submit(2)",
    "a cut at no message": "3 get, 2 page",
    "a page behind no message": "1 get, 1 page",
    "a page before no message": "1 get, 1 page",
    "a page behind another thread's message": "1 get, 1 page",
    "a page before another thread's message": "1 get, 1 page",
    "an append in the same minute": "1 submit(2)",
    "a thread made again by its owner": "1 submit(1), 1 submit(2)",
    "a sweep of a deleted thread": "4 get, 28 page, 6 submit(1), 1 submit(4)",
    "a sweep of a thread made again": "4 get, 30 page, 6 submit(1)",
    "a sweep of a thread made after all": "4 get, 30 page, 6 submit(1)",
    "a list of an owner's thread of hours ago": "3 get, 1 page",
    "an erasure of one group of rows": "2 get, 5 page, 2 submit(1), 1 submit(100)",
    "the first of a thread numbered anew": "1 get, 1 page",
    "a cut and its name again": "1 get, 2 page, 1 submit(4), 1 submit(5)",
}


class Noting(MemoryDriver):
    """Notes its requests."""

    def __init__(self, groups: MemoryGroups) -> None:
        super().__init__(groups)
        self.calls: list[str] = []

    async def get(self, partition: str, row: str) -> Entity | None:
        self.calls.append("get")
        return await super().get(partition, row)

    async def page(self, *asked: Any, **more: Any) -> Slice:
        self.calls.append("page")
        return await super().page(*asked, **more)

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        self.calls.append(f"submit({len(ops)})")
        return await super().submit(partition, ops)


class World:
    """A store of a process whose requests are noted, and others on the same rows."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        begins = timedelta(minutes=70 - self.clock.now.minute, seconds=30 - self.clock.now.second)
        self.clock.advance(begins)
        self.groups = MemoryGroups()
        self.noting = Noting(self.groups)
        self.store = self.cold()

    def cold(self) -> ChatStore:
        """A process that knows nothing yet."""
        return ChatStore(FencedInMemory(self.noting, self.clock))

    def noted(self, work: Callable[[], object]) -> str:
        """The requests that it makes."""
        self.noting.calls.clear()
        with contextlib.suppress(chatstore.MessageNotFound, chatstore.MessageExists):
            work()
        return counted(self.noting.calls)


def played() -> dict[str, str]:
    """The requests of each operation, of a process that knows its threads where it is not said to be cold."""
    world = World()
    calls: dict[str, str] = {}
    store = world.store

    def note(name: str, work: Callable[[], object]) -> None:
        calls[name] = world.noted(work)

    appends(note, store, world.cold, lambda: world.clock.advance(MINUTE))
    note("an append that expires", lambda: store.append("t", say("h"), expires_in=timedelta(days=3)))
    note("an append of large messages", lambda: store.append("t", *[say(BIG)] * 3))
    note("an append with a key", lambda: store.append("t", say("k"), key="k"))
    note("an append with a key that is taken", lambda: store.append("t", say("k"), key="k"))
    note("a message by its key", lambda: store.get_message("t", "key:k"))
    note("no message of a key", lambda: store.get_message("t", "key:none"))
    note("a page from the end", lambda: store.read("t", last=3))
    note("all from the end", lambda: store.read("t", last=50))
    note("a page from the beginning", lambda: store.read("t", limit=3))
    first, second, third = store.read("t", limit=3).items
    note("a page behind a message", lambda: store.read("t", after=first.id, limit=3))
    note("a page before a message", lambda: store.read("t", before=second.id, limit=3))
    note("a message by its id", lambda: store.get_message("t", first.id or ""))
    note("a replaced message", lambda: store.replace_message("t", first.id or "", say("A")))
    note("a message between", lambda: store.insert("t", say("i"), before=second.id))
    note("a deleted message", lambda: store.delete_message("t", second.id or ""))
    note("the last message", lambda: store.pop("t"))
    note("a cut", lambda: store.truncate("t", after=third.id))
    note("a page of what a cut left", lambda: store.read("t", last=3))
    histories_and_lists(note, store)
    note("a cleared history", lambda: store.clear("copy"))
    note("a pop of nothing", lambda: store.pop("copy"))
    note("a deleted thread", lambda: store.delete_thread("t"))
    note("no thread", lambda: store.delete_thread("never"))
    for number in range(400):
        store.append("long", say(number))
    note("the newest of a long thread", lambda: store.read("long", last=20))
    note("the oldest of a long thread", lambda: store.read("long", limit=20))
    middle = store.read("long", limit=200).items[-1]
    note("behind the middle of a long thread", lambda: store.read("long", after=middle.id, limit=20))
    note("before the middle of a long thread", lambda: store.read("long", before=middle.id, limit=20))
    note(
        "the last but one of a long thread",
        lambda: store.read("long", before=store.read("long", last=1).items[0].id, limit=1),
    )
    page = store.read("long", last=20)
    note("what is before a page", lambda: store.read("long", before=page.next, limit=5))
    found = store.read("long", limit=200).items
    world.cold().append("long", say("behind"))
    note("a full page of what another process went on with", lambda: store.read("long", limit=20))
    note("a cut far from the end", lambda: store.append("long", say("end"), after=found[100].id))
    gone = store.append("long", say("gone")).messages[0]
    for number in range(60):
        store.append("long", say(number))
    store.delete_message("long", gone.id or "")
    note("a cut at no message", lambda: store.append("long", say("end"), after=gone.id))
    for number in range(60):
        store.append("long", say(number))
    note("a page behind no message", lambda: store.read("long", after=gone.id, limit=2))
    note("a page before no message", lambda: store.read("long", before=gone.id, limit=2))
    other = store.append("longer", *[say("a")] * 600).messages[-1]
    note("a page behind another thread's message", lambda: store.read("long", after=other.id, limit=2))
    note("a page before another thread's message", lambda: store.read("long", before=other.id, limit=2))
    world.clock.advance(timedelta(seconds=1))
    note(
        "an append in the same minute",
        lambda: store.append("long", say("a"), metadata={"b": 1}),
    )
    behind = store.append("long", say("behind")).messages[0]
    store.append("long", say("named"), key="l")
    world.cold().append("long", say("behind"))
    note("a cut and its name again", lambda: store.append("long", say("new"), after=behind.id, key="l"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(position, "crowded", lambda _: True)
        first, second = (store.append("anew", say(number)).messages[0] for number in range(2))
        for number in range(60):
            store.append("anew", say(number))
        store.insert("anew", say("between"), before=second.id)
    note("the first of a thread numbered anew", lambda: store.get_message("anew", first.id or ""))
    removals(note, store, lambda: world.clock.advance(3 * 60 * MINUTE))
    return calls


def removals(note: Note, store: ChatStore, later: Callable[[], None]) -> None:
    """Threads that owners delete, or have others after them, swept and erased."""
    later()
    store.sweep()
    store.append("gone", say("a"), owner="bob")
    store.delete_thread("gone")
    store.append("gone", say("a"), owner="bob")
    store.delete_thread("gone")
    note("a thread made again by its owner", lambda: store.append("gone", say("a"), owner="bob"))
    later()
    store.delete_thread("gone")
    store.for_owner("bob").delete_thread("gone", request_id="q")
    later()
    note("a sweep of a deleted thread", store.sweep)
    store.append("gone", say("a"), owner="mary")
    later()
    note("a sweep of a thread made again", store.sweep)
    store.for_owner("bob").delete_thread("none", request_id="r")
    store.append("none", say("a"), owner="bob")
    later()
    note("a sweep of a thread made after all", store.sweep)
    note("a list of an owner's thread of hours ago", lambda: store.list_threads(owner="mary", kind="chat"))
    for _ in range(99):
        store.append("rows", say("a"), owner="rose")
    note("an erasure of one group of rows", lambda: store.erase("rose"))


def test_every_operation() -> None:
    assert played() == CALLS


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("before", "calls"),
    [
        (False, "2 get, 2 submit(1), 1 submit(18), 1 submit(21), 1 submit(6)"),
        (True, "1 get, 3 submit(1), 1 submit(18), 1 submit(21), 1 submit(6)"),
    ],
)
def test_a_long_thread_is_restored_in_few_requests(world: World, calls: str, *, before: bool) -> None:
    source = World().store
    for _ in range(20):
        source.append("t", *[say("m")] * 16, owner="mary")
    for number in range(20):
        source.append("t", say("k"), key=f"k{number}")
    if before:
        world.store.append("t", say("earlier"), owner="bob", request_id="r")
        world.store.delete_thread("t")
    copies = list(kept_threads(source, Chosen()))
    assert world.noted(lambda: list(restore_threads(world.store, copies))) == calls
    partition, owners = layout.partition("default", "t"), ["mary", "bob"] if before else ["mary"]
    state = State.load(world.groups.rows[partition, layout.HEADER].properties["s"])
    assert state.listings == tuple(layout.listing("default", owner) for owner in owners)
    first = source.read("t", limit=1).items[0]
    assert world.noted(lambda: world.store.get_message("t", first.id or "")) == "1 get, 1 page"
    world.store.sweep()
    rows = [row for row in world.groups.rows.values() if row.row.startswith("m")]
    assert {layout.epoch_of(row.row) for row in rows} == {state.epoch}
    forms = [json.loads(unpack([row.properties]).partition("\n")[0]) for row in rows]
    assert {len(one) for form in forms for one in form} == {3, 8}


@pytest.mark.parametrize("keys", [3, 40])
def test_a_restored_thread_is_as_it_was(world: World, keys: int) -> None:
    source = ChatStore(MemoryBackend(clock=world.clock))
    for number in range(60):
        key = f"k{number}" if number < keys else None
        metadata = {"n": number} if number % 2 else None
        source.append("t", say(number), key=key, metadata=metadata, owner="mary")
    source.delete_message("t", index=0)
    source.insert("t", say("between"), index=4)
    source.append("t", say("brief"), expires_in=timedelta(days=1))
    list(restore_threads(world.store, kept_threads(source, Chosen())))
    store = world.cold()
    messages = whole(store, "t")
    for one, was in zip(messages, whole(source, "t"), strict=True):
        assert (one.id, one.content, one.metadata, one.key) == (was.id, was.content, was.metadata, was.key)
        assert (one.created_at, one.expires_at) == (was.created_at, was.expires_at)
        assert store.get_message("t", one.id or "") == one
        if one.key is not None:
            assert store.get_message("t", f"key:{one.key}") == one
    for place in (0, 3, 30, 59):
        behind = messages[place + 1 : place + 6]
        assert list(store.read("t", after=messages[place].id, limit=5)) == behind
        before = messages[max(0, place - 5) : place]
        assert list(store.read("t", before=messages[place].id, limit=5)) == before
    assert [thread.id for thread in store.list_threads(owner="mary")] == ["t"]
    world.clock.advance(timedelta(days=2))
    store.sweep()
    assert contents(whole(store, "t")) == [*contents(messages)[:-1]]
    assert "brief" not in repr(world.groups.rows)
