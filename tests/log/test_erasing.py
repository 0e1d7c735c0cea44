"""An erasure beside whatever happens meanwhile: nothing of hers is left, and all that is others'."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from chatstore import ChatStore
from chatstore.contract import Draft, NewThread, ThreadKey
from chatstore.engines.log import Row
from chatstore.errors import Unavailable
from chatstore.testing.samples import say
from tests.log.doubles import Late, Meanwhile, Mortal, Pause
from tests.log.kept import LATER, Kept, stopped
from tests.log.memory_table import Killed, LogInMemory, MemoryTable

HOUR = timedelta(hours=1)
BIG = "y" * 201_000


class Faster(MemoryTable):
    """A process's way to a table, on which a slot's row is changed in front of each of so many swaps."""

    def __init__(self, table: MemoryTable, times: int) -> None:
        super().__init__()
        self.rows = table.rows
        self._times = times

    async def swap(self, row: Row, version: int | None) -> bool:
        if str(row["sk"]).startswith("E") and self._times:
            self._times -= 1
            there = self.rows[str(row["pk"])][str(row["sk"])]
            there["v"] = int(there["v"]) + 1
        return await super().swap(row, version)


def texts(kept: Kept) -> list[object]:
    return [message.content for message in kept.store.read("t")]


def test_what_was_inserted_and_asked_is_whose_the_thread_was(kept: Kept) -> None:
    for owner in ("zoey", "bob"):
        kept.store.append("t", say(f"{owner}'s first"), owner=owner)
        last = kept.store.append("t", say(f"{owner}'s last")).messages[0]
        kept.store.insert("t", say(f"{owner}'s between"), before=last.id)
        if owner == "zoey":
            kept.store.delete_thread("t")
            assert not kept.store.delete_thread("t", request_id="to be sure")
            kept.clock.advance(timedelta(seconds=1))
    kept.store.erase("zoey")
    assert texts(kept) == ["bob's first", "bob's between", "bob's last"]
    for word in ("zoey", "to be sure"):
        assert word not in kept.text(), word


def test_what_a_writer_lists_that_is_killed_meanwhile_goes_too() -> None:
    for left in itertools.count():
        kept = Kept()
        kept.store.append("t", say("old"), owner="zoey")
        kept.clock.advance(HOUR)
        killed = False

        def append(kept: Kept = kept, left: int = left) -> None:
            nonlocal killed
            try:
                ChatStore(LogInMemory(Mortal(kept.table, left), kept.clock)).append("t", say("new"))
            except Killed:
                killed = True

        table = Meanwhile(kept.table, "put_new", append)
        ChatStore(LogInMemory(table, kept.clock)).erase("zoey")
        assert table.happened
        assert "zoey" not in kept.text(), left
        if not killed:
            break
    assert left > 3


def test_an_erasure_that_was_killed_anywhere_is_brought_to_its_end_by_the_next() -> None:
    for left in itertools.count():
        kept = Kept()
        kept.store.append("t", say("one"), say(BIG), owner="zoey", request_id="asked")
        kept.clock.advance(HOUR)
        kept.store.append("t", say("two"))
        kept.store.delete_thread("t")
        killed = False
        try:
            ChatStore(LogInMemory(Mortal(kept.table, left), kept.clock)).erase("zoey")
        except Killed:
            killed = True
        kept.store.erase("zoey")
        for word in ("zoey", "asked", "yyy", "two"):
            assert word not in kept.text(), (left, word)
        if not killed:
            break
    assert left > 10


def test_rows_that_a_sweep_changes_meanwhile_are_emptied(kept: Kept) -> None:
    kept.store.append("s", say("hers"), owner="zoey")
    kept.store.append("s", say("brief"), expires_in=60)
    kept.store.fork("s", "t")
    kept.store.delete_thread("s")
    kept.clock.advance(LATER)
    late = Late(kept.table)
    with contextlib.suppress(Unavailable):
        ChatStore(LogInMemory(late, kept.clock)).sweep()
    table = Meanwhile(kept.table, "swap", late.arrive)
    ChatStore(LogInMemory(table, kept.clock)).erase("zoey")
    assert table.happened
    for word in ("zoey", "hers", "brief"):
        assert word not in kept.text(), word


def test_a_row_that_changes_again_and_again_is_emptied_or_the_erasure_fails(kept: Kept) -> None:
    kept.store.append("t", say("hers"), owner="zoey")
    with pytest.raises(Unavailable, match="erase again"):
        ChatStore(LogInMemory(Faster(kept.table, 1000), kept.clock)).erase("zoey")
    # It has two rows by now, and is gone over twice.
    ChatStore(LogInMemory(Faster(kept.table, 3), kept.clock)).erase("zoey")
    for word in ("zoey", "hers"):
        assert word not in kept.text(), word


class Paused(MemoryTable):
    """A process's way to a table, which pauses in front of a slot that it takes."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__()
        self.rows = table.rows

    async def put_new(self, row: Row, **more: Any) -> Row | None:
        if str(row["sk"]).startswith("E"):
            await Pause()
        return await super().put_new(row, **more)


