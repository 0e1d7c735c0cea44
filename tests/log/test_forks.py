"""A fork is decided only while its source is as it was copied, and its own id is free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatstore import ChatStore
from chatstore.engines.log import Key, Row, Rows
from chatstore.errors import ThreadExists, ThreadNotFound
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


@pytest.mark.parametrize("through", [False, True])
def test_a_source_that_is_erased_while_it_is_copied_is_no_thread(*, through: bool) -> None:
    """It is not told that a message or a part of it is missing."""
    table, clock = MemoryTable(), ManualClock()
    other = ChatStore(LogInMemory(table, clock))
    first = other.append("t", say("a"), say("b" * 250_000), owner="ada").messages[0].id

    class Behind(MemoryTable):
        """The source is erased behind the look at it."""

        looked = 0

        async def query(self, pk: str, low: str, high: str, **asked: Any) -> Rows:
            found = await super().query(pk, low, high, **asked)
            self.looked += pk == "T#default#t"
            if self.looked == 1 and pk == "T#default#t":
                other.erase("ada")
            return found

    behind = Behind()
    behind.rows = table.rows
    with pytest.raises(ThreadNotFound):
        ChatStore(LogInMemory(behind, clock)).fork("t", "copy", through=first if through else None)
    assert behind.looked > 1


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
