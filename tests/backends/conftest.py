"""A store in a file, and a clock that tests set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import chatstore
from chatstore.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def store(path: Path, clock: ManualClock) -> Iterator[chatstore.ChatStore]:
    with chatstore.connect(f"sqlite:///{path}", clock=clock) as store:
        yield store
