"""Operations that meet on the log, at each call."""

from __future__ import annotations

from typing import cast

import pytest

import chatstore
from chatstore.contract import system_clock
from tests.backends.meetings import Meet, Meetings, Watched
from tests.log.memory_table import LogInMemory, MemoryTable


@pytest.fixture
def played() -> Meetings:
    table = MemoryTable()
    watched = Watched(table, ("put_new", "query", "get", "swap", "write", "remove"))
    one = chatstore.ChatStore(LogInMemory(cast("MemoryTable", watched), system_clock))
    two = chatstore.ChatStore(LogInMemory(table, system_clock))
    played = Meetings(one, two)
    watched.before = played.before_call
    return played


class TestLog(Meet):
    one_in = 12
