"""After an erasure no row holds anything of the owner, and all of a neighbour."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from datetime import timedelta

import pytest

from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
from chatstore.engines.fenced import layout, messages
from chatstore.engines.fenced.payload import unpack
from chatstore.engines.fenced.port import Entity, Op
from chatstore.models import Participant
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.backends.test_erasure import live, mark
from tests.backends.test_erasure import living_of as all_living_of


def living_of(who: str) -> set[str]:
    """Of a request's id only a digest is ever kept."""
    return all_living_of(who) - {mark(who, "request")}


def held(table: FakeTable, marks: set[str]) -> set[str]:
    """Which of `marks` are anywhere in the table, bodies decompressed, pieces put together."""
    texts: list[str] = []
    for (partition, row), entity in sorted(table.rows.items()):
        named = [value for value in entity.properties.values() if isinstance(value, str)]
        texts += [partition, row, *named]
        if "b00" in entity.properties and not row.startswith("p"):
            texts.append(unpack([entity.properties]))
    held = "\n".join(texts)
    return {one for one in marks if one in held}


def test_rows_hold_nothing_of_an_erased_owner() -> None:
    for dialect in (TABLES, COSMOS):
        table, clock = FakeTable(), ManualClock()
        with ChatStore(AzureTablesBackend(FakeDriver(table), dialect, clock)) as store:
            ada, bob = set(live(store, clock, "ada")), set(live(store, clock, "bob"))
            assert held(table, ada | bob) >= living_of("ada") | living_of("bob")
            kept = {thread.id: list(store.iter_messages(thread.id)) for thread in store.iter_threads()}
            erased = store.erase(mark("ada", "owner"))
            assert (erased.threads, erased.requests > 10) == (4, True)
            assert held(table, ada) == set()
            left = {thread.id: list(store.iter_messages(thread.id)) for thread in store.iter_threads()}
            assert left == {id: messages for id, messages in kept.items() if "of-bob" in id}
            assert held(table, bob) >= living_of("bob")


def test_pieces_of_large_messages_and_results_go_with_their_owner() -> None:
    table, clock = FakeTable(), ManualClock()
    noise = random.Random(1).randbytes(400_000).hex()
    with ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock)) as store:
        store.append("t", say(noise), owner="ada")
        store.append("t", say(noise), request_id="r")
        store.delete_message("t", index=-1, request_id="s")
        pieces = [row for _, row in table.rows if row.startswith("p")]
        assert len({row[1] for row in pieces}) == 2, "of a message, of a result"
        store.erase("ada")
        assert [row for _, row in table.rows if row.startswith(("p", "m", "r"))] == []
        clock.advance(timedelta(days=2))
        while store.sweep().more:
            pass
        assert {partition for partition, _ in table.rows} == {layout.TENANTS}


def test_a_sweep_removes_pieces_that_nobody_came_to_name() -> None:
    """A writer that dies between the pieces and the group leaves them; they go when it cannot come back."""
    table, clock = FakeTable(), ManualClock()
    noise = random.Random(1).randbytes(400_000).hex()

    class Dying(FakeDriver):
        async def submit(self, partition: str, ops: object) -> list[str | None]:
            if any(op.row == "h" for op in ops):  # type: ignore[attr-defined]
                raise KeyboardInterrupt
            return list(await super().submit(partition, ops))  # type: ignore[arg-type]

    with ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock)) as store:
        store.append("t", say("a"))
        before = dict(table.rows)
        with contextlib.suppress(KeyboardInterrupt):
            ChatStore(AzureTablesBackend(Dying(table), TABLES, clock)).append("t", say(noise))
        assert any(row.startswith("p") for _, row in table.rows)
        store.sweep()
        assert any(row.startswith("p") for _, row in table.rows), "the writer might still come back"
        clock.advance(timedelta(hours=2))
        store.sweep()
        assert set(table.rows) == set(before)


def test_a_large_message_that_is_deleted_leaves_no_piece() -> None:
    table, clock = FakeTable(), ManualClock()
    noise = random.Random(1).randbytes(400_000).hex()
    with ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock)) as store:
        store.append("t", say(noise))
        for _ in range(2):
            clock.advance(timedelta(hours=3))
            store.sweep()
            assert any(row.startswith("p") for _, row in table.rows) == bool(contents(store.read("t")))
            store.pop("t")


def test_properties_go_with_their_thread_and_when_they_change() -> None:
    table = FakeTable()
    with ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, ManualClock())) as store:
        noise = random.Random(1).randbytes(30_000).hex()
        people = [Participant(name, metadata={"a": noise[place:]}) for place, name in enumerate("xyzu")]
        store.create_thread("t", owner="ada", participants=people)
        store.update_thread("t", topic="of ada", participants=[Participant("x")])
        assert store.get_thread("t").participants == (Participant("x"),)
        assert "of ada" in repr(table.rows)
        store.delete_thread("t")
        assert "of ada" not in repr(table.rows)


