"""What a call of LlamaIndex's chat stores asks of the storage: as docs/llama-index.md says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import chatstore
from bench.memories import Meter
from chatstore.backends.memory import MemoryBackend
from chatstore.integrations.llama_index import LlamaIndexAsyncDBChatStore, LlamaIndexChatStore
from chatstore.store import AsyncChatStore
from tests.integrations.llama import said


def overtaken(store: LlamaIndexChatStore) -> None:
    store.get_messages("k")
    another = threading.Thread(target=store.add_message, args=("k", said("another's")))
    another.start()
    another.join()
    store.set_messages("k", [])


def summarised(store: LlamaIndexChatStore) -> None:
    store.get_messages("k")
    store.delete_messages("k")
    store.set_messages("k", [said("summary")])


CALLS: dict[str, tuple[Callable[[LlamaIndexChatStore], object], dict[str, int]]] = {
    "get": (lambda store: store.get_messages("k"), {"read": 1}),
    "add": (lambda store: store.add_message("k", said("x")), {"append": 1}),
    "insert": (lambda store: store.add_message("k", said("x"), 1), {"insert": 1}),
    "set": (lambda store: store.set_messages("k", [said("x")]), {"replace_all": 1}),
    "delete one": (lambda store: store.delete_message("k", 1), {"delete_message": 1}),
    "delete last": (lambda store: store.delete_last_message("k"), {"delete_message": 1}),
    "delete all": (lambda store: store.delete_messages("k"), {"read": 1, "delete_thread": 1}),
    "keys": (lambda store: store.get_keys(), {"list_threads": 1}),
    "read and set": (
        lambda store: store.set_messages("k", store.get_messages("k")[:1]),
        {"read": 1, "replace_all": 1},
    ),
    "read and set, overtaken": (overtaken, {"read": 2, "append": 1, "replace_all": 2}),
    "read, delete and set": (summarised, {"read": 3, "delete_thread": 1, "append": 1}),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_of_the_chat_store(call: str) -> None:
    backend, meter = MemoryBackend(), Meter()
    chatstore.ChatStore(backend).append("k", *(said(str(n)).model_dump(mode="json") for n in range(4)))
    work, expected = CALLS[call]
    work(LlamaIndexChatStore.from_store(chatstore.ChatStore(meter.around(backend))))
    assert dict(meter.operations) == expected


LONG_AGO = 5_000


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("get_messages", (), {"read": 1}),
        ("count_messages", (), {"read": 1}),
        ("add_message", (said("x"),), {"append": 1}),
        ("archive_oldest_messages", (3,), {"read": 1, "append": 1}),
        ("delete_messages", (), {"delete_thread": 1}),
        ("delete_oldest_messages", (3,), {"read": 6, "replace_all": 1}),
    ],
)
def test_a_call_of_the_store_with_statuses_where_much_is_archived(
    name: str, arguments: tuple[Any, ...], expected: dict[str, int]
) -> None:
    async def operations() -> dict[str, int]:
        backend, meter = MemoryBackend(), Meter()
        plain = LlamaIndexAsyncDBChatStore.from_store(AsyncChatStore(backend))
        await plain.add_messages("k", [said(str(n)) for n in range(LONG_AGO)])
        await plain.archive_oldest_messages("k", LONG_AGO - 10)
        store = LlamaIndexAsyncDBChatStore.from_store(AsyncChatStore(meter.around(backend)))
        await getattr(store, name)("k", *arguments)
        return dict(meter.operations)

    assert asyncio.run(operations()) == expected
