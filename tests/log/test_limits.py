"""What does not fit into a row is refused with what to change, or kept in rows of its own."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import chatstore
from chatstore import position
from chatstore.backends.dynamodb.meter import size_of
from chatstore.engines.log import Row, staging
from chatstore.errors import StorageError
from chatstore.models import Message
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.log.memory_table import LogInMemory, MemoryTable

LARGEST = 400 * 1024
KINDS = {str: "S", int: "N", bytes: "B"}


def test_properties_that_no_row_holds_are_refused_and_nothing_is_left() -> None:
    table = MemoryTable()
    store = ChatStore(LogInMemory(table, ManualClock()))
    people = [{"id": f"p{n}", "metadata": {"noise": secrets.token_hex(20_000)}} for n in range(10)]
    with pytest.raises(chatstore.InvalidArgument, match="keep the rest elsewhere"):
        store.create_thread("t", participants=people)
    with pytest.raises(chatstore.ThreadNotFound):
        store.get_thread("t")
    store.create_thread("t", participants=people[:3])
    with pytest.raises(chatstore.InvalidArgument, match="keep the rest elsewhere"):
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


class StrictTable(MemoryTable):
    """Refuses what DynamoDB finds too large, or what is larger than `most`."""

    most = LARGEST

    def _put(self, row: Row) -> None:
        item = {name: {KINDS[type(value)]: self._sent(value)} for name, value in row.items()}
        if size_of(item) > self.most:
            raise StorageError("the row is too large")
        super()._put(row)

    @staticmethod
    def _sent(value: str | int | bytes) -> str | bytes:
        return str(value) if isinstance(value, int) else value


def noise(size: int) -> str:
    """Text of that many bytes, of which compression saves a quarter."""
    return "".join(random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=size))


def replaced(store: ChatStore, told: list[str]) -> None:
    """Every message of a turn becomes a large one."""
    for index, message in enumerate(store.read("t").items):
        told[index] = noise(150_000)
        edited = store.replace_message("t", message.id or "", {"role": "user", "content": told[index]})
        assert (edited.id, edited.content) == (message.id, told[index])


def inserted(count: int, size: int) -> Callable[[ChatStore, list[str]], None]:
    def insert(store: ChatStore, told: list[str]) -> None:
        """So many come between the first two of a turn."""
        following = store.read("t").items[1].id or ""
        for _ in range(count):
            told.insert(-(TURN - 1), noise(size))
            store.insert("t", {"role": "user", "content": told[-TURN]}, before=following)

    return insert


TURN = 6

EDITS: dict[str, Callable[[ChatStore, list[str]], None]] = {
    "replaced by large ones": replaced,
    "large ones inserted": inserted(9, 150_000),
    "small ones inserted": inserted(200, 4_000),
}


@pytest.mark.parametrize("edits", EDITS)
def test_a_row_takes_edits_without_end(edits: str) -> None:
    clock = ManualClock()
    store = ChatStore(LogInMemory(StrictTable(), clock))
    told = [f"{number}" for number in range(TURN)]
    store.append("t", *({"role": "user", "content": text} for text in told))
    EDITS[edits](store, told)
    is_as_good_as_any(store, clock, told)


def test_a_row_takes_any_number_of_messages_that_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows are small, so that it takes hundreds to fill one and not ten thousand."""
    table, clock = StrictTable(), ManualClock()
    table.most = 8_000
    monkeypatch.setattr(staging, "MOST_STORED", table.most - 500)
    store = ChatStore(LogInMemory(table, clock))
    told = [f"{number}" for number in range(TURN)]
    store.append("t", *({"role": "user", "content": text} for text in told))
    for number in range(500):
        index = random.randrange(1, len(told))
        told.insert(index, f"{number}")
        store.insert("t", {"role": "user", "content": told[index]}, index=index)
    is_as_good_as_any(store, clock, told)


def is_as_good_as_any(store: ChatStore, clock: ManualClock, told: list[str]) -> None:
    """The thread has those messages, and all that can be done to a thread can be done to it."""
    assert [message.content for message in store.iter_messages("t")] == told
    clock.advance(timedelta(hours=26))
    assert not store.sweep().more
    assert [message.content for message in store.iter_messages("t")] == told
    store.append("t", {"role": "user", "content": "more"})
    assert [message.content for message in store.iter_messages("t")] == [*told, "more"]
    store.clear("t")
    assert not store.read("t").items
    assert store.delete_thread("t").existed
    clock.advance(timedelta(hours=26))
    assert not store.sweep().more
    assert store.read("t").etag is None


def grow(store: ChatStore, ids: list[str], said: str, **more: Any) -> Message:
    """A message's metadata becomes larger than its row takes."""
    return store.update_message("t", ids[1], metadata={"said": said[:3_000]}, **more)


def rewrite(store: ChatStore, ids: list[str], said: str, **more: Any) -> Message:
    """A message that its row does not take comes in place of another."""
    message = {"role": "user", "content": said}
    return store.replace_message("t", ids[1], message, metadata={"said": said[:3_000]}, **more)


def crowd(store: ChatStore, ids: list[str], said: str, **more: Any) -> Message:
    """A message comes between two that its row does not take beside them, and expires when they do."""
    message, metadata = {"role": "user", "content": said}, {"said": said[:3_000]}
    lives = timedelta(hours=1)
    return store.insert("t", message, before=ids[1], metadata=metadata, expires_in=lives, **more)


