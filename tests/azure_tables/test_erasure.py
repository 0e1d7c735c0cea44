"""After an erasure no row holds anything of the owner, and all of a neighbour."""

from __future__ import annotations

import contextlib
import random
from datetime import timedelta

import pytest

from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.payload import unpack
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
