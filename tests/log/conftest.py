"""What several rooms of the log's tests look at."""

from __future__ import annotations

import pytest

from tests.log.kept import Kept


@pytest.fixture
def kept() -> Kept:
    return Kept()
