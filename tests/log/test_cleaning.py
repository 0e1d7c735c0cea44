"""What is left of threads in the table itself, after they are gone and were swept away."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import chatstore
from chatstore.blocking import run
from chatstore.engines.log import Row, Rows
from chatstore.engines.log.cuts import MOST_CUTS
from chatstore.engines.log.head import look
from chatstore.errors import CorruptData, Unavailable
from chatstore.store import ChatStore
from tests.log.doubles import Mortal, Sleeping
from tests.log.kept import BIG, LATER, Kept, stopped
from tests.log.memory_table import Killed, LogInMemory, MemoryTable


def busy(store: ChatStore, thread: str, **made: object) -> None:
    store.append(thread, {"role": "user", "content": "a"}, owner="zoey", request_id=f"{thread} made", **made)  # type: ignore[arg-type]
    [b, c] = store.append(thread, {"role": "user", "content": BIG}, {"role": "user", "content": "c"}).messages
    store.insert(thread, {"role": "user", "content": "i"}, before=c.id)
    store.replace_message(thread, b.id or "", {"role": "user", "content": "B"})
    store.replace_all(thread, [{"role": "user", "content": f"{n} {BIG}"} for n in range(3)])
    store.pop(thread, request_id=f"{thread} pop")
    store.update_thread(thread, topic="zoeys")


def test_nothing_of_a_deleted_thread(kept: Kept) -> None:
    busy(kept.store, "t")
    kept.store.delete_thread("t", request_id="gone")
    assert kept.rows()
    kept.clock.advance(LATER)
    kept.swept()
    for word in ("zoey", "made", "pop", "gone", "xxxx"):
        assert word not in kept.text(), word
    kept.clock.advance(LATER)
    kept.swept()
    assert kept.rows() == []


def test_nothing_of_an_expired_thread(kept: Kept) -> None:
    busy(kept.store, "t", ttl=60)
    kept.clock.advance(timedelta(minutes=2))
    for _ in range(3):
        kept.swept()
        kept.clock.advance(LATER)
    assert kept.rows() == []


def test_nothing_but_the_living_of_a_thread_that_lives(kept: Kept) -> None:
    busy(kept.store, "t")
    kept.clock.advance(LATER)
    kept.swept()
    before = [message.text for message in kept.store.iter_messages("t")]
    assert len(before) == 2
    epochs = {sk.split("#")[0] for pk, sk in kept.rows() if pk.startswith("T#") and sk.startswith("E")}
    pieces = {sk.split("#")[1] for pk, sk in kept.rows() if pk.startswith("T#") and sk.startswith("B")}
    assert (len(epochs), len(pieces)) == (1, 2)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_thread_of_the_same_name_and_owner_stays_listed(kept: Kept, replaced: bool) -> None:
    busy(kept.store, "t")
    kept.store.delete_thread("t")
    kept.store.append("t", {"role": "user", "content": "new"}, owner="zoey")
    if replaced:
        kept.store.replace_all("t", [{"role": "user", "content": "newer"}])
    kept.clock.advance(LATER)
    kept.swept()
    assert [thread.id for thread in kept.store.iter_threads(owner="zoey")] == ["t"]
    assert [thread.id for thread in kept.store.iter_threads()] == ["t"]


def test_a_request_about_no_thread_goes_too(kept: Kept) -> None:
    assert not kept.store.delete_thread("never", request_id="r")
    for _ in range(3):
        kept.clock.advance(LATER)
        kept.swept()
    assert kept.rows() == []


def test_a_request_about_a_thread_of_which_a_sweep_leaves_the_seal_alone_goes_too(kept: Kept) -> None:
    """The process that sweeps has noted a visit to that seal, which sees to nothing else."""
    kept.store.append("t", {"role": "user", "content": "a"})
    kept.store.delete_thread("t")
    kept.clock.advance(LATER)
    kept.swept()
    kept.clock.advance(timedelta(minutes=1))
    assert not kept.store.delete_thread("t", request_id="r")
    for _ in range(3):
        kept.clock.advance(LATER)
        kept.swept()
    assert kept.rows() == []


def test_right_after_an_erasure_no_word_is_left(kept: Kept) -> None:
    for thread in ("one", "two", "three", "four"):
        busy(kept.store, thread)
    kept.store.delete_thread("two", request_id="two gone")
    kept.store.append("three", {"role": "user", "content": "short"}, expires_in=60)
    kept.store.delete_thread("four")
    kept.clock.advance(timedelta(seconds=1))
    kept.store.append("four", {"role": "user", "content": "bobs"}, owner="bob")
    kept.clock.advance(timedelta(minutes=2))
    erased = kept.store.erase("zoey")
    assert erased.threads == 2
    assert "bobs" in kept.text()
    for word in ("zoey", "made", "pop", "gone", "short", "xxxx"):
        assert word not in kept.text(), word
    for _ in range(2):
        kept.clock.advance(LATER)
        kept.swept()
    assert {pk for pk, _ in kept.rows() if pk.startswith("T#")} == {"T#default#four"}


def test_a_process_that_slept_while_all_was_swept_away_loses_nothing(kept: Kept) -> None:
    asleep = ChatStore(LogInMemory(kept.table, kept.clock))
    asleep.append("t", {"role": "user", "content": "old"})
    kept.store.delete_thread("t")
    for _ in range(2):
        kept.clock.advance(LATER)
        kept.swept()
    assert kept.rows() == []
    asleep.append("t", {"role": "user", "content": "new"})
    assert [message.content for message in kept.store.read("t")] == ["new"]
    kept.store.append("t", {"role": "user", "content": "newer"})
    assert [message.content for message in asleep.read("t")] == ["new", "newer"]


def test_a_text_that_shares_a_row_goes_with_its_message(kept: Kept) -> None:
    store = kept.store
    store.append("t", {"role": "user", "content": "begun"})
    turn = [{"role": "user", "content": letter * 150_000} for letter in "xyz"]
    first = store.append("t", *turn).messages[0].id or ""
    assert len([sk for _, sk in kept.rows() if sk.startswith("B#")]) == 1
    store.delete_message("t", first, request_id="gone")
    for _ in range(2):
        assert "xxxx" in kept.text()
        assert store.delete_message("t", first, request_id="gone").to_dict() == turn[0]
        kept.clock.advance(LATER / 2)
        kept.swept()
    kept.clock.advance(timedelta(hours=1))
    kept.swept()
    assert "xxxx" not in kept.text()
    assert [message.to_dict() for message in store.read("t")][1:] == turn[1:]
    before = dict(kept.table.rows["T#default#t"])
    kept.clock.advance(LATER)
    kept.swept()
    assert kept.table.rows["T#default#t"] == before
    store.clear("t")
    kept.clock.advance(LATER)
    kept.swept()
    assert "yyyy" not in kept.text()


def test_a_sweep_that_slept_removes_nothing_of_a_thread_of_the_same_name(kept: Kept) -> None:
    for text in "ab":
        kept.store.append("t", {"role": "user", "content": text})
    kept.store.delete_thread("t")
    kept.clock.advance(LATER)

    def meanwhile() -> None:
        for _ in range(2):
            kept.swept()
            kept.clock.advance(LATER)
        assert kept.rows() == []
        for text in "xyz":
            kept.store.append("t", {"role": "user", "content": text})

    with pytest.raises(Unavailable, match="sweep again"):
        ChatStore(LogInMemory(Sleeping(kept.table, meanwhile), kept.clock)).sweep()
    assert [message.content for message in kept.store.read("t")] == ["x", "y", "z"]


class Dozing(MemoryTable):
    """Behind a reading of all rows of a thread, after `left` others, something else happens."""

    def __init__(self, table: MemoryTable, left: int, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.rows = table.rows
        self.left = left
        self._meanwhile = meanwhile

    async def query(self, pk: str, low: str, high: str, **more: Any) -> Rows:
        found = await super().query(pk, low, high, **more)
        if low == "B":
            self.left -= 1
            if self.left == -1:
                self._meanwhile()
        return found


@pytest.mark.parametrize("left", [0, 1, 2])
@pytest.mark.parametrize("way", ["sweep", "erase"])
def test_who_sleeps_for_days_changes_nothing_of_a_thread_of_the_same_name(
    kept: Kept, way: str, left: int
) -> None:
    brief = timedelta(minutes=1)
    kept.store.append("t", {"role": "user", "content": "a"}, owner="zoey", expires_in=brief)
    kept.store.append("t", {"role": "user", "content": "b"})
    kept.clock.advance(timedelta(hours=1))

    def meanwhile() -> None:
        kept.store.delete_thread("t")
        for _ in range(4):
            kept.clock.advance(LATER)
            kept.swept()
        assert kept.rows() == []
        for text in "xyz":
            kept.store.append("t", {"role": "user", "content": text}, owner="bob")

    dozing = Dozing(kept.table, left, meanwhile)
    store = ChatStore(LogInMemory(dozing, kept.clock))
    with contextlib.suppress(Unavailable):
        store.sweep() if way == "sweep" else store.erase("zoey")
    if dozing.left < 0:
        assert [message.content for message in kept.store.read("t")] == ["x", "y", "z"]


def test_what_cannot_be_visited_does_not_keep_the_rest(kept: Kept) -> None:
    for thread in ("bad", "good"):
        kept.store.append(thread, {"role": "user", "content": f"{thread} words"}, ttl=60)
        kept.clock.advance(timedelta(seconds=1))
    [newest, _] = sorted(kept.table.rows["T#default#bad"].items())
    broken = {**kept.table.rows["T#default#bad"], newest[0]: {**newest[1], "b": b"?"}}
    kept.clock.advance(timedelta(minutes=2))
    whole, kept.table.rows["T#default#bad"] = kept.table.rows["T#default#bad"], broken
    with pytest.raises(CorruptData):
        kept.store.sweep()
    kept.clock.advance(LATER)
    with pytest.raises(CorruptData):
        kept.store.sweep()
    assert "good words" not in kept.text()
    kept.table.rows["T#default#bad"] = whole
    for _ in range(3):
        kept.clock.advance(LATER)
        kept.swept()
    assert kept.rows() == []


def test_erasing_one_owner_keeps_what_another_has_under_the_same_id(kept: Kept) -> None:
    kept.store.append("t", {"role": "user", "content": "adas"}, owner="ada")
    kept.store.delete_thread("t")
    kept.clock.advance(timedelta(minutes=1))
    big = [{"role": "user", "content": f"{n} {BIG}"} for n in range(2)]
    kept.store.append("t", *big, owner="bob")
    ids = [kept.store.append("t", {"role": "user", "content": n}).messages[0].id or "" for n in range(70)]
    for id in ids:
        kept.store.delete_message("t", id)
    kept.clock.advance(timedelta(minutes=1))
    kept.store.erase("ada")
    assert [message.to_dict() for message in kept.store.read("t")] == big
    assert "adas" not in kept.text()


@pytest.mark.parametrize("hours", [0, 3])
@pytest.mark.parametrize("begins", ["small", BIG])
@pytest.mark.parametrize("before", [False, True])
def test_an_owner_takes_along_what_was_staged_where_others_have_a_thread_now(
    kept: Kept, before: bool, begins: str, hours: int
) -> None:
    """A writer of the owner's was killed. Hours later a sweep has closed the hour that leads there."""
    kept.store.append("t", {"role": "user", "content": "first"}, owner="bob")
    if not before:
        kept.store.delete_thread("t")
    orphan = {"role": "user", "content": "orphan" + BIG}
    killed = stopped(kept)
    with pytest.raises(KeyboardInterrupt):
        killed.replace_all("t", [orphan]) if before else killed.append("t", orphan, owner="bob")
    if before:
        kept.store.delete_thread("t")
    assert "orphan" in kept.text()
    kept.clock.advance(timedelta(seconds=1))
    kept.store.append("t", {"role": "user", "content": begins}, owner="ada")
    kept.clock.advance(timedelta(hours=hours))
    kept.swept()
    kept.store.erase("bob")
    for word in ("bob", "orphan", "first"):
        assert word not in kept.text()
    kept.store.append("t", {"role": "user", "content": "more"})
    assert [message.content for message in kept.store.read("t")] == [begins, "more"]


