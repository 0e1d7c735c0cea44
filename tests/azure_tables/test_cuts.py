"""What was cut away, and names of messages: what they leave in the table, and for how long."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from chatstore import position
from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend
from chatstore.codec import encode
from chatstore.engines.fenced import header, layout, messages, segments, writing
from chatstore.engines.fenced.cuts import Range
from chatstore.engines.fenced.header import State
from chatstore.engines.fenced.payload import unpack
from chatstore.errors import CorruptData, InvalidArgument, MessageExists, MessageNotFound
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say, whole
from tests.azure_tables.fake import FakeDriver, FakeTable

PARTITION = layout.partition("default", "t")


@pytest.fixture(params=[TABLES, COSMOS], ids=["tables", "cosmos"])
def store(request: pytest.FixtureRequest, table: FakeTable, clock: ManualClock) -> ChatStore:
    return ChatStore(AzureTablesBackend(FakeDriver(table, page=7), request.param, clock))


def rows(table: FakeTable, kind: str) -> list[str]:
    """The thread's rows of a kind."""
    return [row for partition, row in table.rows if partition == PARTITION and row.startswith(kind)]


def head(table: FakeTable) -> State:
    return State.load(table.rows[PARTITION, layout.HEADER].properties["s"])


def sweep(store: ChatStore) -> None:
    while store.sweep().more:
        pass


@pytest.mark.parametrize(
    "more", [{"sliding": 5}, {"cuts": (Range(position.nth(3), 5),)}, {"over": ("e", 7)}], ids=str
)
def test_a_header_keeps_what_few_threads_need(more: dict[str, Any]) -> None:
    state = State("e", tail=3, listings=("L",), writes=("w",))._replace(**more)
    assert State.load(state.dump()) == state


def test_a_cut_that_changes_properties_too_is_swept(
    store: ChatStore, table: FakeTable, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "_NEAR", -1)
    ids = [store.append("t", say(number)).messages[0].id for number in range(9)]
    sweep(store)
    assert store.append("t", say("9"), if_match=store.read("t").etag).thread_etag is None
    store.append("t", say("after"), after=ids[3], patch={"topic": "new"})
    sweep(store)
    assert (len(rows(table, "m")), head(table).cuts) == (5, ())
    assert store.append("t", say("last"), patch={"ttl": 60}).thread_etag == store.get_thread("t").etag
    clock.advance(timedelta(minutes=2))
    sweep(store)
    assert rows(table, "m") == []


def test_near_the_end_nothing_is_left_at_once(store: ChatStore, table: FakeTable) -> None:
    ids = [store.append("t", say(number), key=f"k{number}").messages[0].id for number in range(20)]
    store.truncate("t", after=ids[11])
    assert len(rows(table, "m")) == len(rows(table, "q")) == 12
    assert head(table).cuts == ()


def as_much_as_a_group_takes(store: ChatStore, count: int) -> tuple[str | None, list[dict[str, str]]]:
    """The message to cut behind, with 48 rows there, and so many large ones to be added."""
    [first, _] = store.append("t", say("a"), say("b")).messages
    for number in range(48):
        store.append("t", say(number), key=f"k{number}" if number < 16 else None)
    return first.id, [{"role": "user", "content": str(number) + "x" * 600} for number in range(count)]


def test_as_much_as_one_group_takes_is_removed_at_once(store: ChatStore, table: FakeTable) -> None:
    """A row each behind the cut and of what is added, and names of both: a group has room for all of it."""
    first, large = as_much_as_a_group_takes(store, 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "MOST_BYTES", 500)
        store.append("t", *large, after=first, key=[f"n{number}" for number in range(16)], request_id="r")
    assert head(table).cuts == ()
    assert len(rows(table, "m")) == 17
    assert len(rows(table, "q")) == 16
    assert contents(whole(store, "t"))[1:] == [one["content"] for one in large]


def test_a_long_turn_in_the_place_of_many_leaves_them_to_a_sweep(store: ChatStore, table: FakeTable) -> None:
    first, large = as_much_as_a_group_takes(store, 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "MOST_BYTES", 500)
        store.append("t", *large, after=first)
    assert head(table).cuts
    assert contents(whole(store, "t"))[1:] == [one["content"] for one in large]


def test_more_than_one_group_takes_is_left_to_a_sweep(store: ChatStore, table: FakeTable) -> None:
    ids = [store.append("t", say(number)).messages[0].id for number in range(120)]
    store.truncate("t", after=ids[10])
    assert head(table).cuts
    assert contents(whole(store, "t")) == [*range(11)]


