"""`LlamaIndexAsyncDBChatStore`: statuses beside a plain list of them, on every backend."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.storage.chat_store.base_db import MessageStatus
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

import chatstore
from chatstore.errors import ConfigurationError, InvalidArgument
from chatstore.integrations.llama_index import LlamaIndexAsyncDBChatStore
from tests.integrations.conftest import Fresh
from tests.integrations.llama import BLOCKS, KWARGS, said, texts

T = TypeVar("T")
Store = LlamaIndexAsyncDBChatStore
ACTIVE, ARCHIVED = MessageStatus.ACTIVE, MessageStatus.ARCHIVED


def running(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        store = Store.from_url(url)
        try:
            return await work(store)
        finally:
            await store.aclose()

    return asyncio.run(run())


class Listed:
    """What the calls do to one key, with a list of contents and statuses."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, MessageStatus]] = []

    def get_messages(
        self, status: MessageStatus | None = ACTIVE, limit: int | None = None, offset: int | None = None
    ) -> list[str]:
        found = [content for content, its in self.entries if status in (None, its)][offset or 0 :]
        return found if limit is None else found[:limit]

    def count_messages(self, status: MessageStatus | None = ACTIVE) -> int:
        return len(self.get_messages(status))

    def add_message(self, content: str, status: MessageStatus = ACTIVE) -> None:
        self.add_messages([content], status)

    def add_messages(self, contents: list[str], status: MessageStatus = ACTIVE) -> None:
        self.entries += [(content, status) for content in contents]

    def set_messages(self, contents: list[str], status: MessageStatus = ACTIVE) -> None:
        self.entries = [entry for entry in self.entries if entry[1] is not status]
        self.add_messages(contents, status)

    def delete_message(self, idx: int) -> str | None:
        try:
            entry = self._active()[idx]
        except IndexError:
            return None
        self.entries.remove(entry)
        return entry[0]

    def delete_messages(self, status: MessageStatus | None = None) -> None:
        self.entries = [entry for entry in self.entries if status not in (None, entry[1])]

    def delete_oldest_messages(self, n: int) -> list[str]:
        taken = self._active()[:n]
        self.entries = [entry for entry in self.entries if entry not in taken]
        return [content for content, _ in taken]

    def archive_oldest_messages(self, n: int) -> list[str]:
        taken = self._active()[:n]
        self.entries = [(entry[0], ARCHIVED) if entry in taken else entry for entry in self.entries]
        return [content for content, _ in taken]

    def _active(self) -> list[tuple[str, MessageStatus]]:
        return [entry for entry in self.entries if entry[1] is ACTIVE]


STATUS = st.sampled_from([ACTIVE, ARCHIVED])
ANY_STATUS = st.none() | STATUS
# How many messages are added; each gets a number of its own, so that they can be told apart.
SOME = st.integers(0, 4)
CALLS = st.one_of(
    st.tuples(
        st.just("get_messages"), ANY_STATUS, st.none() | st.integers(0, 3), st.none() | st.integers(0, 3)
    ),
    st.tuples(st.just("count_messages"), ANY_STATUS),
    st.tuples(st.just("add_message"), STATUS),
    st.tuples(st.just("add_messages"), SOME, STATUS),
    st.tuples(st.just("set_messages"), SOME, STATUS),
    st.tuples(st.just("delete_message"), st.integers(-4, 4)),
    st.tuples(st.just("delete_messages"), ANY_STATUS),
    st.tuples(st.just("delete_oldest_messages"), st.integers(0, 3)),
    st.tuples(st.just("archive_oldest_messages"), st.integers(0, 3)),
)


def plain(found: Any) -> Any:
    """A result as the list of contents gives it."""
    if isinstance(found, ChatMessage):
        return found.content
    return texts(found) if isinstance(found, list) else found


