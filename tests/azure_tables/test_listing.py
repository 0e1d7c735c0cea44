"""A list looks at so many threads, and at rows that no header bears out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.engines.fenced import layout, listing
from chatstore.engines.fenced.port import Entity, Slice
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.azure_tables.fake import FakeDriver, FakeTable, Killed, Mortal


@pytest.fixture
def store(table: FakeTable, clock: ManualClock) -> ChatStore:
    return ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock))


def pages(store: ChatStore, **asked: Any) -> list[int]:
    """How many threads each page has."""
    page = store.list_threads(**asked)
    sizes = [len(page.items)]
    while page.next is not None:
        page = store.list_threads(cursor=page.next, **asked)
        sizes.append(len(page.items))
    return sizes


def test_a_page_ends_where_enough_was_looked_at(store: ChatStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        store.append(f"t{number}", say("a"), topic="old", thread_metadata={"a": "b"})
    monkeypatch.setattr(listing, "EXAMINED_BYTES", 1)
    for filtered in ({"metadata": {"a": "c"}}, {"topic_prefix": "new"}):
        assert pages(store, **filtered) == [0] * 5
    assert pages(store) == [5]
    monkeypatch.setattr(listing, "_EXAMINED", 3)
    assert pages(store) == [3, 2]


def test_a_list_of_a_kind_reads_what_is_of_that_kind(table: FakeTable, clock: ManualClock) -> None:
    asked: list[object] = []

    class Noting(FakeDriver):
        async def page(self, partitions: Any, *more: Any, **most: Any) -> Slice:
            asked.append(partitions)
            return await super().page(partitions, *more, **most)

        async def get(self, partition: str, row: str) -> Entity | None:
            asked.append(partition)
            return await super().get(partition, row)

    store = ChatStore(AzureTablesBackend(Noting(table), TABLES, clock))
    for kind in ("chat", "run"):
        store.append(kind, say("a"), owner="ada", kind=kind)
    for owner, where in (
        (None, layout.listings("default")),
        ("ada", layout.listing("default", "ada", "run")),
    ):
        asked.clear()
        assert [thread.id for thread in store.list_threads(owner=owner, kind="run")] == ["run"]
        assert asked == [where, layout.partition("default", "run")]


def told(table: FakeTable, owner: str) -> bool:
    """Whether the owner's listing has a row."""
    return any(partition == layout.listing("default", owner) for partition, _ in table.rows)


@pytest.mark.parametrize("made_before", [False, True])
def test_a_row_whose_writer_was_killed_goes_when_it_cannot_come_back(
    store: ChatStore, table: FakeTable, clock: ManualClock, *, made_before: bool
) -> None:
    if made_before:
        store.append("t", say("a"), owner="bob")
        store.delete_thread("t")
    with pytest.raises(Killed):
        ChatStore(AzureTablesBackend(Mortal(table), TABLES, clock)).append("t", say("a"), owner="ada")
    assert not store.list_threads(owner="ada").items
    assert told(table, "ada")
    clock.advance(timedelta(hours=2))
    assert not store.list_threads(owner="ada").items
    assert not told(table, "ada")


def test_a_row_that_only_marks_an_owners_requests_is_no_thread(
    store: ChatStore, table: FakeTable, clock: ManualClock
) -> None:
    store.for_owner("bob").delete_thread("t", request_id="of nothing")
    assert told(table, "bob")
    assert not store.list_threads(owner="bob").items
    store.erase("bob")
    clock.advance(timedelta(hours=2))
    store.sweep()
    assert not told(table, "bob")