ANEW = {"grow": grow, "rewrite": rewrite, "crowd": crowd}


@pytest.mark.parametrize("size", [3_000, 600_000])
@pytest.mark.parametrize("way", ANEW)
def test_a_history_whose_row_takes_no_more_is_numbered_anew(
    monkeypatch: pytest.MonkeyPatch, way: str, size: int
) -> None:
    monkeypatch.setattr(staging, "MOST_STORED", 1_500)
    table, clock, edit = StrictTable(), ManualClock(), ANEW[way]
    store = ChatStore(LogInMemory(table, clock))
    hour, said = timedelta(hours=1), noise(size)
    text = "large " * 50_000 if size > 200_000 else "small"
    turn = [{"role": "user", "content": content} for content in ("first", text, "last")]
    expires_in = None if way == "crowd" else [None, None, hour * 2]
    ids = [one.id or "" for one in store.append("t", *turn, expires_in=expires_in).messages]
    store.update_thread("t", ttl=hour * 3, sliding=True)
    clock.advance(hour)
    expires_at, before = store.get_thread("t").expires_at, list(store.iter_messages("t"))
    edited = edit(store, ids, said, request_id="r")
    assert edit(ChatStore(LogInMemory(table, clock)), ids, said, request_id="r") == edited
    after = list(store.iter_messages("t"))
    assert [one.position for one in after] == [f"{number:010}" for number in range(1, len(after) + 1)]
    assert after[1] == edited == store.get_message("t", edited.id or "")
    assert edited.content == (text if way == "grow" else said)
    kept = before if way == "crowd" else [before[0], before[2]]
    others = [one for one in after if one != edited]
    assert [(one.id, one.text) for one in others] == [(one.id, one.text) for one in kept]
    # A message that comes renews the thread's time; one that changes does not.
    assert (store.get_thread("t").expires_at != expires_at) == (way == "crowd")
    clock.advance(hour)
    [listed] = store.list_threads(preview=True)
    assert listed.message_count == len(list(store.iter_messages("t"))) == len(after) - 1
    # What a sweep removes is counted once: the history before, and the thread as it ends.
    removed = 0
    for _ in range(4):
        clock.advance(26 * hour)
        removed += store.sweep().messages
    assert removed == len(before) + len(after)


def test_a_text_that_is_kept_apart_leaves_its_row_where_it_is() -> None:
    clock = ManualClock()
    store = ChatStore(LogInMemory(StrictTable(), clock))
    turn = [{"role": "user", "content": f"{number}"} for number in range(3)]
    before = store.append("t", *turn, ttl=timedelta(hours=1), sliding=True).messages
    expires_at = store.get_thread("t").expires_at
    clock.advance(timedelta(minutes=5))
    said = noise(600_000)
    edited = store.replace_message("t", before[1].id or "", {"role": "user", "content": said})
    after = store.read("t").items
    assert [one.position for one in after] == [one.position for one in before]
    assert after[1].content == edited.content == said
    assert store.get_thread("t").expires_at == expires_at


def test_a_text_that_its_row_does_not_take_beside_the_others_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be inline, were there not what is beside the others."""
    table = StrictTable()
    table.most = 2_200
    monkeypatch.setattr(staging, "MOST_STORED", 2_000)
    store = ChatStore(LogInMemory(table, ManualClock()))
    turn = [{"role": "user", "content": f"{number}"} for number in range(2)]
    ids = [one.id or "" for one in store.append("t", *turn, metadata=[{}, {"n": noise(1_200)}]).messages]
    said = noise(1_600)
    store.replace_message("t", ids[0], {"role": "user", "content": said})
    store.append("t", {"role": "user", "content": "2"})
    assert [message.content for message in store.read("t")] == [said, "1", "2"]


def test_positions_stay_short_where_many_are_inserted_at_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "_CROWDED", 14)
    store = ChatStore(LogInMemory(MemoryTable(), ManualClock()))
    last = store.append("t", {"role": "user", "content": "last"}).messages[0].id or ""
    for number in range(60):
        store.insert("t", {"role": "user", "content": f"{number}"}, before=last)
    messages = list(store.iter_messages("t"))
    assert [message.content for message in messages] == [*map(str, range(60)), "last"]
    assert max(len(message.position or "") for message in messages) <= 14


def test_properties_that_take_too_much_although_compressed_are_refused_and_leave_no_trace() -> None:
    store = ChatStore(LogInMemory(MemoryTable(), ManualClock()))
    store.append("t", say("a"))
    people = [{"id": f"p{n}", "metadata": {"noise": secrets.token_urlsafe(21_000)}} for n in range(8)]
    with pytest.raises(chatstore.InvalidArgument, match="properties take at most"):
        store.create_thread("new", participants=people)
    with pytest.raises(chatstore.InvalidArgument, match="properties take at most"):
        store.append("new", say("a"), participants=people)
    with pytest.raises(chatstore.InvalidArgument, match="keep fewer participants, or less metadata"):
        store.update_thread("t", participants=people)
    assert [one.id for one in store.list_threads()] == ["t"]
    assert not store.get_thread("t").participants
