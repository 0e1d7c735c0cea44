"""A store on SQLite whose steps are as short as they can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import chatstore
from chatstore.engines.sql import steps
from chatstore.testing import ManualClock


@pytest.fixture(autouse=True)
def shortest_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "STEP_SECONDS", 0.0)


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
