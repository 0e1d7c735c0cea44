"""The examples of the page about new backends keep the contract, and are what the page shows."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import ClassVar

import pytest

from chatstore.contract import Backend, Capability, Clock
from chatstore.engines.fenced import port as fenced
from chatstore.engines.log import port as log
from chatstore.engines.sql import port as sql
from chatstore.testing import BackendContract, MachineContract, opted_out
from chatstore.testing.colours import Colour
from examples.fenced_driver import FencedInMemory, MemoryDriver, MemoryGroups
from examples.log_driver import LogInMemory, MemoryTable
from examples.toy_backend import ToyBackend
from tests.conftest import SOAK

EITHER = {Colour.BLOCKING: (0,), Colour.ASYNC: (1, 2)}
"""None of these ever waits: a test tells the same in either colour."""


class TestToy(BackendContract, MachineContract):
    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return ToyBackend(tmp_path / "threads", clock=clock)

    test_two_backends_see_each_others_writes = opted_out("one process at a time")
    thirds: ClassVar = EITHER


class InMemory(BackendContract, MachineContract):
    one_in = 5 if SOAK else 10
    thirds: ClassVar = EITHER
    test_what_was_written_outlives_the_backend = opted_out("a dictionary goes with its process")
    test_two_backends_see_each_others_writes = opted_out("a dictionary is its process's own")


class TestLogDriver(InMemory):
    @pytest.fixture(autouse=True)
    def _rows(self) -> None:
        self.table = MemoryTable(page=3)

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return LogInMemory(self.table, clock)


class TestFencedDriver(InMemory):
    """Backends on Azure's tables try the rest of the cases on the same engine."""

    one_in = 50
    one_case_in = 4

    @pytest.fixture(autouse=True)
    def _rows(self) -> None:
        self.groups = MemoryGroups()

    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return FencedInMemory(MemoryDriver(self.groups), clock)


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-backend.md").read_text()
QUOTES = re.findall(r"^<!-- (\S+) -->\n```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SOURCES = {source for source, _ in QUOTES}


@pytest.mark.parametrize(("source", "quoted"), QUOTES)
def test_what_the_page_quotes_is_there(source: str, quoted: str) -> None:
    assert quoted in (ROOT / source).read_text()


def test_the_page_quotes_each_example() -> None:
    examples = {"examples/toy_backend.py", "examples/log_driver.py", "examples/fenced_driver.py"}
    assert {"tests/contract/test_toy.py", *examples} == SOURCES


def test_a_driver_takes_less_than_a_page_and_a_half() -> None:
    for name in ("log_driver", "fenced_driver"):
        assert len((ROOT / "examples" / f"{name}.py").read_text().splitlines()) < 120


def test_the_page_counts_what_a_driver_has_to_fill() -> None:
    def methods(port: type) -> set[str]:
        return {name for name, value in vars(port).items() if inspect.isfunction(value) and name[0] != "_"}

    counts = [
        len(methods(sql.Driver) | methods(sql.Transaction)),
        len(methods(fenced.Driver)),
        len(log.Table.__abstractmethods__),
    ]
    assert [int(count) for count in re.findall(r"in `port.py`: (\d+) ", PAGE)] == counts


def test_the_page_lists_every_capability() -> None:
    assert re.findall(r"^\| ([A-Z]+) \|", PAGE, re.MULTILINE) == [
        capability.name for capability in Capability
    ]
