"""A call that is closed while it waits ends there, as a loop that stops ends what it has not finished."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from chatstore.contract import Draft, NewThread, ThreadKey
from chatstore.engines.log import Key, Row
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say, whole
from tests.log.doubles import Pause
from tests.log.memory_table import LogInMemory, MemoryTable

KEY = ThreadKey("default", "t")


class Contested(MemoryTable):
    """A process's way to a table on which others are always faster; each of its writes takes a while."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__()
        self.rows = table.rows
        self._others = ChatStore(LogInMemory(table, ManualClock()))

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self._others.append("t", say("faster"))
        return await super().put_new(row, free=free)

    async def write(self, puts: Any, deletes: Any = ()) -> None:
        await Pause()
        await super().write(puts, deletes)

    async def pause(self, seconds: float) -> None:
        await Pause()


def steps(call: Coroutine[Any, Any, Any], most: int) -> int:
    """How often a call waits, up to `most` times."""
    for number in range(most):
        try:
            call.send(None)
        except StopIteration:
            return number
    return most


@pytest.mark.parametrize("waits", range(12))
def test_a_call_that_is_closed_while_it_waits(waits: int) -> None:
    table = MemoryTable()
    store = ChatStore(LogInMemory(table, ManualClock()))
    store.append("t", say("first"))
    slow = LogInMemory(Contested(table), ManualClock())
    call = slow.append(KEY, [Draft('{"role":"user","content":"slow"}')], create=NewThread(), if_match=None,
                       request=None)  # fmt: skip
    assert steps(call, waits) == waits
    call.close()
    assert "slow" not in contents(whole(store, "t"))
    store.append("t", say("last"))
    assert contents(whole(store, "t"))[-1] == "last"
