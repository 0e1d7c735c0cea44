"""What the SQLite backend keeps within its bounds: pages, windows, leases and what they end with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

import chatstore
from chatstore.engines.sql import listing
from chatstore.models import Erased
from chatstore.testing import ManualClock

HELLO = {"role": "user", "content": "hello"}
HOUR = timedelta(hours=1)


def contents(store: chatstore.ChatStore) -> list[object]:
    return [message.content for message in store.iter_messages("t")]


def test_a_filter_goes_on_behind_the_rows_that_one_page_looks_through(
    store: chatstore.ChatStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "EXAMINED", 3)
    for number in range(9):
        store.create_thread(f"t{number}", metadata={"wanted": number in (0, 8)})
        clock.advance(HOUR)
    assert [thread.id for thread in store.iter_threads(metadata={"wanted": True})] == ["t8", "t0"]


def test_an_id_past_its_window_is_a_new_one_before_any_sweep(
    store: chatstore.ChatStore, clock: ManualClock
) -> None:
    store.append("t", HELLO, request_id="r")
    clock.advance(store.backend.request_window)
    other = {"role": "user", "content": "another"}
    first = store.append("t", other, request_id="r")
    assert store.append("t", other, request_id="r") == first
    assert contents(store) == ["hello", "another"]


def test_an_owners_request_about_no_thread_is_erased_with_the_owner(store: chatstore.ChatStore) -> None:
    assert not store.for_owner("ada").delete_thread("none", request_id="r").existed
    assert store.erase("bob") == Erased(0, 0, 0)
    assert store.erase("ada") == Erased(threads=0, messages=0, requests=1)


def test_sliding_expiry_moves_only_once_less_than_its_time_is_left(
    store: chatstore.ChatStore, clock: ManualClock
) -> None:
    store.append("t", HELLO, ttl=8 * HOUR, sliding=True)
    clock.advance(HOUR)
    store.append("t", HELLO)
    moved = store.get_thread("t").expires_at
    assert moved == clock.now + 9 * HOUR
    clock.advance(HOUR)
    store.append("t", HELLO)
    assert store.get_thread("t").expires_at == moved


@pytest.mark.parametrize("kind", ["chat", "plan", "memo"])
def test_threads_are_counted_by_kind(store: chatstore.ChatStore, kind: str) -> None:
    for each, count in (("chat", 1), ("plan", 2), ("memo", 3)):
        for number in range(count):
            store.create_thread(f"{each}{number}", kind=each)
    assert store.count_threads(kind=kind) == {"chat": 1, "plan": 2, "memo": 3}[kind]


def test_a_thread_restored_without_an_end_gets_none(store: chatstore.ChatStore) -> None:
    store.create_thread("made", ttl=HOUR, sliding=True)
    store.restore(replace(store.get_thread("made"), id="t", expires_at=None), [])
    store.append("t", HELLO)
    assert store.get_thread("t").expires_at is None


def test_a_page_is_full_whatever_comes_before_it_in_the_index(
    store: chatstore.ChatStore, clock: ManualClock
) -> None:
    def add(id: str, **properties: str) -> chatstore.Thread:
        clock.advance(HOUR)
        return store.create_thread(id, **properties)  # type: ignore[arg-type]  # whatever is named

    first = add("first")
    add("other")
    add("memo", kind="memo")
    clock.advance(HOUR)
    copy = store.fork("first", "copy", topic="a copy")
    add("plan", kind="plan")
    add("late")
    for id in ("other", "memo"):
        clock.advance(HOUR)
        store.append(id, HELLO)
    since = store.get_thread("other").active_at
    for wanted, options in (
        ("first", {"active_before": first.active_at + HOUR}),
        ("first", {"created_before": first.created_at + HOUR}),
        ("other", {"active_since": since, "oldest_first": True}),
        ("late", {"created_since": copy.created_at + HOUR}),
        ("plan", {"kind": "plan"}),
        ("copy", {"topic_prefix": "a c"}),
        ("copy", {"forked_from": "first"}),
    ):
        assert [thread.id for thread in store.list_threads(limit=1, **options)] == [wanted], options


def test_an_id_that_is_there_is_not_restored_again(store: chatstore.ChatStore) -> None:
    [message] = store.append("t", HELLO).messages
    with pytest.raises(chatstore.InvalidArgument):
        store.restore(store.get_thread("t"), [replace(message, position=None)], if_match=store.read("t").etag)
    assert contents(store) == ["hello"]
