"""What a sweep does with an hour that is over: what leads to nothing goes, and all that others have stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import chatstore
from chatstore.blocking import run
from chatstore.contract import ThreadKey
from chatstore.engines.log import Key, Row, Rows, closing
from chatstore.store import ChatStore
from chatstore.testing.samples import contents, say, whole
from tests.log.doubles import Meanwhile
from tests.log.kept import BIG, LATER, Kept, stopped
from tests.log.memory_table import Killed, LogInMemory, MemoryTable

OVER = timedelta(hours=3)


@pytest.mark.parametrize(("most", "least_steps"), [(10, 10), (1000, 1)])
def test_the_hours_of_many_tenants_are_looked_through_in_steps_of_some_rows(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, most: int, least_steps: int
) -> None:
    monkeypatch.setattr(closing, "_EXAMINED", most)
    tenants = [f"tenant {number}" for number in range(20)]
    for _ in range(3):
        for tenant in tenants:
            ChatStore(LogInMemory(kept.table, kept.clock), tenant=tenant).append("t", say("hello"))
        kept.clock.advance(timedelta(hours=1))
    kept.clock.advance(OVER)
    steps = 1
    while kept.store.sweep().more:
        steps += 1
        assert steps < 20
    # Seven rows of each tenant: three hours, a row in each, and the tenant.
    assert steps >= least_steps
    assert all("!" in kept.table.rows[f"A#{tenant}"] for tenant in tenants)


def test_what_leads_to_a_killed_writers_texts_goes_and_all_that_others_have_stays(kept: Kept) -> None:
    store = kept.store
    store.append("t", say("hers"), owner="zoey")
    store.replace_all("t", [say("hers, too")])
    store.erase("zoey")
    with pytest.raises(KeyboardInterrupt):
        stopped(kept).append("t", say("orphan" + BIG), owner="nora")
    store.append("t", say("first"), owner="bob")
    store.delete_thread("t")
    request = chatstore.uuid7(kept.clock() // 1000)
    begun = store.append("t", say("second"), owner="bob", request_id=request)
    store.replace_all("t", [say("third"), say("fourth")])
    texts = [f"{number} {BIG}" for number in range(2)]
    store.replace_all("t", [say(text) for text in texts], key=["one", "two"])
    kept.clock.advance(OVER)
    kept.swept()
    assert "orphan" not in kept.text()
    assert "nora" not in kept.text()
    later = ChatStore(LogInMemory(kept.table, kept.clock))
    assert later.append("t", say("second"), owner="bob", request_id=request) == begun
    with pytest.raises(chatstore.MessageExists):
        later.append("t", say("again"), key="one")
    assert contents(whole(later, "t")) == texts
    # Those four of bob's histories before, and what was hers.
    messages = 0
    for _ in range(3):
        kept.clock.advance(LATER)
        messages += later.sweep().messages
    assert messages == 4
    assert contents(whole(later, "t")) == texts


def test_who_begins_a_thread_where_another_was_killed_hours_ago_stays_in_the_owners_list(kept: Kept) -> None:
    with pytest.raises(KeyboardInterrupt):
        stopped(kept).append("t", say("never"), owner="bob")
    kept.clock.advance(OVER)
    table = Meanwhile(kept.table, "put_new", kept.swept)
    ChatStore(LogInMemory(table, kept.clock)).append("t", say("now"), owner="bob")
    assert table.happened
    assert [thread.id for thread in kept.store.iter_threads(owner="bob")] == ["t"]


@pytest.mark.parametrize("everyone", [False, True])
def test_a_deleted_thread_that_its_owners_list_lost_is_found_by_an_erasure(
    kept: Kept, everyone: bool
) -> None:
    """A call that arrived late has taken it off the list."""
    kept.store.append("t", say("hers"), owner="zoey")
    kept.store.delete_thread("t")
    kept.table.rows["L#default#zoey"].clear()
    kept.clock.advance(OVER)
    kept.swept()
    kept.store.erase_tenant() if everyone else kept.store.erase("zoey")
    assert "zoey" not in kept.text()
    assert "hers" not in kept.text()


def test_what_an_ended_thread_left_is_found_by_an_erasure_though_only_its_end_says_whose_it_was(
    kept: Kept,
) -> None:
    kept.store.append("t", say("hers"), owner="zoey")
    kept.store.replace_all("t", [say("hers, too")])
    kept.clock.advance(LATER)
    kept.swept()
    kept.store.append("t", say("and this"))
    kept.store.delete_thread("t")
    kept.clock.advance(OVER)
    kept.swept()
    assert "and this" in kept.text()
    kept.store.erase("zoey")
    assert "zoey" not in kept.text()
    assert "and this" not in kept.text()


class Restoring(MemoryTable):
    """A process's way to a table: a sweep comes before its slot is taken, and then it is killed.

    The slot is taken when the sweep has found no thread, and before it reads what is left of one.
    """

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.rows = kept.table.rows
        self._clock = kept.clock
        self._slot: list[Row] = []

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self._slot.append(row)
        ChatStore(LogInMemory(self, self._clock)).sweep()
        assert not self._slot
        raise Killed

    async def query(self, pk: str, low: str, high: str, **more: Any) -> Rows:
        if self._slot and (pk, low) == ("T#default#t", "B"):
            await super().put_new(self._slot.pop())
        return await super().query(pk, low, high, **more)


def test_a_thread_of_long_ago_that_is_restored_while_its_hour_is_looked_through_stays_listed(
    kept: Kept,
) -> None:
    kept.store.append("of", say("hers"), owner="zoey")
    thread, messages = replace(kept.store.get_thread("of"), id="t"), kept.store.read("of").items
    kept.store.delete_thread("of")
    kept.clock.advance(OVER)
    with pytest.raises(Killed):
        run(
            LogInMemory(Restoring(kept), kept.clock).restore(
                ThreadKey("default", "t"), thread, messages, if_match=None
            )
        )
    for listed in (kept.store.iter_threads(), kept.store.iter_threads(owner="zoey")):
        assert [one.id for one in listed] == ["t"]