@settings(max_examples=settings().max_examples // 2)
@given(calls=st.lists(CALLS, max_size=16))
def test_whatever_is_called_statuses_are_those_of_a_list(fresh: Fresh, calls: list[tuple[Any, ...]]) -> None:
    async def compare(store: Store) -> None:
        expected, number = Listed(), 0
        for name, *arguments in calls:
            ours, theirs = list(arguments), list(arguments)
            if name == "add_message":
                number += 1
                ours, theirs = [said(f"{number}"), *ours], [f"{number}", *theirs]
            elif name in ("add_messages", "set_messages"):
                contents = [f"{number + n}" for n in range(1, arguments[0] + 1)]
                number += arguments[0]
                ours[0], theirs[0] = [said(content) for content in contents], contents
            assert plain(await getattr(store, name)("k", *ours)) == getattr(expected, name)(*theirs), name
            assert await store.get_messages("other") == []
        for status in (None, ACTIVE, ARCHIVED):
            assert plain(await store.get_messages("k", status)) == expected.get_messages(status)

    running(fresh(), compare)


def test_it_does_what_the_store_on_sqlalchemy_does(fresh: Fresh) -> None:
    async def told(store: Any) -> list[Any]:
        await store.add_message("a", said("1", n=[1]))
        await store.add_messages("a", [said("2"), said("3", "assistant"), said("4")])
        await store.add_message("b", said("1"), ARCHIVED)
        return [
            await store.archive_oldest_messages("a", 2),
            await store.delete_oldest_messages("a", 1),
            await store.get_messages("a"),
            await store.get_messages("a", ARCHIVED, 1, 1),
            await store.get_messages("a", None),
            await store.count_messages("a", ARCHIVED),
            await store.archive_oldest_messages("nobody", 2),
            await store.delete_messages("a", ARCHIVED),
            await store.get_messages("a", None, 5, 0),
            sorted(await store.get_keys()),
            await store.delete_messages("b"),
            await store.get_keys(),
        ]

    async def of_theirs() -> list[Any]:
        store = SQLAlchemyChatStore("messages")
        found = await told(store)
        assert store._async_engine is not None
        await store._async_engine.dispose()
        return found

    assert running(fresh(), told) == asyncio.run(of_theirs())


def test_every_block_role_and_argument_comes_back_active_and_archived(fresh: Fresh) -> None:
    messages = [ChatMessage(role="user", blocks=[block]) for block in BLOCKS.values()]
    messages += [ChatMessage(role=role, content="x", additional_kwargs=KWARGS) for role in MessageRole]

    async def back(store: Store) -> None:
        await store.add_messages("k", messages)
        assert await store.get_messages("k") == messages
        assert await store.archive_oldest_messages("k", 5) == messages[:5]
        assert await store.delete_message("k", -1) == messages[-1]
        assert await store.get_messages("k", None) == messages[:-1]
        assert await store.get_messages("k", ARCHIVED) == messages[:5]
        found = await store.get_messages("k")
        found[0].blocks.clear()
        assert await store.get_messages("k") == messages[5:-1]

    running(fresh(), back)


def test_long_queues_and_long_archives(fresh: Fresh) -> None:
    async def archive(store: Store) -> None:
        for start in range(0, 1_200, 300):
            await store.add_messages("k", [said(str(n)) for n in range(start, start + 300)])
        taken = await store.archive_oldest_messages("k", 900)
        assert texts(taken) == [str(n) for n in range(900)]
        assert texts(await store.get_messages("k")) == [str(n) for n in range(900, 1_200)]
        await store.archive_oldest_messages("k", 1_000)
        assert await store.get_messages("k") == []
        assert texts(await store.get_messages("k", ARCHIVED, 2, 1_150)) == ["1150", "1151"]

    running(fresh(), archive)


def test_two_hundred_tasks_while_others_archive_and_delete(fresh: Fresh) -> None:
    async def together(store: Store) -> tuple[Any, ...]:
        async def take(method: Callable[[str, int], Awaitable[list[ChatMessage]]]) -> list[str | None]:
            taken = []
            for _ in range(4):
                taken += texts(await method("k", 3))
            return taken

        await store.add_messages("k", [said(f"first {n}") for n in range(30)])
        archived, deleted, *_ = await asyncio.gather(
            take(store.archive_oldest_messages),
            take(store.delete_oldest_messages),
            *(store.add_message("k", said(str(n))) for n in range(200)),
        )
        return (
            archived,
            deleted,
            texts(await store.get_messages("k", ARCHIVED)),
            texts(await store.get_messages("k")),
        )

    archived, deleted, kept, active = running(fresh(), together)
    # The oldest twenty-four went, each of them once and one way, and nothing that was added is lost.
    assert len(archived) == len(deleted) == 12
    assert set(archived) | set(deleted) == {f"first {n}" for n in range(24)}
    assert kept == archived
    assert active[:6] == [f"first {n}" for n in range(24, 30)]
    assert sorted(active[6:]) == sorted(str(n) for n in range(200))


def test_sixteen_threads_each_with_a_loop_of_its_own(fresh: Fresh) -> None:
    store = Store.from_url(fresh())

    def add_all(thread: int) -> None:
        async def add() -> None:
            for n in range(10):
                await store.add_message("k", said(f"{thread}-{n}"))

        asyncio.run(add())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add_all, range(16)))
    found = texts(asyncio.run(store.get_messages("k")))
    assert sorted(map(str, found)) == sorted(f"{thread}-{n}" for thread in range(16) for n in range(10))
    asyncio.run(store.aclose())


