"""Kinds of threads, what lists show and leave out, counts, changes, and searches."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidArgument, InvalidCursor
from chatstore.models import Found, Page, Thread
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs, supported
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, whole

__all__ = ["Finding", "Kinds", "Searching"]


def ids(threads: object) -> list[str]:
    """The ids of threads, in their order."""
    return [thread.id for thread in threads]  # type: ignore[attr-defined]


def hours_apart(store: ChatStore, clock: ManualClock) -> None:
    """Six threads, an hour between them."""
    for number in range(6):
        store.append(
            f"t{number}",
            say(f"hello {number}"),
            owner="mary" if number % 2 else "bob",
            topic=f"{'work' if number < 3 else 'play'} {number}",
        )
        clock.advance(timedelta(hours=1))


def paged(store: ChatStore, **given: object) -> list[str]:
    """All ids of a listing, read two at a time."""
    found: list[str] = []
    page: Page[Thread] = store.list_threads(limit=2, **given)  # type: ignore[arg-type]
    while True:
        found += ids(page)
        if page.next is None:
            return found
        page = store.list_threads(limit=2, cursor=page.next, **given)  # type: ignore[arg-type]


def spoken(store: ChatStore, clock: ManualClock) -> None:
    """Messages of two owners, a minute between them."""
    for thread, owner, text in (
        ("a", "mary", "The quick brown fox"),
        ("b", "mary", "a slow BROWN bear, brown all over"),
        ("c", "bob", "brown fox of bob"),
    ):
        store.append(thread, say(text), owner=owner)
        clock.advance(timedelta(minutes=1))
    store.append("a", say([{"type": "text", "text": "Caf\u00e9 au lait"}, {"data": "fox"}]))
    store.append("hidden", say("brown"), owner="mary", kind="state")


def where(found: Page[Found]) -> list[str]:
    """Where the messages are."""
    return [one.thread_id for one in found]


class Kinds:
    """Threads that are not conversations."""

    def test_a_kind_is_kept_and_only_asked_for_shown(self, store: ChatStore, clock: ManualClock) -> None:
        store.create_thread("chat", owner="mary")
        clock.advance(timedelta(minutes=1))
        store.create_thread("receipts", owner="mary", kind="receipt")
        clock.advance(timedelta(minutes=1))
        store.append("state", say("x"), owner="mary", kind="state")
        assert store.get_thread("receipts").kind == "receipt"
        assert store.get_thread("chat").kind == "chat"
        with supported(store, Capability.LIST):
            everybody: dict[str, Any] = {}
            for given in (everybody, {"owner": "mary"}):
                assert ids(store.list_threads(**given)) == ["chat"]
                assert ids(store.list_threads(kind="receipt", **given)) == ["receipts"]
                assert ids(store.list_threads(kind="*", **given)) == ["state", "receipts", "chat"]
                assert ids(store.iter_threads(kind=None, **given)) == ["state", "receipts", "chat"]
            assert ids(store.list_threads(kind="other")) == []
        with supported(store, Capability.FORK):
            assert store.fork("state", "copy").kind == "state"
        for bad in ("", "*", "x" * 65):
            with pytest.raises(InvalidArgument):
                store.create_thread("bad", kind=bad)

    @needs(Capability.ERASE)
    def test_an_erasure_takes_every_kind(self, store: ChatStore) -> None:
        store.append("a", say("x"), owner="mary", kind="state")
        store.append("b", say("x"), owner="mary")
        store.append("c", say("x"), owner="bob", kind="state")
        store.erase("mary")
        assert whole(store, "a") == whole(store, "b") == []
        assert contents(whole(store, "c")) == ["x"]


@needs(Capability.LIST)
class Finding:
    """What `ChatStore.list_threads` selects and shows, `count_threads` and `changes`."""

    def test_oldest_first(self, store: ChatStore, clock: ManualClock) -> None:
        hours_apart(store, clock)
        newest = ["t5", "t4", "t3", "t2", "t1", "t0"]
        assert paged(store) == newest
        assert paged(store, oldest_first=True) == newest[::-1]
        assert paged(store, oldest_first=True, owner="mary") == ["t1", "t3", "t5"]

    def test_ranges_of_time(self, store: ChatStore, clock: ManualClock) -> None:
        start = clock.now
        hours_apart(store, clock)
        store.append("t0", say("again"))
        hour = timedelta(hours=1)
        assert paged(store, active_since=start + 3 * hour) == ["t0", "t5", "t4", "t3"]
        assert paged(store, active_before=start + 3 * hour) == ["t2", "t1"]
        between = {"active_since": start + 2 * hour, "active_before": start + 5 * hour}
        assert paged(store, **between) == ["t4", "t3", "t2"]
        assert paged(store, oldest_first=True, **between) == ["t2", "t3", "t4"]
        assert paged(store, created_before=start + 2 * hour) == ["t0", "t1"]
        assert paged(store, created_since=start + 4 * hour) == ["t5", "t4"]
        assert paged(store, active_before=start) == []

    def test_topics_that_begin_so(self, store: ChatStore, clock: ManualClock) -> None:
        hours_apart(store, clock)
        store.create_thread("none")
        assert paged(store, topic_prefix="work") == ["t2", "t1", "t0"]
        assert paged(store, topic_prefix="play 4") == ["t4"]
        assert paged(store, topic_prefix="Work") == paged(store, topic_prefix="%") == []
        assert len(paged(store, topic_prefix="")) == 7

    @needs(Capability.FORK)
    def test_forks_of_a_thread(self, store: ChatStore, clock: ManualClock) -> None:
        hours_apart(store, clock)
        store.fork("t1", "f1")
        clock.advance(timedelta(minutes=1))
        store.fork("t1", "f2")
        store.fork("t2", "f3")
        assert paged(store, forked_from="t1") == ["f2", "f1"]
        assert paged(store, forked_from="f1") == []

    def test_counts_and_previews(self, store: ChatStore, clock: ManualClock) -> None:
        hours_apart(store, clock)
        store.create_thread("empty")
        store.append(
            "t3", say([{"type": "text", "text": "  one\n two "}, {"type": "image", "x": 1}]), say("x" * 500)
        )
        clock.advance(timedelta(minutes=2))
        store.append("t1", say([{"type": "text", "text": "  one\n two "}, "three"]), expires_in=3600)
        shown = {
            thread.id: (thread.message_count, thread.preview) for thread in store.list_threads(preview=True)
        }
        assert shown["t0"] == (1, "hello 0")
        assert shown["t3"] == (3, "x" * 200)
        assert shown["t1"] == (2, "one two three")
        assert shown["empty"] == (0, None)
        assert {(one.preview, one.message_count) for one in store.list_threads()} == {(None, None)}
        with supported(store, Capability.EDIT):
            [only] = store.read("t0")
            store.replace_message("t0", only.id or "", say("edited"))
            [fourth] = store.read("t4")
            store.delete_message("t4", fourth.id or "")
            store.truncate("t3", after=store.read("t3", limit=1).items[0].id)
            clock.advance(timedelta(hours=2))
            shown = {one.id: (one.message_count, one.preview) for one in store.list_threads(preview=True)}
            assert (shown["t0"], shown["t4"]) == ((1, "edited"), (0, None))
            assert (shown["t3"], shown["t1"]) == ((1, "hello 3"), (1, "hello 1"))

    def test_threads_are_counted(self, store: ChatStore, clock: ManualClock) -> None:
        hours_apart(store, clock)
        store.create_thread("k", owner="mary", kind="state")
        store.create_thread("gone", owner="mary", ttl=60)
        clock.advance(timedelta(minutes=2))
        with supported(store, Capability.COUNT):
            assert store.count_threads(owner="mary") == 3
            assert store.count_threads(owner="mary", kind="*") == 4
            assert store.count_threads() == 6
            assert store.count_threads(owner="nobody") == 0

    def test_changes_come_at_least_once_and_in_their_order(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        assert ids(store.changes()) == []
        hours_apart(store, clock)
        store.create_thread("state", kind="state")
        clock.advance(timedelta(hours=1))
        first = store.changes(limit=4)
        assert ids(first) == ["t0", "t1", "t2", "t3"]
        rest = store.changes(first.next)
        assert ids(rest) == ["t4", "t5", "state"]
        assert ids(store.changes(rest.next)) == []
        store.append("t2", say("more"))
        new = store.changes(rest.next)
        assert ids(new) == ["t2"]
        assert ids(store.changes(new.next)) == ["t2"]
        clock.advance(timedelta(hours=1))
        settled = store.changes(new.next)
        assert ids(settled) == ["t2"]
        assert ids(store.changes(settled.next)) == []
        with pytest.raises(InvalidCursor):
            store.changes("nonsense")

    def test_many_changes_at_once_are_told_page_after_page(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        store.create_thread("old")
        clock.advance(timedelta(hours=1))
        for number in range(7):
            store.create_thread(f"t{number}")
        told: list[str] = []
        page = store.changes(limit=2)
        while len(page) == 2:
            told += ids(page)
            page = store.changes(page.next, limit=2)
        told += ids(page)
        assert sorted(told) == ["old", *[f"t{number}" for number in range(7)]]
        assert sorted(ids(store.changes(page.next))) == [f"t{number}" for number in range(7)]


@needs(Capability.SEARCH)
class Searching:
    """`ChatStore.search`."""

    def test_every_word_is_there_whatever_its_case(self, store: ChatStore, clock: ManualClock) -> None:
        spoken(store, clock)
        assert where(store.search("brown")) == ["c", "b", "a"]
        assert where(store.search("Fox BROWN")) == ["c", "a"]
        assert where(store.search("brown", owner="mary")) == ["b", "a"]
        assert where(store.search("cafe")) == ["a"]
        assert where(store.search("brow")) == where(store.search("data")) == []
        assert where(store.search("role user")) == []
        [found] = store.search("quick")
        assert found.message == whole(store, "a")[0]
        assert "quick" in found.snippet

    def test_the_best_first_and_page_after_page(self, store: ChatStore, clock: ManualClock) -> None:
        spoken(store, clock)
        assert where(store.search("brown", newest_first=False))[0] == "b"
        for newest in (True, False):
            together = store.search("brown", newest_first=newest).items
            found: list[Found] = []
            page = store.search("brown", newest_first=newest, limit=1)
            while True:
                found += page.items
                if page.next is None:
                    break
                page = store.search("brown", newest_first=newest, limit=1, cursor=page.next)
            assert tuple(found) == together

    def test_what_is_gone_is_not_found(self, store: ChatStore, clock: ManualClock) -> None:
        spoken(store, clock)
        [one] = store.search("quick")
        store.append("d", say("quick but short"), expires_in=60)
        clock.advance(timedelta(seconds=1))
        store.append("e", say("quick too"), owner="eve")
        clock.advance(timedelta(seconds=1))
        store.append("f", say("quick"), say("quick cut"))
        store.truncate("f", after=store.read("f").items[0].id)
        clock.advance(timedelta(minutes=2))
        assert where(store.search("quick")) == ["f", "e", "a"]
        store.replace_message("a", one.message.id or "", say("the slow one"))
        assert where(store.search("quick")) == ["f", "e"]
        assert where(store.search("slow one")) == ["a"]
        store.erase("eve")
        store.delete_thread("f")
        assert where(store.search("quick")) == []

    def test_words_are_words_and_no_language_of_queries(self, store: ChatStore) -> None:
        store.append("t", say('a "b" OR c* NEAR(d) -e col:f'))
        for text in ('"b"', "c*", "NEAR(d)", "-e", "col:f", "or", "a AND"):
            found = store.search(text)
            assert where(found) == ([] if text == "a AND" else ["t"]), text
        with pytest.raises(InvalidArgument):
            store.search("  ")
