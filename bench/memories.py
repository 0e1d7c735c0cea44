"""Ten turns through each of LlamaIndex's memories on chatstore, and what the storage is asked for them.

``python -m bench memories [URL …]`` prints a line for each memory on each store: the round trips, the billed
units where the backend reports any, and which operations they were.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms.mock import MockFunctionCallingLLM, MockLLM
from llama_index.core.memory import ChatMemoryBuffer, ChatSummaryMemoryBuffer, Memory
from llama_index.core.memory.types import BaseMemory
from llama_index.core.storage.chat_store import BaseChatStore
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore

from chatstore.contract import Backend, system_clock
from chatstore.integrations.llama_index import LlamaIndexAsyncDBChatStore, LlamaIndexChatStore
from chatstore.models import Cost
from chatstore.store import AsyncChatStore, ChatStore
from chatstore.urls import open_backend

TURNS = 10
KEY = "conversation"
TOKEN_LIMIT = 200
"""Small, so that ten turns do not fit: the summary is written, messages are archived."""


def question(turn: int) -> str:
    return f"Question {turn}: " + "what else is there to see in Lisbon, and how long does it take? " * 2


def buffer(store: BaseChatStore) -> BaseMemory:
    return ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key=KEY, token_limit=TOKEN_LIMIT)


def summary_buffer(store: BaseChatStore) -> BaseMemory:
    return ChatSummaryMemoryBuffer.from_defaults(
        chat_store=store, chat_store_key=KEY, token_limit=TOKEN_LIMIT, llm=MockLLM(max_tokens=10)
    )


def memory(store: AsyncDBChatStore) -> Memory:
    return Memory.from_defaults(
        session_id=KEY, chat_store=store, token_limit=TOKEN_LIMIT, token_flush_size=TOKEN_LIMIT // 4
    )


def chat_engine(kept: BaseMemory, turns: int = TURNS) -> list[str]:
    """The replies of a chat engine, turn by turn."""
    engine = SimpleChatEngine.from_defaults(llm=MockLLM(max_tokens=20), memory=kept)
    return [engine.chat(question(turn)).response for turn in range(turns)]


def sights(place: str = "Lisbon") -> str:
    """What there is to see."""
    return f"Sights of {place}: a tower, a tram, a view."


def call_then_answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
    """What the model of `agent` says: it calls its tool, and tells what that gave."""
    if messages[-1].role is MessageRole.TOOL:
        return ChatMessage(role="assistant", content=f"I found: {messages[-1].content}")
    call = ToolCallBlock(
        tool_call_id=f"call {len(messages)}", tool_name="sights", tool_kwargs={"place": "Alfama"}
    )
    return ChatMessage(role="assistant", blocks=[call])


async def agent(kept: BaseMemory, turns: int = TURNS) -> list[str]:
    """The replies of an agent that calls a tool in every turn."""
    asked: Any = FunctionAgent(
        tools=[sights], llm=MockFunctionCallingLLM(response_generator=call_then_answer), streaming=False
    )
    return [str(await asked.run(user_msg=question(turn), memory=kept)) for turn in range(turns)]


@dataclass
class Meter:
    """What a store was asked for: operations by name, and their costs where the backend reports them."""

    operations: Counter[str] = field(default_factory=Counter)
    costs: list[Cost] = field(default_factory=list)

    def around(self, backend: Backend) -> Backend:
        """`backend`, every operation of it counted."""
        return cast("Backend", _Counted(backend, self))

    @property
    def trips(self) -> int:
        """Round trips: those reported, or one for each operation."""
        return sum(cost.trips for cost in self.costs) if self.costs else self.operations.total()

    @property
    def units(self) -> Counter[str]:
        """Billed units by the vendor's name; none where the backend reports none."""
        total: Counter[str] = Counter()
        for cost in self.costs:
            total.update({name: units for name, units in cost.units.items() if units})
        return total


class _Counted:
    def __init__(self, backend: Backend, meter: Meter) -> None:
        self._backend = backend
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._backend, name)
        if name in ("close", "ping") or not inspect.iscoroutinefunction(member):
            return member

        @functools.wraps(member)
        async def counted(*args: Any, **kwargs: Any) -> Any:
            self._meter.operations[name] += 1
            result = await member(*args, **kwargs)
            cost = getattr(result, "cost", None)
            if cost is not None:
                self._meter.costs.append(cost)
            return result

        return counted


def with_chat_store(url: str, meter: Meter, talk: Callable[[BaseChatStore], object]) -> None:
    """Talk over a `LlamaIndexChatStore` whose operations `meter` counts."""
    backend = open_backend(url, blocking=True, clock=system_clock)
    ChatStore(backend).delete_thread(KEY)
    with ChatStore(meter.around(backend)) as store:
        talk(LlamaIndexChatStore.from_store(store))


def with_db_chat_store(url: str, meter: Meter, talk: Callable[[AsyncDBChatStore], object]) -> None:
    """The same over a `LlamaIndexAsyncDBChatStore`."""
    backend = open_backend(url, blocking=False, clock=system_clock)
    store = AsyncChatStore(meter.around(backend))
    try:
        asyncio.run(AsyncChatStore(backend).delete_thread(KEY))
        talk(LlamaIndexAsyncDBChatStore.from_store(store))
    finally:
        asyncio.run(store.close())


CONVERSATIONS: dict[str, Callable[[str, Meter], None]] = {
    "ChatMemoryBuffer, chat engine": lambda url, meter: with_chat_store(
        url, meter, lambda store: chat_engine(buffer(store))
    ),
    "ChatMemoryBuffer, agent with a tool": lambda url, meter: with_chat_store(
        url, meter, lambda store: asyncio.run(agent(buffer(store)))
    ),
    "ChatSummaryMemoryBuffer, chat engine": lambda url, meter: with_chat_store(
        url, meter, lambda store: chat_engine(summary_buffer(store))
    ),
    "Memory, chat engine": lambda url, meter: with_db_chat_store(
        url, meter, lambda store: chat_engine(memory(store))
    ),
    "Memory, agent with a tool": lambda url, meter: with_db_chat_store(
        url, meter, lambda store: asyncio.run(agent(memory(store)))
    ),
}


def shown(meter: Meter) -> str:
    """A meter's operations, the most frequent first."""
    return ", ".join(f"{count} {name}" for name, count in meter.operations.most_common())


@contextmanager
def a_store_of_each_kind() -> Iterator[list[str]]:
    """URLs of new stores: in memory, in a file, and behind a running service."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "chatstore", "serve", "--port", "0", "--url", "memory://"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as service:
            assert service.stdout is not None
            address = re.search(r"http://\S+", service.stdout.readline())
            assert address is not None
            yield ["memory://", f"sqlite:///{folder}/chat.db", address[0]]
            service.terminate()


def main(urls: Sequence[str]) -> None:
    """Print the table for the stores at `urls`; for a new one of each kind without any."""
    print(f"{TURNS} turns; token_limit={TOKEN_LIMIT}\n")
    print(f"{'':10}{'':38}{'trips':>6}  {'billed units':18}operations")
    with nullcontext(urls) if urls else a_store_of_each_kind() as stores:
        for url in stores:
            for name, talk in CONVERSATIONS.items():
                meter = Meter()
                talk(url, meter)
                units = ", ".join(f"{total:g} {unit}" for unit, total in meter.units.items())
                backend = url.partition(":")[0]
                print(f"{backend:10}{name:38}{meter.trips:>6}  {units or 'none reported':18}{shown(meter)}")
