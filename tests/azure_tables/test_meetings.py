"""Operations that meet on Azure's tables, at each call."""

from __future__ import annotations

import pytest

import chatstore
from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.contract import system_clock
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.backends.meetings import Meet, Meetings, Watched


def azure(table: FakeTable) -> tuple[chatstore.ChatStore, Watched]:
    driver = Watched(FakeDriver(table), ("get", "page", "submit"))
    return chatstore.ChatStore(AzureTablesBackend(driver, TABLES, system_clock)), driver


@pytest.fixture
def played() -> Meetings:
    table = FakeTable()
    (one, driver), (two, _) = azure(table), azure(table)
    played = Meetings(one, two)
    driver.before = played.before_call
    return played


class TestAzureTables(Meet):
    one_in = 12
