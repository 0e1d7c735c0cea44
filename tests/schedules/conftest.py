"""How much was explored, said at the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.schedules.explorer import Count


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Iterator[list[Count]]:
    """Collects what was explored."""
    counts: list[Count] = []
    yield counts
    record_property("different ends", sum(count.ends for count in counts))
    record_property("states", sum(count.states for count in counts))
