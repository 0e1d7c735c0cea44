"""Operations that meet on the log, at each call."""

from __future__ import annotations

from typing import cast

import pytest

import chatstore
from chatstore.contract import system_clock
from tests.backends.meetings import BEGINNINGS, OPERATIONS, Meetings, Watched
from tests.log.memory_table import LogInMemory, MemoryTable


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("first", OPERATIONS)
def test_what_two_come_to_is_what_one_order_of_them_comes_to(beginning: str, first: str) -> None:
    table = MemoryTable()
    watched = Watched(table, ("put_new", "query", "get", "swap", "write", "remove"))
    one = chatstore.ChatStore(LogInMemory(cast("MemoryTable", watched), system_clock))
    two = chatstore.ChatStore(LogInMemory(table, system_clock))
    played = Meetings(one, two)
    watched.before = played.before_call
    played.check(beginning, first, one_in=12)
