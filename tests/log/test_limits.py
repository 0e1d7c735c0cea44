"""What does not fit into a row is refused with what to change, or kept in rows of its own."""

from __future__ import annotations

import secrets

import pytest

import chatstore
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from tests.log.memory_table import LogInMemory, MemoryTable


def test_properties_that_no_row_holds_are_refused_and_nothing_is_left() -> None:
    table = MemoryTable()
    store = ChatStore(LogInMemory(table, ManualClock()))
    people = [{"id": f"p{n}", "metadata": {"noise": secrets.token_hex(20_000)}} for n in range(10)]
    with pytest.raises(chatstore.InvalidArgument, match="fewer participants"):
        store.create_thread("t", participants=people)
    with pytest.raises(chatstore.ThreadNotFound):
        store.get_thread("t")
    store.create_thread("t", participants=people[:3])
    with pytest.raises(chatstore.InvalidArgument, match="fewer participants"):
        store.update_thread("t", participants=people)
    assert len(store.get_thread("t").participants) == 3


def test_a_turn_too_large_for_a_row_and_its_smallest_message_inline() -> None:
    table = MemoryTable()
    store = ChatStore(LogInMemory(table, ManualClock()))
    sizes = [150_000, 90_000, 1_000, 16_000_000]
    turn = [{"role": "user", "content": "x" * size} for size in sizes]
    appended = store.append("t", *turn)
    assert [len(message.content) for message in store.read("t")] == sizes
    assert [len(store.get_message("t", one.id or "").content) for one in appended.messages] == sizes
    rows = table.rows["T#default#t"]
    assert max(len(repr(row)) for row in rows.values()) < 400_000
