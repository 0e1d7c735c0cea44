"""Listing threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta, timezone
from typing import Any, TypeAlias

import pytest

from chatstore.conditions import EXAMINED_BYTES
from chatstore.contract import Capability
from chatstore.errors import InvalidArgument, InvalidCursor
from chatstore.models import Page, Thread
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import THREAD_IDS, json_text, say

__all__ = ["ListThreads"]

Activity: TypeAlias = Callable[[ChatStore, str], object]

# More than the minute to which a backend may keep the activity.
APART = timedelta(minutes=2)
NUMBERS = itertools.count()


ACTIVITIES: dict[str, Activity] = {
    "append": lambda store, id: store.append(id, say("more")),
    "replace_all, grown": lambda store, id: store.replace_all(id, [*store.iter_messages(id), say("more")]),
    "replace_all, another": lambda store, id: store.replace_all(id, [say(next(NUMBERS))]),
    "replace_all, then append": lambda store, id: (
        store.replace_all(id, [say(next(NUMBERS))]),
        store.append(id, say("more")),
    ),
}


def pages(store: ChatStore, **options: Any) -> Iterator[Page[Thread]]:
    """All pages of a listing."""
    page = store.list_threads(**options)
    yield page
    while page.next is not None:
        page = store.list_threads(**options, cursor=page.next)
        yield page


def ids(store: ChatStore, **options: Any) -> list[str]:
    """The ids on all pages."""
    return [thread.id for page in pages(store, **options) for thread in page]


def check_listed(store: ChatStore, clock: ManualClock, activity: Activity) -> None:
    """A thread comes first after `activity`, after minutes, an hour and a day."""
    for id in ("a", "b"):
        store.append(id, say("hello"), owner="ada")
    for wait in (APART, timedelta(hours=1), APART, timedelta(days=1), APART):
        for id in ("a", "b"):
            clock.advance(wait)
            activity(store, id)
            [first, second] = store.list_threads()
            assert first.id == id
            assert first.active_at > second.active_at
            assert ids(store, owner="ada") == [first.id, second.id]
            assert ids(store, active_since=first.active_at) == [id]


@needs(Capability.LIST)
class ListThreads:
    """`ChatStore.list_threads` and `iter_threads`."""

    def test_an_empty_store_has_none(self, store: ChatStore) -> None:
        page = store.list_threads()
        assert (page.items, page.next) == ((), None)

    def test_newest_activity_comes_first(self, store: ChatStore, clock: ManualClock) -> None:
        for id in ("a", "b", "c"):
            store.create_thread(id)
            clock.advance(APART)
        assert ids(store) == ["c", "b", "a"]
        store.append("a", say("hello"))
        assert ids(store) == ["a", "c", "b"]
        clock.advance(APART)
        store.append("d", say("a new one"))
        assert ids(store) == ["d", "a", "c", "b"]

    @pytest.mark.parametrize("name", ACTIVITIES)
    def test_what_adds_messages_lists_a_thread_anew_after_any_time(
        self, store: ChatStore, clock: ManualClock, name: str
    ) -> None:
        check_listed(store, clock, ACTIVITIES[name])

    @needs(Capability.INSERT)
    def test_so_does_an_insert(self, store: ChatStore, clock: ManualClock) -> None:
        check_listed(store, clock, lambda store, id: store.insert(id, say("more"), index=0))

    def test_the_entries_are_the_threads(self, store: ChatStore) -> None:
        store.create_thread(
            "t", topic="x", owner="ada", metadata={"b": 1, "a": 1.0}, participants=[{"id": "p"}]
        )
        [listed] = store.list_threads()
        assert listed == store.get_thread("t")
        assert json_text(listed.metadata) == '{"b": 1, "a": 1.0}'

    def test_reading_editing_and_updating_are_not_activity(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        store.append("a", say("hello"))
        clock.advance(APART)
        store.append("b", say("hello"))
        clock.advance(APART)
        store.update_thread("a", topic="x")
        store.read("a")
        assert ids(store) == ["b", "a"]

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
    def test_pages_hold_every_thread_once(self, store: ChatStore, clock: ManualClock, limit: int) -> None:
        # Threads of one moment too: a page may end between them.
        for number in range(7):
            store.create_thread(f"t{number}")
            if number % 3 == 0:
                clock.advance(APART)
        found = list(pages(store, limit=limit))
        assert all(len(page) <= limit for page in found)
        listed = [thread for page in found for thread in page]
        assert sorted(thread.id for thread in listed) == [f"t{number}" for number in range(7)]
        activity = [thread.active_at for thread in listed]
        assert activity == sorted(activity, reverse=True)
        assert [thread.id for thread in store.iter_threads()] == [thread.id for thread in listed]

    def test_one_page_takes_a_hundred_unless_told(self, store: ChatStore) -> None:
        for number in range(103):
            store.create_thread(f"t{number}")
        page = store.list_threads()
        assert len(page) == 100
        assert page.next is not None
        assert len({thread.id for thread in store.iter_threads()}) == 103

    @pytest.mark.parametrize("wanted", [{}, {"all": "yes"}])
    def test_a_page_ends_by_the_bytes_of_its_threads(
        self, store: ChatStore, clock: ManualClock, wanted: dict[str, str]
    ) -> None:
        for number in range(6):
            clock.advance(APART)
            store.create_thread(f"t{number}", metadata={"all": "yes", "text": "x" * 1000 * number})
        expected = [f"t{number}" for number in reversed(range(6))]
        for most, longest in ((1, 1), (2_500, 2), (9_500, 3), (1_000_000, 6)):
            found = list(pages(store, max_bytes=most, metadata=wanted, limit=1000))
            assert [thread.id for page in found for thread in page] == expected
            assert len(found[0]) <= longest
        with pytest.raises(InvalidArgument):
            store.list_threads(max_bytes=0)

    def test_a_filter_looks_through_so_much_for_a_page(self, store: ChatStore, clock: ManualClock) -> None:
        store.create_thread("behind all", metadata={"a": 1})
        clock.advance(APART)
        for number in range(EXAMINED_BYTES // 60_000 + 5):
            store.create_thread(f"t{number}", metadata={"text": "x" * 60_000})
        store.create_thread("wanted", metadata={"a": 1})
        store.create_thread("not", metadata={"text": '"a":1', "b": {"a": 1}, "aa": 11})
        assert ids(store, metadata={"a": 1}) == ["wanted", "behind all"]

    def test_threads_of_every_id_are_listed_page_by_page(self, store: ChatStore) -> None:
        for id in THREAD_IDS:
            store.create_thread(id)
        found = ids(store, limit=10)
        assert len(found) == len(THREAD_IDS)
        assert set(found) == set(THREAD_IDS)

    def test_by_owner(self, store: ChatStore, clock: ManualClock) -> None:
        owners = [None, "ada", "ad", "Ada", "ada\0", "a%", "o" * 256]
        for number, owner in enumerate(owners):
            store.create_thread(f"t{number}", owner=owner)
            clock.advance(APART)
        store.append("u", say("hello"), owner="ada")
        assert ids(store, owner="ada", limit=1) == ["u", "t1"]
        for number, owner in enumerate(owners[2:], 2):
            assert ids(store, owner=owner) == [f"t{number}"]
        assert ids(store, owner="nobody") == []
        assert [thread.id for thread in store.iter_threads(owner="ada")] == ["u", "t1"]

    def test_by_activity(self, store: ChatStore, clock: ManualClock) -> None:
        store.create_thread("old")
        clock.advance(APART * 2)
        since = clock.now - APART
        store.create_thread("new")
        assert ids(store, active_since=since) == ["new"]
        assert ids(store, active_since=since.astimezone(timezone(timedelta(hours=9)))) == ["new"]
        assert ids(store, active_since=clock.now + APART) == []

    def test_by_metadata(self, store: ChatStore) -> None:
        values: dict[str, object] = {
            "int": 1,
            "float": 1.0,
            "true": True,
            "null": None,
            "text": "1",
            "list": [1],
            "object": {"a": 1},
        }
        store.create_thread("none")
        for name, value in values.items():
            store.create_thread(name, metadata={"k'.\"": value, "all": "yes"})
        for name, value in values.items():
            assert ids(store, metadata={"k'.\"": value}, limit=2) == [name]
        found = list(pages(store, metadata={"all": "yes"}, limit=2))
        assert {thread.id for page in found for thread in page} == set(values)
        assert all(len(page) <= 2 for page in found)
        assert ids(store, metadata={"k'.\"": 1, "all": "no"}) == []
        assert len(ids(store, metadata={})) == len(values) + 1
        store.update_thread("int", metadata={"k'.\"": 2})
        assert ids(store, metadata={"k'.\"": 1}) == []

    def test_filters_combine(self, store: ChatStore, clock: ManualClock) -> None:
        for number in range(6):
            store.create_thread(
                f"t{number}", owner="ada" if number % 2 else "bob", metadata={"n": number // 4}
            )
            clock.advance(APART)
        since = clock.now - APART * 5 - timedelta(seconds=1)
        assert ids(store, owner="ada", active_since=since, metadata={"n": 0}, limit=1) == ["t3", "t1"]

    def test_deleted_threads_are_not_listed(self, store: ChatStore) -> None:
        store.append("t", say("hello"), owner="ada")
        store.delete_thread("t")
        assert (ids(store), ids(store, owner="ada")) == ([], [])
        store.create_thread("t", owner="bob")
        assert (ids(store), ids(store, owner="ada"), ids(store, owner="bob")) == (["t"], [], ["t"])

    def test_a_page_survives_the_thread_that_it_ended_at(self, store: ChatStore, clock: ManualClock) -> None:
        for id in ("a", "b", "c"):
            store.create_thread(id)
            clock.advance(APART)
        page = store.list_threads(limit=2)
        store.delete_thread("b")
        assert [thread.id for thread in store.list_threads(cursor=page.next)] == ["a"]

    def test_what_is_not_a_cursor_of_threads_is_refused(self, store: ChatStore) -> None:
        cursor = store.append("t", say("hello")).messages[0].position
        # Refused before a backend is asked, so one that lists nothing is asked for a page as well.
        store.list_threads()
        for nonsense in ("", "x", "!", "AAAA", "\u00e9", "\0", "a~1", cursor, "A" * 5000):
            with pytest.raises(InvalidCursor):
                store.list_threads(cursor=nonsense)
