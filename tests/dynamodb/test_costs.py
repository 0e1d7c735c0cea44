"""What every operation costs, exactly: units by the vendor's rules, and round trips."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore.blocking import run
from chatstore.contract import Backend
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.urls import open_backend
from tests.costs import clock_in_an_hour
from tests.dynamodb.servers import url_for

HOURS = 250

SAY = {"role": "user", "content": "x" * 400}
ANSWER = {"role": "assistant", "content": "y" * 400}


@pytest.fixture
def clock() -> ManualClock:
    return clock_in_an_hour()


@pytest.fixture
def opened(moto: str, clock: ManualClock, tmp_path: Path) -> Any:
    def opened(**options: str) -> ChatStore:
        backend: Backend = open_backend(url_for(moto, tmp_path, **options), blocking=True, clock=clock)
        return ChatStore(backend)

    return opened


@pytest.fixture
def store(opened: Any) -> ChatStore:
    """A store whose process knows the thread ``t``: four turns of two messages, of one minute."""
    store: ChatStore = opened()
    for _ in range(4):
        store.append("t", SAY, ANSWER, owner="ada")
    return store


def cost(result: Any) -> tuple[float, float, int]:
    found = result.cost
    assert found.backend == "dynamodb"
    return found.units["wru"], found.units["rru"], found.trips


def test_append(store: ChatStore, opened: Any, clock: ManualClock) -> None:
    assert cost(store.append("t", SAY)) == (1, 0, 1)
    assert cost(store.append("t", SAY, ANSWER)) == (1, 0, 1)
    assert cost(store.append("t", SAY, request_id=chatstore.uuid7(clock() // 1000))) == (1, 0, 1)
    assert cost(opened().append("t", SAY)) == (1, 1, 2)
    # Another process took the slot: the try that failed is billed too, and tells enough for the next one.
    assert cost(store.append("t", SAY)) == (2, 0, 2)


def test_append_of_a_new_minute_and_of_a_new_hour(store: ChatStore, clock: ManualClock) -> None:
    clock.advance(timedelta(minutes=2))
    assert cost(store.append("t", SAY)) == (2, 0, 2)
    assert cost(store.append("t", SAY)) == (1, 0, 1)
    clock.advance(timedelta(hours=2))
    # Too long ago to be relied on, so it is read again; the thread is listed in another hour.
    assert cost(store.append("t", SAY)) == (4, 1, 4)
    clock.advance(timedelta(hours=2))
    # From the third hour on, it is taken off the list of the hour before the last.
    assert cost(store.append("t", SAY)) == (5, 1, 4)


def test_a_new_thread(store: ChatStore) -> None:
    assert cost(store.append("new", SAY)) == (4, 1, 4)
    assert cost(store.create_thread("made")) == (4, 1, 4)


@pytest.mark.parametrize("length", [10, 300])
def test_append_and_the_last_ones_at_any_length(store: ChatStore, opened: Any, length: int) -> None:
    store.replace_all("long", [SAY] * length, create=True)
    assert cost(opened().append("long", SAY)) == (1, 1, 2)
    store.append("long", SAY)
    assert cost(store.append("long", SAY)) == (1, 0, 1)
    assert cost(store.read("long", last=1)) == (0, 1, 1)


def test_reading(store: ChatStore, opened: Any) -> None:
    assert cost(store.read("t", last=8)) == (0, 1, 1)
    assert cost(store.get_thread("t")) == (0, 1, 1)
    assert cost(store.read("t", limit=8)) == (0, 2, 2)
    assert cost(store.read("never")) == (0, 1, 1)
    eventual = opened(reads="eventual")
    assert cost(eventual.read("t", last=8)) == (0, 0.5, 1)
    assert cost(eventual.read("t", limit=8)) == (0, 1.5, 2)
    message = store.read("t", last=1).items[0]
    assert cost(store.get_message("t", message.id or "")) == (0, 2, 2)


def test_edits(store: ChatStore) -> None:
    [first, second, *_] = store.read("t").items
    # The first that leaves something to tidy up in a day notes when to do so.
    assert cost(store.replace_message("t", second.id or "", SAY)) == (4, 1, 4)
    assert cost(store.replace_message("t", second.id or "", SAY)) == (2, 1, 3)
    assert cost(store.insert("t", SAY, before=second.id)) == (2, 1, 3)
    assert cost(store.delete_message("t", first.id)) == (2, 1, 3)
    popped = store.pop("t")
    assert popped is not None
    assert cost(popped) == (2, 1, 3)
    assert cost(store.update_thread("t", topic="x")) == (2, 0, 2)


def test_truncating(store: ChatStore, opened: Any) -> None:
    store.replace_all("long", [SAY] * 300, create=True)
    long = [message.id or "" for message in store.iter_messages("long")]
    # The first that leaves something to tidy up in a day notes when to do so.
    first = store.read("t", last=8).items
    assert cost(store.truncate("t", after=first[5].id)) == (3, 1, 3)
    assert cost(store.append("t", SAY, after=first[3].id)) == (1, 1, 2)
    assert cost(store.append("t", SAY)) == (1, 0, 1)
    assert cost(store.truncate("t", from_=first[3].id)) == (1, 1, 2)
    assert cost(store.truncate("long", after=long[280]))[0] <= 2
    assert cost(store.truncate("long", after=long[3]))[0] == 1
    assert cost(opened().append("long", SAY)) == (1, 1, 2)
    # A page that begins behind a cut and ends in front of it is read in pieces, and compared.
    assert cost(store.read("long", last=1)) == (0, 4, 4)
    store.append("long", SAY)
    assert cost(store.read("long", last=1)) == (0, 1, 1)


def test_properties_with_a_turn(store: ChatStore) -> None:
    etag = store.get_thread("t").etag
    added = store.append("t", SAY, patch={"topic": "x"}, if_thread=etag)
    assert cost(added) == (2, 0, 2)
    assert cost(store.append("t", SAY, if_thread=added.thread_etag)) == (1, 0, 1)


def test_what_is_kept_beside_a_message(store: ChatStore) -> None:
    added = store.append("t", SAY, metadata={"state": "partial"})
    [message] = added.messages
    assert cost(added) == (1, 0, 1)
    store.update_message("t", message.id or "", metadata={"state": "done"})
    assert cost(store.update_message("t", message.id or "", metadata={"rating": 1})) == (2, 1, 3)


@pytest.mark.parametrize("length", [8, 300])
def test_keys_at_any_length(store: ChatStore, opened: Any, length: int) -> None:
    store.replace_all("long", [SAY] * length, create=True, key=[f"k{n}" for n in range(length)])
    # A claim more, and nothing is read for it.
    assert cost(store.append("long", SAY, key="k")) == (2, 0, 2)
    assert cost(store.append("long", SAY, ANSWER, key=["l", "m"])) == (3, 0, 3)
    assert cost(opened().append("long", SAY, key="n")) == (2, 1, 3)
    for name in ("key:k0", "key:k"):
        assert cost(store.get_message("long", name)) == (0, 3, 3)
    assert cost(store.get_message("long", "key:n")) == (0, 2, 2)
    store.replace_message("long", "key:k", SAY)
    assert cost(store.replace_message("long", "key:k", SAY)) == (2, 2, 4)
    assert cost(store.update_message("long", "key:k", metadata={"rating": 1})) == (2, 2, 4)
    assert cost(store.delete_message("long", "key:k")) == (2, 2, 4)
    # The claim that is there leads to nothing: it is looked into, and taken over.
    assert cost(store.append("long", SAY, key="k")) == (3, 1, 4)
    with pytest.raises(chatstore.MessageExists):
        store.append("long", SAY, key="k0")
    store.append("long", SAY)
    assert cost(store.truncate("long", after="key:m"))[:2] == (1, 2)


def test_pages_that_begin_at_a_message(store: ChatStore) -> None:
    store.append("t", SAY, key="k")
    store.append("t", SAY)
    ids = [message.id for message in store.read("t").items]
    # What a cursor costs.
    assert cost(store.read("t", after=ids[3])) == (0, 2, 2)
    assert cost(store.read("t", before=ids[3])) == (0, 2, 2)
    # A message at which the page ends is looked up before, and so is a key; then it is asked again whether
    # all is as it was.
    assert cost(store.read("t", after=ids[3], before=ids[5])) == (0, 4, 4)
    assert cost(store.read("t", after="key:k")) == (0, 5, 5)


def test_expiry_that_slides(store: ChatStore, clock: ManualClock) -> None:
    store.append("s", SAY, ttl=8 * 3600, sliding=True)
    clock.advance(timedelta(seconds=1))
    assert cost(store.append("s", SAY)) == (2, 0, 2)
    assert cost(store.append("s", SAY)) == (1, 0, 1)


def test_replacing(store: ChatStore) -> None:
    history = [message.to_dict() for message in store.iter_messages("t")]
    assert cost(store.replace_all("t", [*history, SAY])) == (1, 0, 1)
    assert cost(store.replace_all("t", [*history, SAY])) == (0, 1, 1)
    assert cost(store.replace_all("t", [ANSWER])) == (5, 0, 4)
    assert cost(store.clear("t")) == (2, 1, 3)
    assert cost(store.delete_thread("t")) == (2, 1, 3)


def test_a_fork(store: ChatStore) -> None:
    assert cost(store.fork("t", "copy")) == (10, 3, 8)


def test_a_page_of_an_owners_threads(store: ChatStore) -> None:
    for number in range(10, 70):
        store.append(f"t{number}", SAY, owner="bob")
    # One thread more than the page has says that there is another page. The list itself takes 4 KB.
    page = store.list_threads(owner="bob", limit=20)
    assert (len(page), cost(page)) == (20, (0, 1 + 21, 2))
    assert page.next is not None
    page = store.list_threads(owner="bob", limit=60)
    assert (len(page), cost(page)) == (60, (0, 1 + 60, 2))
    # Where some are gone, only what is missing of a page is looked at, and little more.
    for number in range(60, 70):
        store.delete_thread(f"t{number}")
    page = store.list_threads(owner="bob", limit=20)
    assert (len(page), cost(page)) == (20, (0, 1 + 21 + 20, 3))
    # What is searched by its metadata takes few trips.
    page = store.list_threads(owner="bob", limit=2, metadata={"no": "such"})
    assert (len(page), cost(page)) == (0, (0, 1 + 60, 6))


def test_a_message_that_expires(store: ChatStore) -> None:
    assert cost(store.append("t", SAY, expires_in=3600)) == (3, 0, 2)
    assert cost(store.append("t", SAY, expires_in=3600)) == (1, 0, 1)


def test_the_visits_to_an_expired_thread_of_ten_turns(opened: Any, clock: ManualClock) -> None:
    store: ChatStore = opened()
    for _ in range(10):
        store.append("t", SAY, ANSWER, owner="ada", ttl=timedelta(days=7))
    clock.advance(timedelta(hours=3))
    store.sweep()
    visits = []
    for wait in (timedelta(days=7), timedelta(hours=25), timedelta(hours=1)):
        clock.advance(wait)
        whole, nothing = cost(store.sweep()), cost(store.sweep())
        visits.append(tuple(one - other for one, other in zip(whole, nothing, strict=True)))
    # All but 21 of the trips are shared with other visits of a step. Fifteen of those remove one row each,
    # on the condition that it is what was read.
    assert visits == [(6, 2, 7), (21, 3, 21), (2, 2, 3)]
    clock.advance(timedelta(hours=3))
    store.sweep()
    clock.advance(timedelta(hours=3))
    assert cost(store.sweep()) == (0, 6, 6)


def test_visits_share_what_notes_the_next_ones(opened: Any, clock: ManualClock) -> None:
    store: ChatStore = opened()
    for number in range(25):
        store.append(f"t{number}", SAY, ttl=timedelta(days=7))
    clock.advance(timedelta(hours=3))
    store.sweep()
    clock.advance(timedelta(days=7))
    whole, nothing = cost(store.sweep(limit=25)), cost(store.sweep(limit=25))
    # A look, a slot and a header for each. For all of them what lists them, notes the next visits in two
    # calls, takes these off, and their hour, which is over.
    assert whole[2] - nothing[2] == 3 * 25 + 5


def test_a_turn_of_real_size_is_one_compressed_item(store: ChatStore) -> None:
    prose = " ".join(f"sentence {number} of something that somebody said about it" for number in range(45))
    turn = {"role": "user", "content": prose[:600]}, {"role": "assistant", "content": prose}
    assert sum(len(json.dumps(message)) for message in turn) > 3000
    assert cost(store.append("t", *turn)) == (1, 0, 1)


def test_large_messages_are_billed_by_their_size(store: ChatStore) -> None:
    appended = store.append("t", {"role": "user", "content": letters(100_000)})
    assert cost(appended)[1:] == (0, 1)
    # What three quarters of the bytes hold cannot be said in much less.
    assert 73 <= cost(appended)[0] <= 78


def conversation(store: ChatStore) -> Iterator[tuple[float, float, int]]:
    """What it costs to write to a thread, read it, edit it, and end it."""
    # The server counts nothing where nothing is found; the service counts a unit.
    store.append("t", SAY, ANSWER, owner="ada")
    for size in (10, 900, 1100, 5000, 70_000):
        yield cost(store.append("t", {"role": "user", "content": letters(size)}, key=f"k{size}"))
    ids = [message.id or "" for message in store.read("t").items]
    yield cost(store.read("t", last=4))
    yield cost(store.read("t", limit=2))
    yield cost(store.get_message("t", ids[-1]))
    yield cost(store.get_message("t", "key:k900"))
    for _ in range(2):
        yield cost(store.replace_message("t", ids[0], SAY))
    with pytest.raises(chatstore.Conflict):
        store.replace_message("t", ids[0], SAY, if_match="other")
    yield cost(store.insert("t", SAY, before=ids[1]))
    yield cost(store.update_thread("t", topic="x"))
    yield cost(store.list_threads(owner="ada"))
    yield cost(store.list_threads())
    yield cost(store.replace_all("t", [ANSWER] * 3))
    yield cost(store.delete_thread("t"))


def letters(size: int) -> str:
    """Text that hardly gets shorter."""
    few = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"
    return "".join(random.Random(size).choices(few, k=size))


@pytest.fixture
def billing(dynalite: str, clock: ManualClock, tmp_path: Path) -> ChatStore:
    """A store on a server that counts, and that does not look like an emulator's: at a name for 127.0.0.1."""
    url = url_for(dynalite.replace("127.0.0.1", "127.1"), tmp_path, transactions="off")
    backend = open_backend(url, blocking=True, clock=clock)
    run(backend.prepare())
    return ChatStore(backend)


