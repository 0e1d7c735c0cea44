"""A page's ETag is that of what it shows, whatever is edited while it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatstore import ChatStore
from chatstore.engines.log import Rows
from chatstore.models import Message, Page
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say
from tests.log.memory_table import LogInMemory, MemoryTable

EDITS: dict[str, Callable[[ChatStore], object]] = {
    "put": lambda store: store.replace_message("t", "key:0", say("other")),
    "take": lambda store: store.delete_message("t", "key:0"),
    "add": lambda store: store.insert("t", say("more"), before="key:0"),
    "rate": lambda store: store.update_message("t", "key:0", metadata={"rating": 5}),
}
READS: dict[str, dict[str, Any]] = {
    "from the start": {"limit": 1},
    "up to one": {"before": "key:1", "limit": 1},
    "more than a query": {"limit": 20},
}


class Meddled(MemoryTable):
    """A way to a table on which something happens in front of the query of that number."""

    def __init__(self, table: MemoryTable, number: int, meddle: Callable[[], object]) -> None:
        super().__init__()
        self.rows = table.rows
        self._left = number
        self._meddle = meddle

    async def query(self, *bounds: Any, **options: Any) -> Rows:
        self._left -= 1
        if self._left == 0:
            self._meddle()
        return await super().query(*bounds, **options)


def shown(page: Page[Message]) -> tuple[object, ...]:
    return contents(page), [one.metadata for one in page], page.etag


@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_between_two_queries(edit: str, read: str, number: int) -> None:
    table, clock = MemoryTable(), ManualClock()
    other = ChatStore(LogInMemory(table, clock))
    for one in range(40):
        other.append("t", say(one), key=str(one))
    store = ChatStore(LogInMemory(Meddled(table, number, lambda: EDITS[edit](other)), clock))
    before, page, after = (shown(one.read("t", **READS[read])) for one in (other, store, other))
    assert page in (before, after)