@pytest.mark.parametrize("erased", [False, True])
def test_a_sweep_that_is_killed_anywhere_hides_nothing(erased: bool) -> None:
    """Neither from the next sweeps nor from an erasure."""
    for left in itertools.count():
        kept = Kept()
        busy(kept.store, "t")
        kept.store.delete_thread("t")
        kept.clock.advance(LATER)
        mortal = Mortal(kept.table, left)
        try:
            ChatStore(LogInMemory(mortal, kept.clock)).sweep()
            whole = True
        except Killed:
            whole = False
        if erased:
            kept.store.erase("zoey")
            assert "zoey" not in kept.text(), left
        for _ in range(3):
            kept.clock.advance(LATER)
            kept.swept()
        assert kept.rows() == [], left
        if whole:
            break
    assert left > 10


@pytest.mark.parametrize("way", ["erase", "erase all", "sweep", "sweep, off the list"])
def test_what_is_left_of_a_later_thread_of_the_same_name_stays_in_reach_of_an_erasure(
    kept: Kept, way: str
) -> None:
    for text in ("first", "second"):
        kept.store.append("t", {"role": "user", "content": text}, owner="zoey")
        kept.store.delete_thread("t")
        kept.clock.advance(timedelta(hours=5))
        kept.swept()
    if "off the list" in way:
        # By a call that arrived late.
        kept.table.rows["L#default#zoey"].clear()
    kept.clock.advance(timedelta(hours=16, minutes=30))
    kept.swept()
    assert "first" not in kept.text()
    assert "second" in kept.text()
    if way == "erase":
        kept.store.erase("zoey")
    elif way == "erase all":
        kept.store.erase_tenant()
    else:
        for _ in range(3):
            kept.clock.advance(LATER)
            kept.swept()
        assert kept.rows() == []
    assert "second" not in kept.text()
    assert "zoey" not in kept.text()


