"""Reading pages of messages."""

from __future__ import annotations

from typing import Any

import pytest

from chatstore.codec import decode
from chatstore.contract import Capability
from chatstore.errors import CursorExpired, InvalidArgument, InvalidCursor
from chatstore.models import Entries, Message
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.samples import AWKWARD_MESSAGES, contents, json_text, say, whole

__all__ = ["Read"]


def fill(store: ChatStore, count: int) -> list[Message]:
    """Thread "t" with the messages 0, 1, 2 and so on."""
    store.append("t", *[say(number) for number in range(count)])
    return whole(store, "t")


def forwards(store: ChatStore, limit: int) -> list[object]:
    """All of thread "t", by pages from the oldest."""
    page = store.read("t", limit=limit)
    found = contents(page)
    while page.next is not None:
        page = store.read("t", after=page.next, limit=limit)
        assert 0 < len(page) <= limit
        found += contents(page)
    return found


def backwards(store: ChatStore, limit: int) -> list[object]:
    """All of thread "t", by pages from the newest, put together oldest first."""
    page = store.read("t", last=limit)
    found = contents(page)
    while page.next is not None:
        page = store.read("t", before=page.next, limit=limit)
        assert 0 < len(page) <= limit
        found = contents(page) + found
    return found


class Read:
    """`ChatStore.read`."""

    def test_an_unknown_thread_is_an_empty_page(self, store: ChatStore) -> None:
        for page in (store.read("t"), store.read("t", last=5), store.read("t", after="0000000001")):
            assert (page.items, page.next, page.end, page.etag) == ((), None, None, None)

    @needs(Capability.EXPIRY)
    def test_what_is_beside_a_message_is_in_its_text(self, store: ChatStore) -> None:
        given: list[dict[str, Any]] = [{"expires_in": 60}, {"key": "k"}, {"metadata": {"a": [1]}}]
        for beside in (*given, {**given[0], **given[2]}, {**given[0], "key": "l"}, {}):
            store.append("t", say("a"), **beside)
        page = store.read("t")
        assert store.read_entries("t").text == ",".join(message.entry_text() for message in page)

    def test_a_page_as_text_is_the_same_page(self, store: ChatStore) -> None:
        store.append("t", *AWKWARD_MESSAGES)
        fill(store, 3)
        first = store.read("t", limit=2)
        spans: list[dict[str, Any]] = [
            {}, {"last": 2}, {"limit": 2}, {"after": first.next}, {"before": first.end, "limit": 1},
            {"limit": 100, "max_bytes": 1}, {"last": 100, "max_bytes": 300},
        ]  # fmt: skip
        for span in spans:
            page, text = store.read("t", **span), store.read_entries("t", **span)
            assert text.text == ",".join(message.entry_text() for message in page)
            assert (text.next, text.end, text.etag) == (page.next, page.end, page.etag)
            entries = [json_text(message.to_entry()) for message in page]
            assert [json_text(entry) for entry in decode(f"[{text.text}]")] == entries
        assert store.read_entries("u") == Entries("")
        store.replace_all("t", [say("anew")])
        with pytest.raises(CursorExpired):
            store.read_entries("t", after=first.next)
        with pytest.raises(InvalidArgument, match="last cannot be combined"):
            store.read_entries("t", last=2, limit=2)

    def test_the_last_are_the_newest_oldest_first(self, store: ChatStore) -> None:
        fill(store, 5)
        assert contents(store.read("t", last=2)) == [3, 4]
        assert contents(store.read("t", last=5)) == contents(store.read("t", last=1000)) == [0, 1, 2, 3, 4]
        assert store.read("t", last=5).next is None
        assert store.read("t", last=4).next is not None

    def test_a_page_takes_a_hundred_unless_told(self, store: ChatStore) -> None:
        fill(store, 101)
        page = store.read("t")
        assert contents(page) == list(range(100))
        assert contents(store.read("t", after=page.next)) == [100]
        assert len(store.read("t", limit=1000)) == 101

    def test_after_and_before_leave_out_what_they_name(self, store: ChatStore) -> None:
        at = [message.position for message in fill(store, 6)]
        assert contents(store.read("t", after=at[2])) == [3, 4, 5]
        assert contents(store.read("t", after=at[5])) == []
        assert contents(store.read("t", before=at[3])) == [0, 1, 2]
        assert contents(store.read("t", before=at[0])) == []
        assert contents(store.read("t", after=at[0], limit=2)) == [1, 2]
        assert contents(store.read("t", before=at[5], limit=2)) == [3, 4]
        assert contents(store.read("t", after=at[0], before=at[4])) == [1, 2, 3]
        assert contents(store.read("t", after=at[0], before=at[4], limit=2)) == [1, 2]
        assert contents(store.read("t", after=at[4], before=at[1])) == []

    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 1000])
    def test_pages_of_any_length_hold_every_message_once(self, store: ChatStore, limit: int) -> None:
        fill(store, 7)
        assert forwards(store, limit) == backwards(store, limit) == list(range(7))

    def test_pages_between_two_places(self, store: ChatStore) -> None:
        at = [message.position for message in fill(store, 9)]
        page = store.read("t", after=at[0], before=at[8], limit=3)
        found = contents(page)
        while page.next is not None:
            page = store.read("t", after=page.next, before=at[8], limit=3)
            found += contents(page)
        assert found == list(range(1, 8))

    def test_long_threads_page_to_their_ends(self, store: ChatStore) -> None:
        for start in range(0, 2500, 500):
            store.append("t", *[say(number) for number in range(start, start + 500)])
        assert forwards(store, 1000) == backwards(store, 999) == list(range(2500))

    def test_the_end_of_a_page_is_where_later_messages_follow(self, store: ChatStore) -> None:
        store.create_thread("t")
        for given in ({"limit": 10}, {"last": 10}):
            ends: dict[str, Any] = given
            page = store.read("t", **ends)
            assert page.end is not None
            added = len(whole(store, "t"))
            store.append("t", say(added), say("more"))
            later = store.read("t", after=page.end)
            assert contents(later) == [added, "more"]
            nothing = store.read("t", after=later.end)
            assert nothing.items == ()
            # An empty page ends where it began, so that nobody who asks again reads all of it again.
            assert store.read("t", after=nothing.end).items == ()

    def test_pages_reach_what_is_appended_meanwhile(self, store: ChatStore) -> None:
        fill(store, 4)
        first = store.read("t", limit=2)
        newest = store.read("t", last=2)
        store.append("t", say(4))
        assert contents(store.read("t", after=first.next)) == [2, 3, 4]
        assert contents(store.read("t", before=newest.next)) == [0, 1]

    @needs(Capability.EDIT)
    def test_pages_neither_skip_nor_repeat_when_messages_go(self, store: ChatStore) -> None:
        messages = fill(store, 8)
        first, newest = store.read("t", limit=3), store.read("t", last=3)
        for gone in (1, 2, 4, 5):
            store.delete_message("t", messages[gone].id)
        assert contents(store.read("t", after=first.next)) == [3, 6, 7]
        assert contents(store.read("t", before=newest.next)) == [0, 3]
        assert contents(store.read("t", after=messages[2].position)) == [3, 6, 7]

    @needs(Capability.INSERT)
    def test_pages_neither_skip_nor_repeat_when_messages_come_between(self, store: ChatStore) -> None:
        messages = fill(store, 6)
        first, newest = store.read("t", limit=3), store.read("t", last=3)
        store.insert("t", say("low"), before=messages[0].id)
        store.insert("t", say("high"), after=messages[4].id)
        assert contents(store.read("t", after=first.next)) == [3, 4, "high", 5]
        assert contents(store.read("t", before=newest.next)) == ["low", 0, 1, 2]

    def test_cursors_expire_with_the_history_and_never_end_in_silence(self, store: ChatStore) -> None:
        for replaced in (
            lambda: store.replace_all("t", [say("other")] * 9),
            lambda: store.replace_all("t", []),
            lambda: store.clear("t"),
            lambda: store.delete_thread("t"),
            lambda: (store.delete_thread("t"), fill(store, 6)),
            lambda: (store.clear("t"), fill(store, 6)),
        ):
            store.delete_thread("t")
            fill(store, 6)
            page, newest = store.read("t", limit=2), store.read("t", last=2)
            replaced()
            for cursor in (page.next, page.end, newest.next):
                with pytest.raises(CursorExpired):
                    store.read("t", after=cursor)
                with pytest.raises(CursorExpired):
                    store.read("t", before=cursor)
            with pytest.raises(CursorExpired):
                store.read("t", after=page.next, before=newest.next)

    def test_a_position_holds_no_history_to_its_word(self, store: ChatStore) -> None:
        position = fill(store, 3)[0].position
        store.clear("t")
        assert contents(store.read("t", before=position)) == []
        store.delete_thread("t")
        assert contents(store.read("t", after=position)) == []

    def test_a_cursor_of_another_thread_is_of_no_use(self, store: ChatStore) -> None:
        fill(store, 3)
        cursor = store.read("t", limit=1).next
        store.append("u", say("a"), say("b"))
        for id in ("u", "unknown"):
            with pytest.raises(CursorExpired):
                store.read(id, after=cursor)

    def test_a_growing_history_keeps_its_cursors(self, store: ChatStore) -> None:
        fill(store, 3)
        page = store.read("t", limit=2)
        store.replace_all("t", [say(number) for number in range(5)])
        assert contents(store.read("t", after=page.next)) == [2, 3, 4]

    def test_a_page_may_end_early_by_its_size(self, store: ChatStore) -> None:
        store.append("t", *[say("x" * 1000) for _ in range(5)], say("y" * 5000))
        page = store.read("t", max_bytes=2500)
        assert len(page) == 2
        rest = store.read("t", after=page.next, max_bytes=10**9)
        assert len(rest) == 4
        assert contents(store.read("t", last=6, max_bytes=1)) == ["y" * 5000]
        assert len(store.read("t", before=store.read("t", last=1).next, max_bytes=2500)) == 2

    def test_the_size_of_a_page_is_in_bytes(self, store: ChatStore) -> None:
        store.append("t", *[say("ß" * 500) for _ in range(5)])
        assert len(store.read("t", max_bytes=2500)) == 2

    def test_what_is_not_a_cursor_of_messages_is_refused(self, store: ChatStore) -> None:
        fill(store, 3)
        cursor = store.read("t", limit=1).next
        assert cursor is not None
        for nonsense in (
            "",
            " ",
            "~",
            "~1",
            "a~",
            f"{cursor} ",
            f" {cursor}",
            "\u0661",
            "a~b~c",
            "'",
            "\0",
            "x" * 9999,
        ):
            with pytest.raises(InvalidCursor):
                store.read("t", after=nonsense)
            with pytest.raises(InvalidCursor):
                store.read("t", before=nonsense)

    def test_last_stands_alone(self, store: ChatStore) -> None:
        position = fill(store, 3)[0].position
        for given in ({"after": position}, {"before": position}, {"limit": 3}):
            others: dict[str, Any] = given
            with pytest.raises(InvalidArgument):
                store.read("t", last=1, **others)
