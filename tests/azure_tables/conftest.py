"""A table in memory, and a clock that tests set."""

from __future__ import annotations

import pytest

from chatstore.testing import ManualClock
from tests.azure_tables.fake import FakeTable


@pytest.fixture
def table() -> FakeTable:
    return FakeTable()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
