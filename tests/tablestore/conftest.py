"""Where the SDK's connections lead to: a service in memory, of each test."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.tablestore.connected import connected
from tests.tablestore.service import Service


@pytest.fixture
def service() -> Iterator[Service]:
    with connected(Service(time.time)) as service:
        yield service