def test_who_makes_a_thread_again_and_again_has_it_listed() -> None:
    table = FakeTable()
    with ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, ManualClock())) as store:
        for _ in range(40):
            store.append("t", say("a"), owner="ada")
            store.delete_thread("t")
        store.append("t", say("a"), owner="ada")
        assert [thread.id for thread in store.list_threads(owner="ada")] == ["t"]


@pytest.mark.parametrize("more", [0, 1])
def test_what_an_erasure_removed_is_counted_once(more: int) -> None:
    """Though somebody writes to the thread again, between two groups of what is removed."""

    class Meddled(FakeDriver):
        async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
            etags = await super().submit(partition, ops)
            if sum(op.kind == "delete" for op in ops) > 90:
                for _ in range(more):
                    other.append("t", say("again"), owner="bob")
            return etags

    table, clock = FakeTable(), ManualClock()
    other = ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock))
    with ChatStore(AzureTablesBackend(Meddled(table), TABLES, clock)) as store:
        for _ in range(150):
            store.append("t", say("a"), owner="ada")
        erased = store.erase("ada")
        assert (erased.threads, erased.messages) == (1, 150)
        assert layout.listing("default", "ada") not in repr(table.rows)
        assert contents(store.read("t")) == ["again"] * more
        assert sum(row.startswith("m") for _, row in table.rows) == more


def test_an_erasure_counts_nothing_of_who_has_the_id_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_NEAR", -1)
    table = FakeTable()
    with ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, ManualClock())) as store:
        store.append("t", say("a"), owner="bob", request_id="r")
        store.delete_thread("t")
        ids = [store.append("t", say(number), owner="mary").messages[0].id for number in range(5)]
        store.truncate("t", after=ids[1])
        erased = store.erase("bob")
        assert (erased.threads, erased.messages, erased.requests) == (0, 0, 1)
        assert contents(store.read("t")) == [0, 1]


def test_a_listing_that_has_lost_its_row_is_given_up_like_others() -> None:
    table = FakeTable()
    with ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, ManualClock())) as store:
        for number in range(40):
            store.append("t", say("a"), owner=f"owner-{number}")
            lost = layout.listing("default", "owner-3")
            table.rows = {key: row for key, row in table.rows.items() if key[0] != lost}
            store.delete_thread("t")
        store.append("t", say("a"), owner="ada")
        assert len([partition for partition, _ in table.rows if partition.startswith("L-")]) < 32


def test_a_copy_has_nothing_of_what_has_expired() -> None:
    table, clock = FakeTable(), ManualClock()
    with ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock)) as store:
        last, _ = store.append("t", say("a"), say("brief"), expires_in=[None, 60]).messages
        clock.advance(timedelta(minutes=2))
        origin = store.fork("t", "copy").forked_from
        assert origin is not None
        assert (origin.message, contents(store.read("copy"))) == (last.id, ["a"])
        assert sum("x" in row.properties for row in table.rows.values()) == 1


def test_two_erase_the_same_owner() -> None:
    """One has found a thread that the other has removed since."""

    class Late(FakeDriver):
        async def get(self, partition: str, row: str) -> Entity | None:
            if partition.startswith("L-"):
                other.erase("ada")
            return await super().get(partition, row)

    table, clock = FakeTable(), ManualClock()
    other = ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock))
    with ChatStore(AzureTablesBackend(Late(table), TABLES, clock)) as store:
        other.append("t", say("a"), owner="ada")
        assert store.erase("ada").threads == 0
        assert layout.listing("default", "ada") not in repr(table.rows)


@pytest.mark.parametrize("dialect", [TABLES, COSMOS], ids=["tables", "cosmos"])
def test_an_id_that_hundreds_have_had_stays_writable_and_erasable(dialect: Dialect) -> None:
    """What is left of the oldest is removed when the header would name too many of them."""
    table = FakeTable()
    with ChatStore(AzureTablesBackend(FakeDriver(table), dialect, ManualClock())) as store:
        for number in range(400):
            store.append("t", say(f"of-{number}"), owner=f"owner-{number}", request_id=f"r-{number}")
            store.delete_thread("t")
        last = store.append("t", say("of-400"), owner="owner-400", request_id="r-400")
        assert store.append("t", say("of-400"), owner="owner-400", request_id="r-400") == last
        assert len([row for partition, row in table.rows if not partition.startswith("X")]) < 200
        assert held(table, {"of-0", "owner-0", "of-300"}) == set()
        assert held(table, {"of-399", "of-400"}) == {"of-399", "of-400"}
        for number in range(401):
            store.erase(f"owner-{number}")
        assert held(table, {f"of-{number}" for number in range(401)}) == set()
        assert {row for _, row in table.rows if row.startswith(("m", "r"))} == set()


def test_requests_of_hundreds_about_a_thread_that_is_gone_leave_its_id_writable() -> None:
    table = FakeTable()
    with ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, ManualClock())) as store:
        store.append("t", say("a"))
        store.delete_thread("t")
        for number in range(400):
            store.for_owner(f"owner-{number}").clear("t", request_id="r")
        store.append("t", say("b"), owner="ada")
        assert contents(store.read("t")) == ["b"]
        assert [thread.id for thread in store.list_threads(owner="ada")] == ["t"]
