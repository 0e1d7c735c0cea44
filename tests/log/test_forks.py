"""A fork is decided only while its source is as it was copied, and its own id is free."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chatstore import ChatStore
from chatstore.engines.log import Key, Row
from chatstore.errors import ThreadExists
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say, whole
from tests.log.memory_table import LogInMemory, MemoryTable


class Meddled(MemoryTable):
    """A way to a table on which something happens right before each of the first pairs is written."""

    def __init__(self, table: MemoryTable, *meddles: Callable[[], object]) -> None:
        super().__init__()
        self.rows = table.rows
        self._meddles = list(meddles)

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        if free is not None and self._meddles:
            self._meddles.pop(0)()
        return await super().put_new(row, free=free)


@pytest.mark.parametrize(
    ("meddle", "copied"),
    [
        (lambda store: store.append("t", say("c"), say("d")), ["a", "b", "c", "d"]),
        (lambda store: store.pop("t"), ["a"]),
        (lambda store: store.replace_all("t", [say("other")]), ["other"]),
        (lambda store: store.clear("t"), []),
        (lambda store: [store.append("t", say(number)) for number in range(9)], ["a", "b", *range(9)]),
    ],
)
def test_what_was_decided_before_it_is_in_the_copy(
    meddle: Callable[[ChatStore], object], copied: list[object]
) -> None:
    table, clock = MemoryTable(), ManualClock()
    other = ChatStore(LogInMemory(table, clock))
    store = ChatStore(LogInMemory(Meddled(table, lambda: meddle(other)), clock))
    store.append("t", say("a"), say("b"))
    store.fork("t", "copy")
    for reader in (store, other, ChatStore(LogInMemory(table, clock))):
        assert contents(whole(reader, "copy")) == copied
        assert contents(whole(reader, "t")) == copied
    other.append("copy", say("more"))
    assert contents(whole(store, "copy")) == [*copied, "more"]


@pytest.mark.parametrize("changed", [False, True])
def test_an_id_that_is_taken_meanwhile_is_refused(*, changed: bool) -> None:
    table, clock = MemoryTable(), ManualClock()
    other = ChatStore(LogInMemory(table, clock))
    meddles: list[Callable[[], object]] = [lambda: other.append("copy", say("mine"))]
    if changed:
        # The first try fails by the source, so the second has to look for the id where it is.
        meddles.insert(0, lambda: other.replace_all("t", [say("b"), say("c")]))
        meddles.insert(1, lambda: other.append("t", say("d")))
    store = ChatStore(LogInMemory(Meddled(table, *meddles), clock))
    store.append("t", say("a"))
    with pytest.raises(ThreadExists):
        store.fork("t", "copy")
    assert contents(whole(store, "copy")) == contents(whole(other, "copy")) == ["mine"]