def test_what_is_worked_out_is_what_a_server_counts(
    billing: ChatStore, dynalite: str, clock: ManualClock, tmp_path: Path
) -> None:
    url = url_for(dynalite, tmp_path / "local", transactions="off")
    local = ChatStore(open_backend(url, blocking=True, clock=clock))
    assert [*conversation(billing)] == [*conversation(local)]


def test_what_the_service_says_counts(billing: ChatStore, clock: ManualClock) -> None:
    billing.append("t", {"role": "user", "content": letters(70_000)}, ttl=3600)
    units = 0.0
    for _ in range(3):
        clock.advance(timedelta(days=2))
        units += sum(cost(billing.sweep())[0] for _ in range(2))
    # Nothing but the answers tells how large it was what the sweeps removed.
    assert units > 60


def test_a_list_passes_by_the_hours_that_threads_have_left(opened: Any, clock: ManualClock) -> None:
    store: ChatStore = opened()
    store.append("old", SAY)
    store.append("new", SAY)
    for _ in range(HOURS):
        clock.advance(timedelta(hours=1))
        store.append("new", SAY)
    pages = [store.list_threads()]
    while pages[-1].next is not None:
        pages.append(store.list_threads(cursor=pages[-1].next))
    # However long ago, a page is a bounded piece of work, and the next one goes on from there.
    assert [thread.id for page in pages for thread in page.items] == ["new", "old"]
    assert len(pages) == 2
    assert max(cost(page)[2] for page in pages) < 2 * HOURS
    # Somebody has looked now: the hours that are over and empty are gone.
    again = store.list_threads()
    assert [thread.id for thread in again.items] == ["new", "old"]
    assert cost(again)[2] <= 8
