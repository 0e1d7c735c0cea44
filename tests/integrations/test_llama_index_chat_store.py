"""`LlamaIndexChatStore` beside LlamaIndex's own in-memory store, on every backend, in both colours."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage, CitableBlock, ImageBlock, MessageRole, TextBlock
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.chat_store.loading import load_chat_store

import chatstore
from chatstore.errors import ConfigurationError, CorruptData, InvalidArgument, InvalidMessage
from chatstore.integrations.llama_index import LlamaIndexChatStore
from tests.integrations.conftest import Fresh
from tests.integrations.llama import BLOCKS, COLOURS, KWARGS, Face, face, opened, said, texts

coloured = pytest.mark.parametrize("colour", COLOURS)

KEYS = st.sampled_from(["", "a", "b/'\"\\% \N{SNOWMAN}"])
MESSAGES = st.builds(said, st.text(max_size=3), st.sampled_from(["user", "assistant", "tool"]))
INDEXES = st.integers(-4, 4)
CALLS = st.one_of(
    st.tuples(st.just("set_messages"), KEYS, st.lists(MESSAGES, max_size=4)),
    st.tuples(st.just("get_messages"), KEYS),
    st.tuples(st.just("add_message"), KEYS, MESSAGES),
    st.tuples(st.just("add_message"), KEYS, MESSAGES, INDEXES),
    st.tuples(st.just("delete_messages"), KEYS),
    st.tuples(st.just("delete_message"), KEYS, INDEXES),
    st.tuples(st.just("delete_last_message"), KEYS),
    st.tuples(st.just("get_keys")),
)


def outcome(store: Any, name: str, *arguments: Any) -> object:
    """What a call gives, in a form that can be compared and does not change any more."""
    try:
        found = copy.deepcopy(getattr(store, name)(*copy.deepcopy(arguments)))
    except IndexError:
        # The base class says that what is not there is None; SimpleChatStore raises below the beginning.
        assert isinstance(store, SimpleChatStore)
        return None
    return sorted(found) if name == "get_keys" else found


@coloured
@settings(max_examples=settings().max_examples // 3)
@given(calls=st.lists(CALLS, max_size=12))
def test_whatever_is_called_it_does_what_the_store_in_memory_does(
    fresh: Fresh, colour: str, calls: list[tuple[Any, ...]]
) -> None:
    expected = SimpleChatStore()
    with face(fresh(), colour) as store:
        for call in calls:
            assert outcome(store, *call) == outcome(expected, *call), call
        assert sorted(store.get_keys()) == sorted(expected.get_keys())
        for key in expected.get_keys():
            assert store.get_messages(key) == expected.get_messages(key)


@coloured
@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_comes_back_as_it_was(fresh: Fresh, colour: str, block: str) -> None:
    message = ChatMessage(role="user", blocks=[BLOCKS[block], TextBlock(text="and"), BLOCKS[block]])
    before = message.model_copy(deep=True)
    with face(fresh(), colour) as store:
        store.add_message("k", message)
        assert store.get_messages("k") == [before] == [message]
        assert [type(each) for each in store.get_messages("k")[0].blocks] == [
            type(each) for each in before.blocks
        ]


@coloured
def test_every_role_and_all_kinds_of_arguments_come_back(fresh: Fresh, colour: str) -> None:
    messages = [ChatMessage(role=role, content="x", additional_kwargs=KWARGS) for role in MessageRole]
    with face(fresh(), colour) as store:
        store.set_messages("k", messages)
        found = store.get_messages("k")
    assert found == messages
    assert json.dumps([message.additional_kwargs for message in found]) == json.dumps(
        [KWARGS for _ in messages]
    )


def test_a_file_that_is_gone_does_not_make_a_thread_unreadable(fresh: Fresh, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.touch()
    block = ImageBlock(path=picture)
    message = ChatMessage(blocks=[block, CitableBlock(title="t", source="s", content=[block])])
    with opened(fresh()) as store:
        store.add_message("k", message)
        picture.unlink()
        assert store.get_messages("k") == [message]


def test_what_json_cannot_carry_is_refused_and_nothing_is_written(fresh: Fresh) -> None:
    with opened(fresh()) as store:
        for value in (float("nan"), {"deep": [float("-inf")]}, object(), "\ud800"):
            with pytest.raises(InvalidMessage):
                store.add_message("k", said("x", thing=value))
        with pytest.raises(InvalidMessage):
            store.set_messages("k", [said("fine"), said("\udfff")])
        assert store.get_keys() == []


@coloured
def test_results_are_snapshots(fresh: Fresh, colour: str) -> None:
    given_list = [said("a", n=[1])]
    with face(fresh(), colour) as store:
        store.set_messages("k", given_list)
        given_list[0].additional_kwargs["n"].append(2)
        given_list.append(said("b"))
        found = store.get_messages("k")
        found[0].blocks.clear()
        found.clear()
        [kept] = store.get_messages("k")
        assert (kept.content, kept.additional_kwargs) == ("a", {"n": [1]})


@coloured
@pytest.mark.parametrize("key", ["", "'; DROP TABLE threads; --", "x' or '1'='1", "../%2e", "\0", "é" * 512])
def test_any_string_is_a_key_of_its_own(fresh: Fresh, colour: str, key: str) -> None:
    other = f"{key[:9]}other"
    with face(fresh(), colour) as store:
        store.add_message(key, said("mine"))
        store.add_message(other, said("other"))
        assert texts(store.get_messages(key)) == ["mine"]
        assert set(store.get_keys()) == {key, other}
        assert texts(store.delete_messages(key) or []) == ["mine"]
        assert store.get_keys() == [other]


@coloured
def test_a_key_that_is_too_long_is_refused_by_name_and_size(fresh: Fresh, colour: str) -> None:
    key = "é" * 513
    with face(fresh(), colour) as store:
        calls: list[Callable[[], object]] = [
            lambda: store.add_message(key, said("x")),
            lambda: store.add_message(key, said("x"), 0),
            lambda: store.set_messages(key, []),
            lambda: store.get_messages(key),
            lambda: store.delete_messages(key),
            lambda: store.delete_message(key, 0),
            lambda: store.delete_last_message(key),
        ]
        for call in calls:
            with pytest.raises(InvalidArgument, match="1,024 bytes of UTF-8, not 1,026"):
                call()


@coloured
def test_long_histories(fresh: Fresh, colour: str) -> None:
    numbers = [str(number) for number in range(2_100)]
    with face(fresh(), colour) as store:
        store.set_messages("k", [said(number) for number in numbers[:1_000]])
        for number in numbers[1_000:1_010]:
            store.add_message("k", said(number))
        kept = numbers[:1_010]
        assert texts(store.get_messages("k")) == kept
        for index in (1_005, -1_004, -1, 0, 1_003):
            deleted = store.delete_message("k", index)
            assert deleted is not None
            assert deleted.content == kept.pop(index)
        assert store.delete_message("k", 1_005) is None
        assert store.delete_message("k", -1_006) is None
        assert texts(store.delete_messages("k") or []) == kept
        assert store.get_keys() == []


def test_what_a_service_does_not_take_in_one_request_is_refused_whole(services: str) -> None:
    with opened(f"{services}/bounded") as store:
        for start in range(0, 1_200, 400):
            store.set_messages(f"{start}", [said("x")] * 400)
        with pytest.raises(InvalidArgument, match="1,000 messages"):
            store.set_messages("400", [said("y")] * 1_001)
        assert store.get_messages("400") == [said("x")] * 400


def add_all(store: Face, contents: list[str]) -> None:
    for content in contents:
        store.add_message("k", said(content))


def test_sixteen_threads_add_to_one_key(fresh: Fresh) -> None:
    with opened(fresh()) as store:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda thread: add_all(store, [f"{thread}-{n}" for n in range(10)]), range(16)))
        found = texts(store.get_messages("k"))
    assert sorted(map(str, found)) == sorted(f"{thread}-{n}" for thread in range(16) for n in range(10))
    for thread in range(16):
        mine = [text for text in found if str(text).startswith(f"{thread}-")]
        assert mine == [f"{thread}-{n}" for n in range(10)]


def test_two_hundred_tasks_add_to_one_key(fresh: Fresh) -> None:
    async def add_all(store: LlamaIndexChatStore) -> list[ChatMessage]:
        await asyncio.gather(*(store.async_add_message("k", said(str(n))) for n in range(200)))
        found = await store.aget_messages("k")
        await store.aclose()
        return found

    found = asyncio.run(add_all(LlamaIndexChatStore.from_url(fresh())))
    assert sorted(map(str, texts(found))) == sorted(str(n) for n in range(200))


@coloured
def test_each_message_is_deleted_once_whoever_asks(fresh: Fresh, colour: str) -> None:
    url = fresh()
    with opened(url) as store:
        store.set_messages("k", [said(str(n)) for n in range(12)])

        async def together() -> list[ChatMessage | None]:
            return list(await asyncio.gather(*(store.adelete_message("k", 0) for _ in range(24))))

        if colour == "async":
            deleted = asyncio.run(together())
        else:
            with ThreadPoolExecutor(4) as pool:
                deleted = list(pool.map(lambda _: store.delete_message("k", 0), range(24)))
        assert sorted(str(one.content) for one in deleted if one) == sorted(str(n) for n in range(12))
        assert store.get_messages("k") == []
        assert store.get_keys() == ["k"]


def test_inserts_at_once_lose_nothing(fresh: Fresh) -> None:
    with opened(fresh()) as store:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: store.add_message("new", said(str(n)), 0), range(24)))
        assert sorted(map(str, texts(store.get_messages("new")))) == sorted(str(n) for n in range(24))


def test_blocking_calls_inside_a_running_loop_and_one_store_across_loops(fresh: Fresh) -> None:
    with opened(fresh()) as store:

        async def both(n: int) -> None:
            store.add_message("k", said(f"{n} blocking"))
            await store.async_add_message("k", said(f"{n} awaited"))
            assert len(store.get_messages("k")) == len(await store.aget_messages("k")) == 2 * n + 2

        for n in range(3):
            asyncio.run(both(n))
            thread = threading.Thread(target=lambda: store.get_messages("k"))
            thread.start()
            thread.join()
        assert len(store.get_messages("k")) == 6


def test_two_openings_of_one_url_are_one_store(shared: Fresh) -> None:
    url = shared()
    with opened(url) as first, opened(url) as second:
        first.add_message("k", said("a"))
        assert texts(second.get_messages("k")) == ["a"]


def test_it_is_written_and_read_as_a_component(shared: Fresh) -> None:
    with opened(shared(), ttl=3600.0) as store:
        store.add_message("chat_history", said("a"))
        written = store.to_json()
        assert json.loads(written)["class_name"] == "LlamaIndexChatStore"
        copies = [
            LlamaIndexChatStore.from_json(written),
            LlamaIndexChatStore.from_dict(store.to_dict()),
            load_chat_store(store.to_dict()),
            LlamaIndexChatStore.model_validate_json(store.model_dump_json()),
            pickle.loads(pickle.dumps(store)),  # noqa: S301 - written a moment ago
            copy.deepcopy(store),
            store.model_copy(),
        ]
        for each in copies:
            assert isinstance(each, LlamaIndexChatStore)
            assert texts(each.get_messages("chat_history")) == ["a"]
            assert (each.url, each.ttl) == (store.url, 3600.0)
            each.close()
        memory = ChatMemoryBuffer.from_defaults(chat_store=store)
        again = ChatMemoryBuffer.from_string(memory.to_string())
        again.put(said("b"))
        assert texts(memory.get_all()) == ["a", "b"]
        assert isinstance(again.chat_store, LlamaIndexChatStore)
        again.chat_store.close()


def test_a_store_without_a_url_cannot_be_read_back() -> None:
    with chatstore.connect("memory://") as plain:
        written = LlamaIndexChatStore.from_store(plain).to_dict()
    with pytest.raises(ConfigurationError, match="needs a url"):
        LlamaIndexChatStore.from_dict(written)


def test_it_stands_on_a_store_that_is_open(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"

    async def add(store: LlamaIndexChatStore, text: str) -> None:
        await store.async_add_message("k", said(text))

    with chatstore.connect(url, tenant="acme") as blocking:
        store = LlamaIndexChatStore.from_store(blocking.for_owner("ada"))
        store.add_message("k", said("a"))
        asyncio.run(add(store, "b"))
        other = chatstore.aconnect(url, tenant="acme").for_owner("ada")
        asyncio.run(add(LlamaIndexChatStore.from_store(blocking.for_owner("ada"), other), "c"))
        asyncio.run(other.backend.close())
        assert [message.to_dict()["blocks"][0]["text"] for message in blocking.read("k")] == ["a", "b", "c"]
        assert blocking.get_thread("k").owner == "ada"
        assert (store.tenant, store.owner) == ("acme", "ada")


def test_tenants_owners_and_lifetimes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    with (
        opened(url, tenant="acme", owner="ada", ttl=60, synchronous="NORMAL") as ada,
        opened(url, tenant="acme", owner="bob") as bob,
        opened(url) as other,
        chatstore.connect(url, tenant="acme") as everybody,
    ):
        ada.set_messages("set", [said("a")])
        ada.add_message("added", said("a"))
        asyncio.run(ada.async_add_message("inserted", said("a"), 0))
        assert other.get_keys() == bob.get_keys() == []
        assert bob.get_messages("set") == []
        for key in ada.get_keys():
            thread = everybody.get_thread(key)
            assert thread.owner == "ada"
            assert thread.expires_at is not None
            assert (thread.expires_at - thread.created_at).total_seconds() == 60
        assert len(ada.get_keys()) == 3
    with pytest.raises(ConfigurationError, match="no option 'nonsense'"):
        LlamaIndexChatStore.from_url(url, nonsense=1)


def test_messages_of_another_origin(tmp_path: Path) -> None:
    calls = [{"id": "call_1", "function": {"name": "f", "arguments": "{}"}}]
    with chatstore.connect("memory://") as plain:
        store = LlamaIndexChatStore.from_store(plain)
        plain.append(
            "k",
            {"role": "user", "content": "hello", "name": "ada"},
            {"role": "assistant", "content": None, "tool_calls": calls},
        )
        assert store.get_messages("k") == [
            said("hello", name="ada"),
            ChatMessage(role="assistant", additional_kwargs={"tool_calls": calls}),
        ]
        for unknown in ({"role": "narrator"}, {"role": "user", "blocks": [{"block_type": "hologram"}]}):
            plain.append("odd", unknown)
            with pytest.raises(CorruptData, match="not one that LlamaIndex can hold"):
                store.get_messages("odd")
            with pytest.raises(CorruptData):
                store.delete_messages("odd")
            assert store.delete_messages("odd") is None  # it went all the same


class TestReplacing:
    """What others add between a reading and the replacement that follows it is kept behind it."""

    @staticmethod
    def others(store: Face, *numbers: int) -> None:
        thread = threading.Thread(target=add_all, args=(store, [f"other {number}" for number in numbers]))
        thread.start()
        thread.join()

    def test_after_a_reading(self, fresh: Fresh) -> None:
        with opened(fresh()) as store:
            store.set_messages("k", [said("a"), said("other 1")])
            found = store.get_messages("k")
            self.others(store, 1, 2)
            store.set_messages("k", [said("summary"), found[-1]])
            assert texts(store.get_messages("k")) == ["summary", "other 1", "other 1", "other 2"]

    def test_after_a_deletion_in_between(self, fresh: Fresh) -> None:
        with opened(fresh()) as store:
            store.set_messages("k", [said("a")])
            store.get_messages("k")
            self.others(store, 1)
            assert texts(store.delete_messages("k") or []) == ["a", "other 1"]
            self.others(store, 2)
            store.set_messages("k", [said("summary")])
            assert texts(store.get_messages("k")) == ["summary", "other 1", "other 2"]

    def test_with_nothing_left_to_write(self, fresh: Fresh) -> None:
        with opened(fresh()) as store:
            store.get_messages("k")
            store.delete_messages("k")
            store.set_messages("k", [])
            assert store.get_keys() == ["k"]
            self.others(store, 1)
            store.set_messages("k", [])
            assert store.get_messages("k") == []

    def test_under_constant_additions(self, fresh: Fresh) -> None:
        with opened(fresh()) as store:
            store.set_messages("k", [said("a")])
            began = threading.Event()

            def add_all() -> None:
                for number in range(60):
                    store.add_message("k", said(f"other {number}"))
                    began.set()

            thread = threading.Thread(target=add_all)
            thread.start()
            began.wait()
            for _ in range(15):
                store.set_messages("k", store.get_messages("k"))
            thread.join()
            assert texts(store.get_messages("k")) == ["a", *(f"other {number}" for number in range(60))]

    @pytest.mark.parametrize("between", ["add", "insert", "delete", "last", "another key", "awaited"])
    def test_ones_own_calls_in_between_forget_the_reading(self, fresh: Fresh, between: str) -> None:
        with opened(fresh()) as store:
            store.set_messages("k", [said("a"), said("b")])
            store.get_messages("k")
            self.others(store, 1)
            calls: dict[str, Callable[[], object]] = {
                "add": lambda: store.add_message("k", said("mine")),
                "insert": lambda: store.add_message("k", said("mine"), 0),
                "delete": lambda: store.delete_message("k", 0),
                "last": lambda: store.delete_last_message("k"),
                "another key": lambda: store.get_messages("another"),
                "awaited": lambda: asyncio.run(store.async_add_message("k", said("mine"))),
            }
            calls[between]()
            store.set_messages("k", [said("new")])
            assert texts(store.get_messages("k")) == ["new"]
