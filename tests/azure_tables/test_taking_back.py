"""What a refused try wrote ahead is taken back, and nothing on which another may count."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest

from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.header import State
from chatstore.engines.fenced.port import Op
from chatstore.errors import NotFound
from chatstore.position import nth
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say
from tests.azure_tables.fake import FakeDriver, FakeTable

PARTITION = layout.partition("default", "t")
PAST = layout.next_epoch(None, 0)
MINE, OTHERS = layout.attempt(1000), layout.attempt(2000)
PIECES = {name: layout.chunk_row(layout.message_row(PAST, nth(9)), name, 0) for name in (MINE, OTHERS)}
STRAYS = [layout.key_row(f"stray-{number}") for number in range(150)]
"""More names than one group removes."""

LONG = random.Random(1).randbytes(200_000).hex()
KEYS = [f"k{number}" for number in range(20)]
"""More names than one group takes."""


class Meddled(FakeDriver):
    """A way to a table on which something happens once, when a try's pieces are there."""

    def __init__(self, table: FakeTable, meddle: Callable[[], object]) -> None:
        super().__init__(table)
        self._meddle: Callable[[], object] | None = meddle

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        etags = await super().submit(partition, ops)
        if self._meddle is not None and any(op.row.startswith("p") for op in ops):
            meddle, self._meddle = self._meddle, None
            meddle()
        return etags


def left(table: FakeTable) -> set[str]:
    """The pieces and names in the thread's partition."""
    return {row for partition, row in table.rows if partition == PARTITION and row[0] in "pq"}


def test_an_erasure_that_comes_first_leaves_no_piece_and_no_name() -> None:
    table, clock = FakeTable(), ManualClock()
    other = ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, clock))
    driver = Meddled(table, lambda: other.erase("mallory"))
    store = ChatStore(AzureTablesBackend(driver, TABLES, clock))
    store.append("t", say("a"), owner="mallory")
    with pytest.raises(NotFound):
        store.replace_all("t", [say(LONG)] * len(KEYS), key=KEYS, create=False)
    assert not left(table)


@pytest.mark.parametrize(
    ("header", "planned", "stay"),
    [
        ("living", ["its own"], True),
        ("living", ["its own", "a past one"], False),
        ("living", [None], False),
        ("deleted", ["its own"], False),
        ("deleted", [None], False),
        ("none", [None], False),
        ("none", ["a past one"], False),
    ],
)
def test_names_go_where_the_history_has_ended_that_a_try_was_planned_for(
    header: str, planned: Sequence[str | None], *, stay: bool
) -> None:
    table = FakeTable()
    backend = AzureTablesBackend(FakeDriver(table), TABLES, ManualClock())
    store = ChatStore(backend)
    own, named = "", set[str]()
    if header != "none":
        store.append("t", say("a"), key="named")
        if header == "deleted":
            store.delete_thread("t")
        own = State.load(table.rows[PARTITION, layout.HEADER].properties["s"]).epoch
        named = left(table) if header == "living" else set()
    pieces = [Op("insert", row, {"b00": b"x"}) for row in PIECES.values()]
    names = [Op("insert", row, {"i": "x", "a": f"{PAST}{nth(1)}"}) for row in STRAYS]
    for ops in (pieces, names[:99], names[99:]):
        table.apply(PARTITION, ops)
    before = table.rows.get((PARTITION, layout.HEADER))
    refused = {
        name: {"its own": own, "a past one": PAST, None: None}[plan]
        for name, plan in zip((MINE, layout.attempt(3000)), planned, strict=False)
    }
    asyncio.run(backend._writer._eraser().take_back(PARTITION, refused))
    assert left(table) == {PIECES[OTHERS], *named, *(STRAYS if stay else ())}
    assert contents(store.read("t")) == (["a"] if header == "living" else [])
    assert (table.rows.get((PARTITION, layout.HEADER)) == before) == stay
