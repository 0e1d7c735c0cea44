"""The backend of the documentation keeps the contract, and is the one that the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chatstore.contract import Backend, Capability, Clock
from chatstore.testing import BackendContract, MachineContract, opted_out
from examples.toy_backend import ToyBackend


class TestToy(BackendContract, MachineContract):
    def open_backend(self, *, blocking: bool, clock: Clock, tmp_path: Path) -> Backend:
        return ToyBackend(tmp_path / "threads", clock=clock)

    test_two_backends_see_each_others_writes = opted_out("one process at a time")


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-backend.md").read_text()
QUOTES = re.findall(r"^<!-- (\S+) -->\n```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("source", "quoted"), QUOTES)
def test_what_the_page_quotes_is_there(source: str, quoted: str) -> None:
    assert quoted in (ROOT / source).read_text()


def test_the_page_quotes_both_files() -> None:
    assert {source for source, _ in QUOTES} == {"examples/toy_backend.py", "tests/contract/test_toy.py"}


def test_the_page_lists_every_capability() -> None:
    assert re.findall(r"^\| ([A-Z]+) \|", PAGE, re.MULTILINE) == [
        capability.name for capability in Capability
    ]