def staging(kept: Kept, owner: str, how: str) -> Coroutine[Any, Any, Any]:
    """A text that is kept apart, and a key: its first step goes up to its slot."""
    backend = LogInMemory(Paused(kept.table), kept.clock)
    return getattr(backend, how)(  # type: ignore[no-any-return]
        ThreadKey("default", "t"), [Draft(json.dumps(say(BIG)), key="new")], create=NewThread(owner=owner),
        if_match=None, request=None,
    )  # fmt: skip


def finish(call: Coroutine[Any, Any, Any]) -> None:
    with contextlib.suppress(StopIteration):
        while True:
            call.send(None)


def check_whole(kept: Kept) -> None:
    assert texts(kept)[-1] == BIG
    assert kept.store.get_message("t", "key:new").content == BIG


@pytest.mark.parametrize("how", ["append", "replace_all"])
@pytest.mark.parametrize(("owner", "there"), [("zoey", False), ("bob", False), ("bob", True)])
def test_what_is_staged_behind_the_slot_of_an_erasure_stays(
    kept: Kept, owner: str, there: bool, how: str
) -> None:
    kept.store.append("t", say("hers"), owner="zoey")
    if there:
        kept.store.delete_thread("t")
        kept.store.append("t", say("his"), owner="bob")
    call = staging(kept, owner, how)
    table = Meanwhile(kept.table, "swap", lambda: call.send(None))
    ChatStore(LogInMemory(table, kept.clock)).erase("zoey")
    assert table.happened
    finish(call)
    check_whole(kept)


@pytest.mark.parametrize("how", ["append", "replace_all"])
def test_what_waits_for_anothers_slot_stays_if_it_gets_it(kept: Kept, how: str) -> None:
    kept.store.append("t", say("hers"), owner="zoey")
    kept.store.delete_thread("t")
    kept.store.append("t", say("his"), owner="bob")
    call = staging(kept, "bob", how)
    call.send(None)
    table = Meanwhile(kept.table, "put_new", lambda: finish(call))
    ChatStore(LogInMemory(table, kept.clock)).erase("zoey")
    assert table.happened
    check_whole(kept)


def test_what_lists_a_thread_that_was_never_begun_goes_too(kept: Kept) -> None:
    with pytest.raises(KeyboardInterrupt):
        stopped(kept).append("t", say("hers"), owner="zoey")
    assert "zoey" in kept.text()
    kept.store.erase("zoey")
    assert "zoey" not in kept.text()


def test_a_text_that_is_kept_apart_meanwhile_goes_too(kept: Kept) -> None:
    kept.store.append("t", say("hers"), owner="zoey")
    table = Meanwhile(kept.table, "put_new", lambda: kept.store.append("t", say(BIG)))
    ChatStore(LogInMemory(table, kept.clock)).erase("zoey")
    assert table.happened
    assert "yyy" not in kept.text()


def test_the_request_that_began_anothers_thread_is_neither_counted_nor_forgotten(kept: Kept) -> None:
    kept.store.append("t", say("hers"), owner="zoey", ttl=60, request_id="hers")
    kept.clock.advance(HOUR)
    his = kept.store.append("t", say("his"), owner="bob", request_id="his")
    assert kept.store.erase("zoey").requests == 1
    assert kept.store.append("t", say("his"), owner="bob", request_id="his") == his
    assert texts(kept) == ["his"]


@pytest.mark.parametrize("lives", [False, True])
def test_where_anothers_deleted_thread_was_listed_is_not_forgotten(kept: Kept, lives: bool) -> None:
    """So the lists are free of it when the rest of it goes, also where they were looked through before."""
    kept.store.append("t", say("his"), owner="bob")
    kept.store.delete_thread("t")
    kept.clock.advance(3 * HOUR)
    kept.swept()
    kept.store.append("t", say("hers"), owner="zoey")
    if not lives:
        kept.store.delete_thread("t")
    kept.store.erase("zoey")
    for _ in range(3):
        kept.clock.advance(LATER)
        kept.swept()
    assert kept.rows() == []


def test_a_former_thread_of_hers_is_in_no_list_though_her_own_has_lost_it(kept: Kept) -> None:
    """A call that arrives late may take her row away: what ended the thread says where it was."""
    kept.store.append("t", say("first"), owner="zoey")
    kept.store.delete_thread("t")
    kept.clock.advance(3 * HOUR)
    kept.swept()
    kept.table.rows["L#default#zoey"].clear()
    kept.store.append("t", say("second"), owner="zoey")
    kept.store.erase("zoey")
    assert "zoey" not in kept.text()


@pytest.mark.parametrize("hours", [0, 30])
def test_what_was_begun_since_is_whole(kept: Kept, hours: int) -> None:
    """Of the owner's, too: an erasure takes what was there when it began."""
    kept.store.append("t", say("old"), owner="zoey")
    kept.clock.advance(timedelta(hours=hours))

    def begin() -> None:
        for text in ("new", "newer"):
            kept.store.append("t", say(text), owner="zoey", key=text)

    table = Meanwhile(kept.table, "swap", begin)
    ChatStore(LogInMemory(table, kept.clock)).erase("zoey")
    assert table.happened
    assert texts(kept) == ["new", "newer"]
    assert kept.store.get_message("t", "key:newer").content == "newer"
    for listed in (kept.store.iter_threads(), kept.store.iter_threads(owner="zoey")):
        assert [thread.id for thread in listed] == ["t"]
    assert "old" not in kept.text()
