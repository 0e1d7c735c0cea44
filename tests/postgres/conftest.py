"""A store of each test, in a schema that it finds empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres.servers import Emptied


@pytest.fixture
def url(postgres: str, tmp_path: Path) -> str:
    """Where an empty store is."""
    return Emptied(postgres).url(tmp_path)