def test_a_cut_in_front_of_the_last_message_leaves_nothing_to_a_sweep(
    store: ChatStore, table: FakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "_NEAR", -1)
    for number in range(3):
        store.append("t", say(number), key=f"k{number}")
    store.truncate("t", from_="key:k2")
    assert (head(table).cuts, len(rows(table, "m")), len(rows(table, "q"))) == ((), 2, 2)


def test_far_from_the_end_a_sweep_removes_it(store: ChatStore, table: FakeTable, clock: ManualClock) -> None:
    ids = [store.append("t", say(number), key=f"k{number}").messages[0].id for number in range(100)]
    store.append("t", say("after"), after=ids[9])
    assert head(table).cuts
    before = whole(store, "t")
    clock.advance(timedelta(minutes=1))
    sweep(store)
    assert whole(store, "t") == before
    assert len(rows(table, "m")) == 11
    assert len(rows(table, "q")) == 10
    assert head(table).cuts == ()
    store.append("t", say("end"))
    assert contents(whole(store, "t")) == [*range(10), "after", "end"]


def test_as_many_cuts_as_there_are_answers(
    store: ChatStore, table: FakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "_NEAR", -1)
    monkeypatch.setattr(writing, "CUTS", 4)
    kept: list[object] = []
    for number in range(14):
        question, _, _ = store.append("t", say(f"question {number}"), say("worse"), say("worst")).messages
        store.append("t", say("late"))
        store.append("t", say(f"answer {number}"), after=question.id)
        kept += [f"question {number}", f"answer {number}"]
        assert contents(whole(store, "t")) == kept
        assert len(head(table).cuts) <= 4
        assert contents(store.read("t", last=3)) == kept[-3:]
        cut_in = store.insert("t", say(f"between {number}"), after=question.id)
        kept.insert(-1, f"between {number}")
        assert store.get_message("t", cut_in.id or "") == cut_in
        assert contents(whole(store, "t")) == kept
    sweep(store)
    assert contents(whole(store, "t")) == kept


