"""LlamaIndex's memories in its own chat engines and agents: on every backend as on its own stores."""

from __future__ import annotations

import asyncio
import functools
import gc
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from llama_index.core.agent.workflow import ReActAgent
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, MessageRole
from llama_index.core.chat_engine import CondensePlusContextChatEngine, ContextChatEngine, SimpleChatEngine
from llama_index.core.llms.mock import MockFunctionCallingLLM, MockLLM
from llama_index.core.memory import ChatMemoryBuffer, ChatSummaryMemoryBuffer, Memory
from llama_index.core.memory.types import BaseMemory
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.chat_store.base_db import MessageStatus
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

from bench import memories
from bench.memories import KEY, TURNS
from chatstore.integrations.llama_index import LlamaIndexAsyncDBChatStore, LlamaIndexChatStore
from tests.integrations.conftest import Fresh
from tests.integrations.llama import opened, said, texts

pytestmark = [
    # LlamaIndex's agents look at attributes of theirs that are deprecated.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
    # Its blocking wrappers close a loop of their own without ending what was opened in it.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings(
        r"ignore:.*function StreamWriter\.__del__:pytest.PytestUnraisableExceptionWarning"
    ),
]

Talk = Callable[[BaseMemory], Sequence[str]]
STATUSES = (None, MessageStatus.ACTIVE, MessageStatus.ARCHIVED)


@pytest.fixture
def collected() -> Iterator[None]:
    """Collects what those wrappers left open while its warnings are still expected."""
    yield
    gc.collect()


def by_an_agent(kept: BaseMemory) -> list[str]:
    return asyncio.run(memories.agent(kept))


async def disposed(store: SQLAlchemyChatStore) -> None:
    assert store._async_engine is not None
    await store._async_engine.dispose()


@functools.cache
def held_in_memory(make: Callable[[SimpleChatStore], BaseMemory], talk: Talk) -> tuple[BaseMemory, list[str]]:
    """What LlamaIndex's own store holds after the conversation, and its replies."""
    kept = make(SimpleChatStore())
    return kept, list(talk(kept))


@functools.cache
def held_in_sqlalchemy(talk: Talk) -> tuple[list[list[ChatMessage]], list[str]]:
    """What LlamaIndex's memory holds of each status after the conversation, and its replies."""
    theirs = SQLAlchemyChatStore("messages")
    kept = memories.memory(theirs)
    replies = list(talk(kept))
    histories = [kept.get_all(status) for status in STATUSES]
    asyncio.run(disposed(theirs))
    return histories, replies


@pytest.mark.parametrize("make", [memories.buffer, memories.summary_buffer], ids=["buffer", "summary"])
@pytest.mark.parametrize("talk", [memories.chat_engine, by_an_agent], ids=["engine", "agent"])
def test_buffers_hold_the_conversation_that_they_hold_in_memory(fresh: Fresh, make: Any, talk: Talk) -> None:
    expected, replies = held_in_memory(make, talk)
    assert len(replies) == TURNS
    with opened(fresh()) as store:
        kept = make(store)
        assert list(talk(kept)) == replies
        assert kept.get_all() == expected.get_all()
        assert kept.get() == expected.get()
        assert asyncio.run(kept.aget_all()) == expected.get_all()
        kept.reset()
        assert store.get_keys() == []


@pytest.mark.parametrize("talk", [memories.chat_engine, by_an_agent], ids=["engine", "agent"])
@pytest.mark.usefixtures("collected")
def test_memory_holds_the_conversation_that_it_holds_in_sqlalchemy(fresh: Fresh, talk: Talk) -> None:
    histories, replies = held_in_sqlalchemy(talk)
    assert len(histories[2]) > TURNS  # most of it is archived by now
    ours = LlamaIndexAsyncDBChatStore.from_url(fresh())
    kept = memories.memory(ours)
    assert list(talk(kept)) == replies
    assert [kept.get_all(status) for status in STATUSES] == histories
    again = memories.memory(ours)
    assert again.get_all() == histories[0]
    again.set([said("new")])
    assert again.get_all() == [*histories[2], said("new")]
    again.reset()
    assert again.get_all() == []
    asyncio.run(ours.aclose())


class Retriever(BaseRetriever):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text="Lisbon has trams."), score=1.0)]


def engines(kept: BaseMemory) -> list[Any]:
    llm = MockLLM(max_tokens=5)
    return [
        SimpleChatEngine.from_defaults(llm=llm, memory=kept, system_prompt="Be brief."),
        ContextChatEngine.from_defaults(retriever=Retriever(), llm=llm, memory=kept),
        CondensePlusContextChatEngine.from_defaults(retriever=Retriever(), llm=llm, memory=kept),
    ]


def test_every_engine_in_every_way_of_asking(fresh: Fresh) -> None:
    async def awaited(engine: Any) -> None:
        await engine.achat("third")
        reply = await engine.astream_chat("fourth")
        async for _ in reply.async_response_gen():
            pass

    with opened(fresh()) as store:
        for number, _ in enumerate(engines(ChatMemoryBuffer.from_defaults())):
            kept = ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key=f"engine {number}")
            engine = engines(kept)[number]
            engine.chat("first")
            list(engine.stream_chat("second").response_gen)
            asyncio.run(awaited(engine))
            said_by = [(message.role, message.content) for message in store.get_messages(f"engine {number}")]
            assert [content for role, content in said_by if role is MessageRole.USER] == [
                "first",
                "second",
                "third",
                "fourth",
            ]
            assert [role for role, _ in said_by] == [MessageRole.USER, MessageRole.ASSISTANT] * 4


