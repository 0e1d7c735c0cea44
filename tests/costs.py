"""What tests of costs share: a clock in the middle of an hour, and what the service's log says was billed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore.backends.postgres import exchange
from chatstore.blocking import run
from chatstore.http import logs
from chatstore.testing import ManualClock
from chatstore.urls import open_backend
from tests.azure_tables.azurite import ACCOUNT
from tests.dynamodb.servers import url_for
from tests.postgres.servers import Emptied
from tests.redis.servers import prefixed
from tests.servers import ROOT, table_for
from tests.tablestore import connected

__all__ = ["PLACES", "Units", "clock_in_an_hour", "lines", "metered", "written"]

PLACES = ("dynamodb", "azure", "postgres", "redis", "upstash", "tablestore")
"""The storages whose costs the pages tell, in the order of their columns."""


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
        self.trips = 0
        """How many there were since the last request, where nobody bills anything."""

    def emit(self, record: logging.LogRecord) -> None:
        billed = vars(record)["fields"]["units"]
        self.last, self.trips = {"trips": self.trips} if self.trips else billed, 0

    def count(self, *_: object) -> None:
        self.trips += 1


@contextlib.contextmanager
def metered(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Units]]:
    """The URL of an empty storage, and what is billed for each request, from the service's log."""
    fixture: Callable[[str], Any] = request.getfixturevalue
    with contextlib.ExitStack() as stack:
        units = Units()
        if place == "dynamodb":
            url = url_for(fixture("moto"), tmp_path)
        elif place == "azure":
            url = f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={fixture('azurite')}"
        elif place == "postgres":
            url = f"{Emptied(fixture('postgres')).url(tmp_path)}&prepared=off"
            stack.enter_context(pytest.MonkeyPatch.context()).setattr(exchange, "spent", units.count)
        elif place == "redis":
            url = prefixed(fixture("redis_url"), tmp_path)
        elif place == "upstash":
            url = prefixed(f"upstash://127.0.0.1:{fixture('proxied')[1]}", tmp_path)
        else:
            fixture("service")
            url = connected.url_for(tmp_path)
            run(open_backend(url, blocking=True, clock=clock_in_an_hour()).prepare())
        if place in ("redis", "upstash"):
            _used(url)
        log = logging.getLogger(logs.ACCESS)
        stack.callback(log.setLevel, log.level)
        log.addHandler(units)
        stack.callback(log.removeHandler, units)
        log.setLevel(logging.INFO)
        yield url, units


def _used(url: str) -> None:
    """Have the server know every script: a script that is new to it is sent once more, with its text."""
    with chatstore.connect(url) as store:
        used = store.for_tenant("used before")
        for number in range(2):
            used.append("t", {"role": "user", "content": str(number)}, request_id=chatstore.uuid7())
            used.append("t", {"role": "user", "content": str(number)})
        [first, *_] = used.read("t").items
        used.replace_message("t", first.id or "", {"role": "user", "content": "another"})
        used.read("t", last=2)
        used.get_message("t", first.id or "")
        used.delete_message("t", first.id or "")
        used.fork("t", "u")
        used.replace_all("t", [{"role": "user", "content": "new"}])
        assert len(used.list_threads().items) == 2
        used.clear("u")
        used.delete_thread("t")


def written(units: dict[str, float]) -> str:
    """Units as the pages' tables have them."""
    for name in ("transactions", "trips", "commands", "requests"):
        if name in units:
            return f"{units[name]:g}"
    if "write_cu" in units or "read_cu" in units:
        return f"{units.get('write_cu', 0):g} + {units.get('read_cu', 0):g}"
    return f"{units.get('wru', 0):g} + {units.get('rru', 0):g}"


def lines(page: str, place: str) -> dict[str, str]:
    """What a page's table says of each operation on a storage."""
    text = (ROOT / "docs" / page).read_text().partition("## Costs")[2]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: row[1 + PLACES.index(place)] for row in rows if row[0] != "operation"}
