"""Messages with an expiry of their own keep it, whichever call of LlamaIndex's rewrites their thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.storage.chat_store.base_db import MessageStatus

import chatstore
from chatstore import ChatStore, Message
from chatstore.errors import CorruptData
from chatstore.http.app import create_app
from chatstore.integrations.llama_index import LlamaIndexAsyncDBChatStore, LlamaIndexChatStore
from chatstore.settings import Settings
from tests.http.serving import serving
from tests.integrations.llama import said


@pytest.fixture(params=["sqlite", "http"])
def expiring(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store with a thread whose messages expire at different times, or never."""
    url = f"sqlite:///{tmp_path}/chat.db"
    with chatstore.connect(url) as plain, ExitStack() as stack:
        for content, life in (("a", None), ("b", 3600), ("c", 7200), ("d", None)):
            plain.append("k", {"role": "user", "content": content}, expires_in=life)
        if request.param == "http":
            url = stack.enter_context(serving(create_app(chatstore.aconnect(url), Settings())))
        yield url


def lives(plain: ChatStore) -> dict[str, float | None]:
    """How long each message of the thread lives, in minutes; a mark of a status has nothing to say."""
    return {
        text_of(message): None if message.expires_at is None
        else round((message.expires_at - plain.now()).total_seconds() / 60)
        for message in plain.read("k") if text_of(message)
    }  # fmt: skip


def text_of(message: Message) -> str:
    said = message.to_dict()
    return said.get("content") or "".join(block.get("text", "") for block in said.get("blocks", []))


LIVES = {"a": None, "b": 60, "c": 120, "d": None}
REWRITING: dict[str, tuple[str, tuple[Any, ...], set[str], set[str]]] = {
    "delete the first": ("delete_message", (0,), set(), {"a"}),
    "delete one between": ("delete_message", (2,), set(), {"c"}),
    "delete the last": ("delete_message", (-1,), set(), {"d"}),
    "delete the oldest": ("delete_oldest_messages", (2,), set(), {"a", "b"}),
    "delete those archived": ("delete_messages", (MessageStatus.ARCHIVED,), set(), set()),
    "archive": ("archive_oldest_messages", (2,), set(), set()),
    "set those archived": ("set_messages", ([said("x")], MessageStatus.ARCHIVED), {"x"}, set()),
    "add behind those archived": ("add_messages", ([said("x")], MessageStatus.ARCHIVED), {"x"}, set()),
}


@pytest.mark.parametrize("case", REWRITING)
def test_a_rewritten_thread_keeps_each_messages_expiry(expiring: str, case: str) -> None:
    call, arguments, new, gone = REWRITING[case]

    async def rewrite() -> None:
        store = LlamaIndexAsyncDBChatStore.from_url(expiring)
        await getattr(store, call)("k", *arguments)
        await store.aclose()

    asyncio.run(rewrite())
    with chatstore.connect(expiring) as plain:
        kept = {said: life for said, life in LIVES.items() if said not in gone}
        assert lives(plain) == dict.fromkeys(new, None) | kept


@pytest.mark.parametrize("index", [0, 2, -1])
def test_a_message_added_between_others_leaves_them_their_expiry(expiring: str, index: int) -> None:
    store = LlamaIndexChatStore.from_url(expiring)
    store.add_message("k", said("x"), index)
    with chatstore.connect(expiring) as plain:
        assert lives(plain) == {"x": None, **LIVES}
    store.close()


def test_what_cannot_be_read_can_be_replaced() -> None:
    with chatstore.connect("memory://") as plain:
        plain.append("k", {"role": "narrator", "content": "x"}, expires_in=60)
        store = LlamaIndexChatStore.from_store(plain)
        with pytest.raises(CorruptData):
            store.get_messages("k")
        store.set_messages("k", [said("y")])
        assert store.get_messages("k") == [said("y")]


@pytest.mark.parametrize("deleting", [False, True])
def test_who_reads_and_replaces_leaves_what_was_read_and_what_others_added_its_expiry(
    expiring: str, deleting: bool
) -> None:
    store = LlamaIndexChatStore.from_url(expiring)
    with chatstore.connect(expiring) as plain:
        history = store.get_messages("k")
        plain.append("k", {"role": "user", "content": "e"}, expires_in=1800)
        if deleting:
            store.delete_messages("k")
        store.set_messages("k", [said("summary"), *history[1:]])
        assert lives(plain) == {"summary": None, "b": 60, "c": 120, "d": None, "e": 30}
    store.close()