def test_an_agent_that_reasons_in_text(fresh: Fresh) -> None:
    def answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
        return ChatMessage(role="assistant", content="Thought: I can answer.\nAnswer: By tram.")

    async def ask(kept: BaseMemory) -> str:
        model = MockFunctionCallingLLM(response_generator=answer)
        return str(
            await ReActAgent(tools=[memories.sights], llm=model, streaming=False).run(
                user_msg="How?", memory=kept
            )
        )

    with opened(fresh()) as store:
        kept = ChatMemoryBuffer.from_defaults(chat_store=store)
        assert asyncio.run(ask(kept)) == "By tram."
        assert texts(kept.get_all())[0] == "How?"


class Interrupted(MockLLM):
    """A model during whose work somebody else does something."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__(max_tokens=3)
        self._meanwhile = meanwhile

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        thread = threading.Thread(target=self._meanwhile)
        thread.start()
        thread.join()
        return CompletionResponse(text="a summary")


@pytest.mark.parametrize("how", ["get", "aget"])
def test_a_summary_loses_nothing_that_is_put_while_it_is_written(fresh: Fresh, how: str) -> None:
    with opened(fresh()) as store:
        store.set_messages(KEY, [said(memories.question(turn)) for turn in range(8)])
        kept = ChatSummaryMemoryBuffer.from_defaults(
            chat_store=store,
            chat_store_key=KEY,
            token_limit=100,
            llm=Interrupted(lambda: store.add_message(KEY, said("put in between"))),
        )
        seen = kept.get() if how == "get" else asyncio.run(kept.aget())
        assert seen[0].role is MessageRole.SYSTEM
        assert len(seen) < 8
        assert store.get_messages(KEY) == [*seen, said("put in between")]


def test_nor_does_a_summary_by_another_process(shared: Fresh) -> None:
    url = shared()
    with opened(url) as store, opened(url) as other:
        store.set_messages(KEY, [said(memories.question(turn)) for turn in range(8)])
        kept = ChatSummaryMemoryBuffer.from_defaults(
            chat_store=store,
            chat_store_key=KEY,
            token_limit=100,
            llm=Interrupted(lambda: asyncio.run(added(other))),
        )
        seen = kept.get()
        assert store.get_messages(KEY) == [*seen, said("put in between")]


async def added(store: LlamaIndexChatStore) -> None:
    await store.async_add_message(KEY, said("put in between"))
    await store.aclose()


def test_memory_keeps_each_of_many_messages_that_are_put_at_once(fresh: Fresh) -> None:
    async def together() -> tuple[list[ChatMessage], list[ChatMessage]]:
        store = LlamaIndexAsyncDBChatStore.from_url(fresh())
        kept = memories.memory(store)
        await asyncio.gather(*(kept.aput(said(memories.question(turn))) for turn in range(12)))
        found = await kept.aget_all(), await kept.aget_all(MessageStatus.ARCHIVED)
        await store.aclose()
        return found

    everything, archived = asyncio.run(together())
    assert sorted(map(str, texts(everything))) == sorted(memories.question(turn) for turn in range(12))
    assert everything[: len(archived)] == archived
    assert archived


@pytest.mark.usefixtures("collected")
def test_memory_is_put_to_by_blocking_callers_inside_a_running_loop(fresh: Fresh) -> None:
    store = LlamaIndexAsyncDBChatStore.from_url(fresh())

    async def inside() -> list[ChatMessage]:
        kept = Memory.from_defaults(session_id=KEY, chat_store=store, chat_history=[said("a")])
        kept.put(said("b"))
        await kept.aput(said("c"))
        return kept.get_all()

    assert texts(asyncio.run(inside())) == ["a", "b", "c"]
    assert texts(asyncio.run(store.get_messages(KEY))) == ["a", "b", "c"]
    asyncio.run(store.aclose())


@pytest.mark.each_server
@pytest.mark.usefixtures("collected")
def test_the_table_of_a_conversation_counts_what_it_says(fresh: Fresh, capsys: Any) -> None:
    url = fresh()
    memories.main([url])
    lines = capsys.readouterr().out.splitlines()[3:]
    assert len(lines) == len(memories.CONVERSATIONS)
    # A chat engine puts two messages and reads once in a turn.
    assert "20 append, 10 read" in lines[0]
    if url.startswith(("memory:", "sqlite:")):
        assert "30  none reported" in lines[0]
    elif url.startswith("dynamodb:"):
        # Twenty appends of a unit each, four more for the thread and its hour, one for each new minute.
        assert re.search(r" 2\d wru, \d\d rru ", lines[0])
    elif url.startswith("aztables:"):
        # Two for the thread, and one for each new minute.
        assert re.search(r"(3\d)  \1 transactions", lines[0])
