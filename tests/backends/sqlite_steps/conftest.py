"""A store on SQLite whose steps are as short as they can be."""

from __future__ import annotations

import pytest

from chatstore.engines.sql import steps


@pytest.fixture(autouse=True)
def shortest_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "STEP_SECONDS", 0.0)
