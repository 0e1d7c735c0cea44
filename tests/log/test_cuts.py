"""Cuts in the table itself: what they leave of a history, what its sums say, and what is asked for then."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import chatstore
from chatstore.blocking import run
from chatstore.engines.log import Rows
from chatstore.engines.log.head import look
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say, whole
from tests.log.doubles import Noting, Sleeping
from tests.log.kept import LATER, Kept
from tests.log.memory_table import LogInMemory, MemoryTable


class Refusing(MemoryTable):
    """Takes no range that is turned round, as many storages do."""

    async def query(self, pk: str, low: str, high: str, **more: Any) -> Rows:
        assert low <= high
        return await super().query(pk, low, high, **more)


@pytest.fixture
def store() -> ChatStore:
    return ChatStore(LogInMemory(Refusing(page=3), ManualClock()))


def ids(store: ChatStore) -> list[str]:
    return [message.id or "" for message in whole(store, "t")]


def test_answers_that_are_given_again_and_again_take_one_range(kept: Kept) -> None:
    question = kept.store.append("t", say("question")).messages[0].id
    for number in range(5):
        kept.store.append("t", say(f"answer {number}"), after=question)
    assert len(run(look(kept.table, "T#default#t")).totals.cuts) == 1
    kept.store.truncate("t", from_=ids(kept.store)[-1])
    assert len(run(look(kept.table, "T#default#t")).totals.cuts) == 1
    kept.store.append("t", say("more"), say("and more"))
    kept.store.truncate("t", from_=ids(kept.store)[-1])
    assert len(run(look(kept.table, "T#default#t")).totals.cuts) == 2
    kept.store.truncate("t", after=question)
    assert len(run(look(kept.table, "T#default#t")).totals.cuts) == 1


def test_what_is_inserted_behind_a_cut_is_there(store: ChatStore) -> None:
    store.append("t", say("a"))
    store.append("t", say("b"))
    store.append("t", say("d"), after=ids(store)[0])
    for content in "bc":
        store.insert("t", say(content), before=ids(store)[-1])
    assert contents(whole(store, "t")) == ["a", "b", "c", "d"]


def test_pages_before_and_behind_cuts_ask_for_no_range_that_is_turned_round(store: ChatStore) -> None:
    texts: list[str] = []
    for number in range(4):
        store.append("t", *(say(f"{number} {place}") for place in range(5)))
        store.append("t", say("cut"))
        store.truncate("t", from_=ids(store)[-3])
        texts += [f"{number} {place}" for place in range(3)]
    there = ids(store)
    assert contents(whole(store, "t")) == texts
    for place, id in enumerate(there):
        assert contents(store.read("t", after=id, limit=1000)) == texts[place + 1 :]
        assert contents(store.read("t", before=id, limit=1000)) == texts[:place]
        assert contents(store.read("t", before=id, limit=2)) == texts[max(0, place - 2) : place]


@pytest.mark.parametrize("begun", ["turn by turn", "at once"])
@pytest.mark.parametrize("edited", [False, True])
def test_what_is_counted_after_a_cut_is_there(store: ChatStore, begun: str, edited: bool) -> None:
    turn = [say(number) for number in range(40)]
    if begun == "at once":
        store.append("t", say("before"))
        store.replace_all("t", turn)
    else:
        for message in turn:
            store.append("t", message)
    if edited:
        store.delete_message("t", ids(store)[1])
    left = list(range(40))
    left = [0, *left[2:5]] if edited else left[:4]
    store.truncate("t", after=ids(store)[3])
    store.append("t", say("last"))
    [thread] = store.list_threads(preview=True)
    assert thread.message_count == 5
    assert store.delete_message("t", index=3).content == left[3]
    assert store.delete_message("t", index=-2).content == left[2]
    assert contents(whole(store, "t")) == [*left[:2], "last"]


def test_a_key_that_stays_is_taken_and_one_that_is_cut_is_not(kept: Kept) -> None:
    store = kept.store
    for name in ("one", "two"):
        store.append("t", say(name), key=name)
    one, _ = ids(store)
    with pytest.raises(chatstore.MessageExists):
        store.append("t", say("again"), key="one", after=one)
    store.append("t", say("again"), key="two", after=one)
    assert contents(whole(store, "t")) == ["one", "again"]


def test_an_edit_of_what_was_cut_goes_with_it(kept: Kept) -> None:
    for number in range(3):
        kept.store.append("t", say(number))
    kept.store.replace_message("t", ids(kept.store)[1], say("edited"))
    kept.store.truncate("t", after=ids(kept.store)[0])
    for _ in range(2):
        kept.clock.advance(LATER)
        kept.swept()
    assert "edited" not in kept.text()
    # What stays, and the slot that cut.
    assert len([sk for sk in kept.table.rows["T#default#t"] if sk.startswith("E")]) == 2


AWAY: dict[str, Callable[[ChatStore], object]] = {
    "truncate": lambda store: store.truncate("t", from_=ids(store)[0]),
    "replace_all": lambda store: store.replace_all("t", []),
    "clear": lambda store: store.clear("t"),
    "pop": lambda store: store.pop("t"),
}


@pytest.mark.parametrize("way", AWAY)
def test_what_takes_messages_away_renews_no_thread(kept: Kept, way: str) -> None:
    kept.store.append("t", say("a"), ttl=timedelta(hours=1), sliding=True)
    before = kept.store.get_thread("t")
    kept.clock.advance(timedelta(minutes=5))
    AWAY[way](kept.store)
    after = kept.store.get_thread("t")
    assert (after.expires_at, after.active_at) == (before.expires_at, before.active_at)
    assert not ids(kept.store)


def test_after_a_cut_as_much_is_asked_for_as_before() -> None:
    table = Noting()
    store = ChatStore(LogInMemory(table, ManualClock()))
    for number in range(120):
        store.append("t", say(number))
    early = ids(store)[3]

    def calls() -> tuple[list[str], list[str]]:
        count = len(ids(store))
        table.calls.clear()
        assert store.list_threads(preview=True).items[0].message_count == count
        listing = list(table.calls)
        table.calls.clear()
        store.read("t", before=early, limit=2)
        return listing, list(table.calls)

    before = calls()
    store.truncate("t", after=ids(store)[100])
    store.append("t", say("last"))
    assert calls() == before


@pytest.mark.parametrize("begun", [True, False], ids=["from the first", "anew"])
def test_what_a_sweep_takes_of_a_cut_is_what_was_cut_and_not_too_early(kept: Kept, begun: bool) -> None:
    """Each sweep is one for a message that expires. The cut lies within a turn."""
    store = kept.store
    if not begun:
        store.append("t", say("before"))
        store.clear("t")
    first, *_ = store.append("t", say("stays"), say("goes"), say("goes, too")).messages
    asked = store.append("t", say("asked once"), request_id="r")
    store.append("t", say("brief"), expires_in=60)
    store.truncate("t", after=first.id)
    kept.clock.advance(timedelta(minutes=5))
    kept.swept()
    again = store.append("t", say("asked once"), request_id="r")
    assert again.messages[0].id == asked.messages[0].id
    assert contents(whole(store, "t")) == ["stays"]
    for _ in range(3):
        kept.clock.advance(LATER)
        kept.swept()
    assert contents(whole(store, "t")) == ["stays"]
    assert not any(content in kept.text() for content in ("goes", "asked", "brief"))


def test_a_sweep_that_slept_takes_nothing_of_a_thread_that_took_the_place(kept: Kept) -> None:
    """It takes what was cut away. When it wakes, another thread has rows of the same names."""

    def meanwhile() -> None:
        kept.store.delete_thread("t")
        for _ in range(3):
            kept.clock.advance(LATER)
            kept.swept()
        assert not kept.rows()
        for content in ("another", "and more"):
            kept.store.append("t", say(content))

    kept.store.append("t", say("stays"))
    kept.store.append("t", say("goes"))
    kept.store.truncate("t", after=ids(kept.store)[0])
    kept.clock.advance(LATER)
    table = Sleeping(kept.table, meanwhile)
    with contextlib.suppress(chatstore.Unavailable):
        ChatStore(LogInMemory(table, kept.clock)).sweep()
    assert table.slept
    assert contents(whole(kept.store, "t")) == ["another", "and more"]
