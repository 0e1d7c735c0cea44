"""How many schedules were run, said at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def schedules(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """To be told how many schedules of what were run."""

    def schedules(what: str, count: int) -> None:
        assert count > 0
        record_property("schedules", (what, count))

    return schedules
