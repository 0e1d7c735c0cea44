"""What tests of costs share: a clock in the middle of an hour, and what the service's log says was billed."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from chatstore.http import logs
from chatstore.testing import ManualClock
from tests.azure_tables.azurite import ACCOUNT
from tests.dynamodb.servers import url_for
from tests.servers import ROOT, table_for

__all__ = ["Units", "billed", "clock_in_an_hour", "lines", "table_of_its_own", "written"]


def clock_in_an_hour() -> ManualClock:
    """Ten minutes into an hour: another one costs more."""
    clock = ManualClock()
    clock.advance(timedelta(minutes=70 - clock.now.minute))
    return clock


class Units(logging.Handler):
    """What the storage billed for the last request."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.last = vars(record)["fields"]["units"]


@contextlib.contextmanager
def billed() -> Iterator[Units]:
    """What is billed for each request, from the service's log."""
    units, log = Units(), logging.getLogger(logs.ACCESS)
    level = log.level
    log.addHandler(units)
    log.setLevel(logging.INFO)
    try:
        yield units
    finally:
        log.removeHandler(units)
        log.setLevel(level)


def table_of_its_own(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a table of the test, on DynamoDB or on Azure."""
    if place == "dynamodb":
        return url_for(request.getfixturevalue("moto"), tmp_path)
    return f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={request.getfixturevalue('azurite')}"


def written(units: dict[str, float]) -> str:
    """Units as the pages' tables have them."""
    if "transactions" in units:
        return f"{units['transactions']:g}"
    return f"{units.get('wru', 0):g} + {units.get('rru', 0):g}"


def lines(page: str, column: int) -> dict[str, str]:
    """What a page's table says of each operation in a column."""
    text = (ROOT / "docs" / page).read_text().partition("## Costs")[2]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    return {row[0]: row[column] for row in rows if row[0] not in ("operation", "---")}