def test_an_attempt_that_came_to_nothing_is_removed(kept: Kept) -> None:
    store = kept.store
    store.append("t", {"role": "user", "content": "a"})

    with pytest.raises(KeyboardInterrupt):
        stopped(kept).replace_all("t", [{"role": "user", "content": "orphan" + BIG}])
    assert "orphan" in kept.text()
    kept.clock.advance(LATER)
    kept.swept()
    assert "orphan" not in kept.text()
    assert not [sk for pk, sk in kept.rows() if sk.startswith("B#")]
    assert len(store.read("t")) == 1


def test_a_step_ends_after_so_many_visits_whether_they_find_anything_or_not(kept: Kept) -> None:
    for number in range(30):
        # Each thread is to be visited at the end of its life, and its life is prolonged meanwhile.
        kept.store.create_thread(f"t{number}", ttl=timedelta(hours=1))
        kept.store.update_thread(f"t{number}", ttl=timedelta(days=30))
    kept.clock.advance(timedelta(hours=3))
    steps = 1
    while kept.store.sweep(limit=5).more:
        steps += 1
    assert steps >= 6
    assert len(list(kept.store.iter_threads())) == 30


def test_a_thread_that_cannot_be_visited_holds_up_none_beside_it(kept: Kept) -> None:
    for number in range(5):
        kept.store.append(f"t{number}", {"role": "user", "content": "a"}, expires_in=timedelta(hours=1))
    pk = next(pk for pk in kept.table.rows if pk.endswith("#t3"))
    sk = next(sk for sk in kept.table.rows[pk] if sk.startswith("E"))
    whole = kept.table.rows[pk][sk]
    kept.table.rows[pk][sk] = {**whole, "b": b"?"}
    kept.clock.advance(timedelta(hours=2))
    with pytest.raises(CorruptData):
        kept.store.sweep()
    kept.table.rows[pk][sk] = whole
    assert [kept.store.read(f"t{number}").items for number in range(5)] == [()] * 5
    assert "content" not in kept.text().replace(repr(whole), "")
    kept.clock.advance(timedelta(hours=2))
    kept.swept()
    assert whole["b"] not in [row["b"] for row in kept.table.rows[pk].values() if "b" in row]


