"""A page of threads looks at no more than it needs, and takes off a list only what leads nowhere."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from chatstore import ChatStore
from chatstore.blocking import run
from chatstore.engines.log import Key, Row, Rows, layout, listing
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.log.kept import Kept, stopped
from tests.log.memory_table import LogInMemory, MemoryTable
from tests.log.test_erasing import finish, staging
from tests.log.test_lists import check_listed, clocks_at_the_end_of_an_hour

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Looked(MemoryTable):
    """Counts at how many threads was looked, and through how many hours."""

    def __init__(self) -> None:
        super().__init__()
        self.threads = self.hours = 0

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        self.threads += sum(key.sk == layout.HEADER for key in keys)
        return await super().get(keys)

    async def query(self, pk: str, low: str, high: str, **asked: Any) -> Rows:
        self.hours += pk.startswith("A#") and pk.count("#") == 2
        return await super().query(pk, low, high, **asked)


class Many:
    """An owner's threads, one for each minute or hour, and a count of those that were looked at."""

    def __init__(self, threads: int = 12, apart: timedelta = MINUTE) -> None:
        self.clock = ManualClock()
        self.clock.advance(timedelta(minutes=60 - self.clock.now.minute))
        self.table = Looked()
        self.store = ChatStore(LogInMemory(self.table, self.clock))
        for number in range(threads):
            self.store.create_thread(f"t{number}", owner="ada", metadata={"n": number, "text": "x" * 500})
            self.clock.advance(apart)
        self.table.threads = self.table.hours = 0


def test_a_page_looks_at_one_thread_more_than_it_holds() -> None:
    many = Many()
    assert len(many.store.list_threads(owner="ada", limit=3).items) == 3
    assert many.table.threads == 4


def test_a_page_that_has_its_bytes_looks_no_further() -> None:
    many = Many()
    before = many.clock.now - 3 * MINUTE
    assert len(many.store.list_threads(owner="ada", created_before=before, limit=5, max_bytes=1).items) == 1
    assert many.table.threads == 6


def test_threads_of_before_the_wanted_time_are_not_looked_at() -> None:
    many = Many()
    since = many.clock.now - 2 * MINUTE
    assert len(many.store.list_threads(owner="ada", active_since=since).items) == 2
    assert many.table.threads == 2


def test_the_next_page_of_a_tenants_threads_begins_in_the_hour_where_the_last_one_ended() -> None:
    many = Many(5, HOUR)
    page = many.store.list_threads(limit=3)
    assert [thread.id for thread in page.items] == ["t4", "t3", "t2"]
    many.table.hours = 0
    assert [thread.id for thread in many.store.list_threads(limit=3, cursor=page.next).items] == ["t1", "t0"]
    assert many.table.hours == 3


def test_a_page_that_finds_nothing_ends_after_so_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_EXAMINED", 5)
    many = Many()
    page = many.store.list_threads(owner="ada", topic_prefix="none")
    assert page.items == ()
    assert page.next is not None
    assert many.table.threads == 5
    assert [thread.id for thread in many.store.iter_threads(owner="ada", metadata={"n": 0})] == ["t0"]


def test_a_page_that_finds_nothing_ends_after_so_many_bytes_of_metadata(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it does not look for metadata, it does not count them."""
    monkeypatch.setattr(listing, "EXAMINED_BYTES", 1000)
    many = Many()
    assert many.store.list_threads(owner="ada", limit=1, topic_prefix="none").next is None
    many.table.threads = 0
    page = many.store.list_threads(owner="ada", limit=1, metadata={"n": 0})
    assert page.items == ()
    assert page.next is not None
    assert many.table.threads == 2
    assert [thread.id for thread in many.store.iter_threads(owner="ada", metadata={"n": 0})] == ["t0"]


def test_a_thread_stays_listed_however_long_nothing_is_said(kept: Kept) -> None:
    kept.store.append("t", say("a"), owner="ada")
    kept.clock.advance(3 * HOUR)
    for _ in range(2):
        assert [thread.id for thread in kept.store.iter_threads(owner="ada")] == ["t"]


def test_a_list_of_hours_later_takes_away_what_leads_nowhere(kept: Kept) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        stopped(kept).append("t", say("a"), owner="ada")
    kept.clock.advance(3 * HOUR)
    assert kept.store.list_threads().items == ()
    assert kept.table.rows["L#default#ada"]
    assert kept.store.list_threads(owner="ada").items == ()
    assert not kept.table.rows["L#default#ada"]


def test_a_list_leaves_what_leads_to_a_thread_that_is_about_to_be_there(kept: Kept) -> None:
    call = staging(kept, "ada", "append")
    call.send(None)
    assert kept.store.list_threads(owner="ada").items == ()
    finish(call)
    assert [thread.id for thread in kept.store.iter_threads(owner="ada")] == ["t"]


def test_a_list_leaves_an_hour_in_which_slower_clocks_still_list_threads() -> None:
    table = MemoryTable()
    slow, fast = clocks_at_the_end_of_an_hour(timedelta(0), 10 * MINUTE)
    first, second = (ChatStore(LogInMemory(table, clock)) for clock in (slow, fast))
    first.append("moved", say("1"), owner="bob")
    second.append("moved", say("2"))
    assert [thread.id for thread in second.iter_threads()] == ["moved"]
    second.delete_thread("moved")
    first.append("t", say("1"), owner="ada")
    check_listed(table, slow, "t")


def test_the_last_page_of_tenants_says_so() -> None:
    backend = LogInMemory(MemoryTable(), ManualClock())
    for tenant in ("one", "two"):
        ChatStore(backend, tenant=tenant).append("t", say("a"))
    page = run(backend.list_tenants(None, 1))
    last = run(backend.list_tenants(page.next, 1))
    assert {*page.items, *last.items} == {"one", "two"}
    assert last.next is None


def test_a_page_of_tenants_of_which_the_table_gives_none_is_the_last() -> None:
    class Empty(MemoryTable):
        async def query(self, *_: Any, **__: Any) -> Rows:
            return Rows([], more=True)

    page = run(LogInMemory(Empty(), ManualClock()).list_tenants(None, 10))
    assert (page.items, page.next) == ((), None)
