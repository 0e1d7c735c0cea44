"""What a storage is paid for: bytes of rows, and notes that nobody needs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.engines.log.forms import unpacked
from chatstore.engines.log.layout import ZERO
from chatstore.errors import MessageNotFound
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.log.doubles import Noting
from tests.log.memory_table import LogInMemory


def test_what_its_slot_tells_of_a_message_is_not_stored_again() -> None:
    table = Noting()
    store = ChatStore(LogInMemory(table, ManualClock()))
    store.append("t", say("first"))
    plain, large = store.append("t", say("a"), say("b" * 250_000)).messages
    row = table.rows["T#default#t"][f"E{ZERO}#{plain.position}"]
    first, second = unpacked(row)[0]["m"]
    assert first == [len(plain.text)]
    assert second[:1] + second[2:6] == [0, 0, None, None, None]
    assert len(second[6]) == 2
    assert store.read("t").items[-1] == large


def test_a_request_that_changes_nothing_of_a_thread_notes_no_visit() -> None:
    table, clock = Noting(), ManualClock()
    ChatStore(LogInMemory(table, clock)).create_thread("t")
    table.calls.clear()
    assert ChatStore(LogInMemory(table, clock)).pop("t", request_id="r") is None
    assert not [call for call in table.calls if call.startswith("write")]
    ChatStore(LogInMemory(table, clock)).delete_thread("t")
    table.calls.clear()
    assert not ChatStore(LogInMemory(table, clock)).delete_thread("t", request_id="s").existed
    assert not [call for call in table.calls if call.startswith("write")]


def test_another_text_of_a_message_that_expires_notes_one_visit() -> None:
    """Its expiry is noted already, whoever did it."""
    table, clock = Noting(), ManualClock()
    brief = ChatStore(LogInMemory(table, clock)).append("t", say("a"), expires_in=timedelta(days=3))
    table.calls.clear()
    ChatStore(LogInMemory(table, clock)).replace_message("t", brief.messages[0].id or "", say("b"))
    assert [call for call in table.calls if call.startswith("write")] == ["write(2, 0)"]


def test_an_append_behind_a_sweep_that_removed_no_row_of_its_thread_looks_for_nothing() -> None:
    table, clock = Noting(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    store.append("t", say("a"), say("b"), expires_in=[None, timedelta(minutes=1)])
    clock.advance(timedelta(minutes=2))
    assert store.sweep().messages == 1
    table.calls.clear()
    store.append("t", say("c"))
    assert "query" not in table.calls


def test_the_next_visits_to_threads_that_end_are_noted_together() -> None:
    table, clock = Noting(), ManualClock()
    for number in range(3):
        ChatStore(LogInMemory(table, clock)).append(f"t{number}", say("a"), ttl=timedelta(minutes=1))
    clock.advance(timedelta(minutes=2))
    table.calls.clear()
    assert ChatStore(LogInMemory(table, clock)).sweep().threads == 3
    assert [call for call in table.calls if call.startswith("write") and "(0" not in call] == ["write(4, 0)"]


def test_a_history_that_grows_after_an_edit_is_read_and_not_looked_at_again() -> None:
    table, clock = Noting(), ManualClock()
    first = ChatStore(LogInMemory(table, clock)).append("t", say("a"), say("b")).messages[0]
    ChatStore(LogInMemory(table, clock)).replace_message("t", first.id or "", say("A"))
    table.calls.clear()
    ChatStore(LogInMemory(table, clock)).replace_all("t", [say("A"), say("b"), say("c")])
    assert table.calls == ["query", "get(1)", "query", "put_new"]


def test_who_asked_nothing_of_a_threads_properties_is_told_nothing_of_them() -> None:
    store = ChatStore(LogInMemory(Noting(), ManualClock()))
    assert store.append("t", say("a")).thread_etag is None
    assert store.append("t", say("b")).thread_etag is None


def test_a_request_for_a_message_that_is_not_there_writes_nothing() -> None:
    table = Noting()
    store = ChatStore(LogInMemory(table, ManualClock()))
    store.append("t", say("a"))
    table.calls.clear()
    with pytest.raises(MessageNotFound):
        store.delete_message("t", index=5, request_id="r")
    assert "put_new" not in table.calls
