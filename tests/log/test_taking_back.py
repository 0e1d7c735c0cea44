"""A try that comes to nothing leaves none of the text that it wrote before its slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

import pytest

from chatstore import ChatStore
from chatstore.engines.log import Key, Row
from chatstore.errors import NotFound, Unavailable
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.log.memory_table import LogInMemory, MemoryTable

LONG = "z" * 400_000

WRITERS: dict[str, Callable[[ChatStore], object]] = {
    "append": lambda store: store.append("t", say(LONG), create=False),
    "replace": lambda store: store.replace_all("t", [say(LONG)]),
    "insert": lambda store: store.insert("t", say(LONG), before="key:first"),
    "put": lambda store: store.replace_message("t", "key:first", say(LONG)),
    "append with a cut": lambda store: store.append("t", say(LONG), after="key:first"),
}


class Meddled(MemoryTable):
    """A way to a table on which something happens once, beside the writing of a try's text."""

    def __init__(self, table: MemoryTable, meddle: Callable[[], object], *, first: bool = False) -> None:
        super().__init__()
        self.rows = table.rows
        self._meddle: Callable[[], object] | None = meddle
        self._first = first

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        meddle = None
        if any(str(row["sk"]).startswith("B#") for row in puts):
            meddle, self._meddle = self._meddle, None
        if meddle is not None and self._first:
            meddle()
        await super().write(puts, deletes)
        if meddle is not None and not self._first:
            meddle()


def texts(table: MemoryTable) -> int:
    """Bytes of the texts that are kept apart."""
    rows = (row for rows in table.rows.values() for row in rows.values())
    return sum(len(cast("bytes", row["b"])) for row in rows if str(row["sk"]).startswith("B#"))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("writer", WRITERS)
def test_an_erasure_comes_first(writer: str, *, first: bool) -> None:
    table, clock = MemoryTable(), ManualClock()
    other = ChatStore(LogInMemory(table, clock))
    store = ChatStore(LogInMemory(Meddled(table, lambda: other.erase("mallory"), first=first), clock))
    store.append("t", say("a"), say("b"), key=["first", None], owner="mallory")
    with pytest.raises(NotFound):
        WRITERS[writer](store)
    assert not texts(table)


@pytest.mark.parametrize("writer", WRITERS)
def test_another_writer_comes_first(writer: str) -> None:
    table, clock = MemoryTable(), ManualClock()
    other = ChatStore(LogInMemory(table, clock))
    store = ChatStore(LogInMemory(Meddled(table, lambda: other.append("t", say("c"))), clock))
    store.append("t", say("a"), say("b"), key=["first", None])
    WRITERS[writer](store)
    assert len(LONG) <= texts(table) < 2 * len(LONG)


@pytest.mark.parametrize("writer", WRITERS)
def test_the_answer_to_the_text_is_lost(writer: str) -> None:
    def lose() -> None:
        raise Unavailable("no answer")

    def meddle() -> None:
        other.erase("mallory")
        lose()

    table, clock = MemoryTable(), ManualClock()
    other = ChatStore(LogInMemory(table, clock))
    store = ChatStore(LogInMemory(Meddled(table, meddle), clock))
    store.append("t", say("a"), say("b"), key=["first", None], owner="mallory")
    with suppress(NotFound):
        WRITERS[writer](store)
    assert not texts(table)