def test_a_thread_that_breaks_while_it_is_ended_holds_up_none_beside_it(kept: Kept) -> None:
    for number in range(2):
        kept.store.append(f"t{number}", {"role": "user", "content": "a"}, ttl=60)
        kept.clock.advance(timedelta(seconds=1))
    kept.clock.advance(timedelta(minutes=2))
    rows = kept.table.rows["T#default#t0"]

    class Breaking(MemoryTable):
        """A damaged row is in the way of each slot of a thread."""

        async def put_new(self, row: Row, **more: Any) -> Row | None:
            if row["pk"] == "T#default#t0":
                rows[str(row["sk"])] = {**row, "s": "?", "b": b"?"}
            return await super().put_new(row, **more)

    breaking, whole = Breaking(), dict(rows)
    breaking.rows = kept.table.rows
    with pytest.raises(CorruptData):
        ChatStore(LogInMemory(breaking, kept.clock)).sweep()
    assert len(rows) > len(whole)
    kept.table.rows["T#default#t0"] = whole
    assert kept.store.sweep().threads == 0
    kept.clock.advance(timedelta(hours=1))
    assert kept.store.sweep().threads == 1
    for _ in range(2):
        kept.clock.advance(LATER)
        kept.swept()
    assert kept.rows() == []


def test_a_sweep_that_slept_ends_no_thread_that_others_have_swept_away_since(kept: Kept) -> None:
    kept.store.append("t", {"role": "user", "content": "a"}, ttl=60)
    kept.clock.advance(timedelta(minutes=2))

    def meanwhile() -> None:
        for _ in range(3):
            kept.swept()
            kept.clock.advance(LATER)
        assert kept.rows() == []

    slept = ChatStore(LogInMemory(Dozing(kept.table, 0, meanwhile), kept.clock)).sweep()
    assert slept.threads == 0
    kept.clock.advance(LATER)
    kept.swept()
    assert kept.rows() == []