def test_inserted_where_everything_was_cut(store: ChatStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_NEAR", -1)
    [first] = store.append("t", say("a")).messages
    front = store.insert("t", say("front"), index=0)
    store.truncate("t", from_=front.id)
    store.append("t", say("b"))
    for number in range(3):
        store.insert("t", say(number), index=0)
    assert contents(whole(store, "t")) == [2, 1, 0, "b"]
    sweep(store)
    assert contents(whole(store, "t")) == [2, 1, 0, "b"]
    with pytest.raises(MessageNotFound):
        store.get_message("t", first.id or "")


def test_large_messages_that_were_cut_go_with_their_pieces(
    store: ChatStore, table: FakeTable, clock: ManualClock
) -> None:
    [first] = store.append("t", say("a")).messages
    store.append("t", say("".join(map(chr, range(0x4E00, 0x9000))) * 12))
    assert rows(table, "p")
    store.truncate("t", after=first.id)
    clock.advance(timedelta(hours=3))
    sweep(store)
    assert rows(table, "p") == []
    assert contents(whole(store, "t")) == ["a"]


def test_names_go_with_their_history(store: ChatStore, table: FakeTable, clock: ManualClock) -> None:
    store.append("t", say("a"), say("b"), key=["x", "y"])
    store.append("t", say("short"), key="z", expires_in=60)
    store.replace_all("t", [say("new")], key=["x"])
    clock.advance(timedelta(minutes=2))
    sweep(store)
    assert rows(table, "q") == [layout.key_row("x")]
    store.delete_message("t", "key:x")
    assert rows(table, "q") == []
    store.append("t", say("c"), key="x")
    store.delete_thread("t")
    sweep(store)
    assert rows(table, "q") == []


def test_names_of_what_was_cut_go_with_it(
    store: ChatStore, table: FakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "CUTS", 1)
    ids = [store.append("t", say(number), key=f"k{number}").messages[0].id for number in range(30)]
    store.append("t", say("after"), after=ids[3], key="k9")
    assert store.get_message("t", "key:k9").content == "after"
    assert head(table).cuts
    store.append("t", say("end"), key="k5")
    assert head(table).cuts == ()
    assert len(rows(table, "q")) == 6
    assert contents(whole(store, "t")) == [0, 1, 2, 3, "after", "end"]


def test_a_name_stays_taken_that_a_cut_leaves(store: ChatStore) -> None:
    ids = [store.append("t", say(number), key=f"k{number}").messages[0].id for number in range(4)]
    with pytest.raises(MessageExists):
        store.append("t", say("new"), after=ids[1], key="k1")
    assert contents(whole(store, "t")) == [0, 1, 2, 3]


def test_a_history_that_is_numbered_anew_is_still_the_same(
    store: ChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its names are taken, and the ids of its messages name what they did."""
    ids = [store.append("t", say(number), key=f"k{number}").messages[0].id for number in range(30)]
    monkeypatch.setattr(position, "crowded", lambda _: True)
    with pytest.raises(MessageExists):
        store.insert("t", say("other"), before=ids[20], key="k3")
    between = [store.insert("t", say(f"b{number}"), before=ids[20]) for number in range(5)]
    assert [store.get_message("t", one.id or "") for one in between] == [*whole(store, "t")[20:25]]
    assert {len(one.position or "") for one in whole(store, "t")} == {len(position.START)}
    assert contents(store.read("t", after=ids[19], limit=2)) == ["b0", "b1"]
    assert contents(store.read("t", before=ids[20], limit=2)) == ["b3", "b4"]
    store.truncate("t", after=ids[28])
    assert contents(whole(store, "t")) == [*range(20), *(f"b{number}" for number in range(5)), *range(20, 29)]


def test_the_name_of_a_message_that_expires_goes_by_itself(
    store: ChatStore, table: FakeTable, clock: ManualClock
) -> None:
    store.append("t", say("a"), key="stays")
    store.append("t", say("brief"), key="x", expires_in=60)
    store.append("t", say("brief"), key="y", expires_in=60)
    clock.advance(timedelta(minutes=2))
    # As a sweep leaves it that ends there.
    table.rows = {key: row for key, row in table.rows.items() if key[1] != layout.key_row("x")}
    store.truncate("t", from_="key:stays")
    sweep(store)
    assert rows(table, "q") == rows(table, "m") == []


def test_one_append_takes_so_many_names(store: ChatStore, table: FakeTable) -> None:
    store.append("t", say("a"))
    before = dict(table.rows)
    with pytest.raises(InvalidArgument, match="16 messages with keys"):
        store.append("t", *map(say, range(17)), key=[f"k{number}" for number in range(17)])
    assert {key: row for key, row in table.rows.items() if key[0] == PARTITION} == {
        key: row for key, row in before.items() if key[0] == PARTITION
    }


def test_a_copy_has_as_many_names_as_there_are(store: ChatStore) -> None:
    for number in range(0, 150, 10):
        some = range(number, number + 10)
        store.append("t", *map(say, some), key=[f"k{one}" for one in some])
    store.fork("t", "copy")
    assert contents(whole(store, "copy")) == list(range(150))
    for number in (0, 77, 149):
        assert store.get_message("copy", f"key:k{number}").content == number
    store.replace_all(
        "copy", [one.to_dict() for one in whole(store, "copy")][::-1], key=list(map(str, range(150)))
    )
    assert store.get_message("copy", "key:0").content == 149
    store.replace_all("copy", [say("again")] * 150, key=list(map(str, range(150))))
    assert store.get_message("copy", "key:0").content == "again"


def test_what_has_nothing_unusual_is_stored_without_it(store: ChatStore, table: FakeTable) -> None:
    store.append("t", say("a"), say("b"))
    form = json.loads(str(table.rows[PARTITION, layout.HEADER].properties["s"]))
    assert form[0] == 1
    assert len(form) == len(State._fields) - len(header._MORE) + 1
    properties = unpack([table.rows[PARTITION, layout.HEADER].properties])
    assert json.loads(properties) == ["t", None, {}, []]
    [row] = rows(table, "m")
    body = table.rows[PARTITION, row].properties["b00"]
    assert isinstance(body, bytes)
    line, _, texts = body.decode().partition("\n")
    assert [len(one) for one in json.loads(line)] == [3, 3]
    assert texts == f"{encode(say('a'))}{encode(say('b'))}"
    assert layout.visit_row(1, "T") == f"{1:017d}T"
    text = "much the same " * 2000
    store.append("large", say(text))
    assert len(repr(table.rows)) < len(text)
    with pytest.raises(CorruptData, match="newer chatstore"):
        State.load(json.dumps([3, *form[1:]]))
