"""So many messages at one place that a backend numbers the thread anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import chatstore
from chatstore import ChatStore
from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.contract import system_clock
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.log.memory_table import LogInMemory, MemoryTable

MANY = 800
"""A position holds a hundred and some digits, and takes another for about six insertions."""


def text(content: object) -> dict[str, str]:
    return {"role": "user", "content": f"{content}"}


OPENERS: dict[str, Callable[[Path], ChatStore]] = {
    "memory": lambda _: chatstore.connect("memory://"),
    "sqlite": lambda path: chatstore.connect(f"sqlite:///{path}/chat.db?synchronous=NORMAL"),
    "log": lambda _: ChatStore(LogInMemory(MemoryTable(), system_clock)),
    "azure-tables": lambda _: ChatStore(AzureTablesBackend(FakeDriver(FakeTable()), TABLES, system_clock)),
}


@pytest.mark.parametrize("backend", OPENERS)
def test_any_number_of_messages_finds_room_between_two(backend: str, tmp_path: Path) -> None:
    with OPENERS[backend](tmp_path) as store:
        first, last = store.append("t", text("first"), text("last")).messages
        between = [store.insert("t", text(number), before=last.id) for number in range(MANY)]
        [later] = store.append("t", text("later")).messages
        found = list(store.iter_messages("t"))

        assert [one.id for one in found] == [one.id for one in (first, *between, last, later)]
        assert [one.content for one in found] == ["first", *map(str, range(MANY)), "last", "later"]
        positions = [one.position or "" for one in found]
        assert positions == sorted(positions)
        assert max(map(len, positions)) < 200