def test_what_was_cut_goes_after_a_day_and_what_stays_is_as_it_was(kept: Kept) -> None:
    store, clock = kept.store, kept.clock
    say = [{"role": "user", "content": f"said {number}"} for number in range(30)]
    stays = store.append("t", *say[:3]).messages
    for message in say[3:]:
        store.append("t", message)
    request = chatstore.uuid7(clock() // 1000)
    asked = store.append("t", {"role": "user", "content": BIG}, request_id=request)
    store.truncate("t", after=stays[1].id)
    cursor = store.read("t", limit=1).next
    assert store.append("t", {"role": "user", "content": BIG}, request_id=request) == asked
    before = list(store.iter_messages("t"))
    assert before == list(stays[:2])
    clock.advance(LATER)
    kept.swept()
    assert list(store.iter_messages("t")) == before
    assert list(store.read("t", after=cursor)) == before[1:]
    assert not any(message["content"] in kept.text() for message in say[3:])
    assert BIG not in kept.text()
    # The first turn's row, and the one that cut.
    assert len([sk for sk in kept.table.rows["T#default#t"] if sk.startswith("E")]) == 2
    added = store.append("t", {"role": "user", "content": "later"}).messages[0]
    assert [message.id for message in store.iter_messages("t")] == [before[0].id, before[1].id, added.id]
    assert (added.position or "") > (asked.messages[0].position or "")


def test_more_cuts_than_slots_name_begin_an_epoch_without_them(kept: Kept) -> None:
    store = kept.store
    texts: list[object] = []
    for number in range(40):
        turn = store.append("t", *[{"role": "user", "content": f"{number} {n}"} for n in range(3)]).messages
        store.truncate("t", from_=turn[2].id)
        texts += [f"{number} 0", f"{number} 1"]
        assert [message.content for message in store.iter_messages("t")] == texts
    head = run(look(kept.table, "T#default#t"))
    assert len(head.totals.cuts) <= MOST_CUTS
    for _ in range(3):
        kept.clock.advance(LATER)
        kept.swept()
        assert [message.content for message in store.iter_messages("t")] == texts