def test_a_reader_sees_every_call_whole(fresh: Fresh) -> None:
    async def together(store: Store) -> None:
        await store.add_messages("k", [said("old")] * 20)
        done = asyncio.Event()

        async def change() -> None:
            for n in range(6):
                await store.archive_oldest_messages("k", 2)
                await store.set_messages("k", [said(f"new {n}")] * 20)
                await store.delete_oldest_messages("k", 5)
                await store.add_messages("k", [said("added")] * 5)
            done.set()

        async def look() -> None:
            while not done.is_set():
                active = texts(await store.get_messages("k"))
                assert len(active) in (20, 18, 15), active
                assert len(set(active) - {"added"}) == 1

        await asyncio.gather(change(), look(), look())

    running(fresh(), together)


def test_a_replacement_leaves_what_is_archived_meanwhile_alone(fresh: Fresh) -> None:
    async def together(store: Store) -> None:
        await store.add_messages("k", [said(str(n)) for n in range(8)])
        archived, _ = await asyncio.gather(
            store.archive_oldest_messages("k", 4), store.set_messages("k", [said("new")])
        )
        assert texts(await store.get_messages("k", ARCHIVED)) == texts(archived)
        left = texts(await store.get_messages("k"))
        assert left == (["new"] if texts(archived) != ["new"] else [])

    running(fresh(), together)


def test_keys_of_any_kind_and_one_that_is_too_long(fresh: Fresh) -> None:
    async def use(store: Store) -> None:
        for key in ("", "x' or '1'='1", "../%2e", "\0", "é" * 512):
            await store.set_messages(key, [said(key)])
            assert texts(await store.get_messages(key)) == [key]
        assert len(await store.get_keys()) == 5
        with pytest.raises(InvalidArgument, match="1,024 bytes"):
            await store.add_message("é" * 513, said("x"))

    running(fresh(), use)


def test_one_store_across_loops_copied_and_pickled(shared: Fresh) -> None:
    store = Store.from_url(shared(), ttl=3600.0)
    for n in range(3):
        asyncio.run(store.add_message("k", said(str(n))))
    for each in (copy.deepcopy(store), store.model_copy(), pickle.loads(pickle.dumps(store))):  # noqa: S301
        assert texts(asyncio.run(each.get_messages("k"))) == ["0", "1", "2"]
        assert each.model_dump() == store.model_dump()
        asyncio.run(each.aclose())
    with pytest.raises(ConfigurationError):
        Store()


def test_it_stands_on_a_store_that_is_open_with_its_owner() -> None:
    async def use() -> None:
        async with chatstore.aconnect("memory://") as everybody:
            store = Store.from_store(everybody.for_owner("ada"), ttl=60)
            await store.set_messages("set", [said("a")])
            await store.add_message("added", said("a"))
            assert await Store.from_store(everybody.for_owner("bob")).get_keys() == []
            for key in ("set", "added"):
                thread = await everybody.get_thread(key)
                assert thread.owner == "ada"
                assert thread.expires_at is not None
            assert (await everybody.read("added")).items[0].to_dict() == said("a").model_dump(mode="json")

    asyncio.run(use())
