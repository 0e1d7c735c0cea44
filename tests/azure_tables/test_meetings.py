"""Operations that meet on Azure's tables, at each call."""

from __future__ import annotations

import pytest

import chatstore
from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.contract import system_clock
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.backends.meetings import BEGINNINGS, OPERATIONS, Meetings, Watched


def azure(table: FakeTable) -> tuple[chatstore.ChatStore, Watched]:
    driver = Watched(FakeDriver(table), ("get", "page", "submit"))
    return chatstore.ChatStore(AzureTablesBackend(driver, TABLES, system_clock)), driver


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("first", OPERATIONS)
def test_what_two_come_to_is_what_one_order_of_them_comes_to(beginning: str, first: str) -> None:
    table = FakeTable()
    (one, driver), (two, _) = azure(table), azure(table)
    played = Meetings(one, two)
    driver.before = played.before_call
    played.check(beginning, first, one_in=12)
