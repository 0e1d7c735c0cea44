"""Many at one thread at once, and writers that are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends import killing
from tests.backends.many_writers import SOAK, ManyProcesses
from tests.postgres.servers import Emptied


class TestInPostgres(ManyProcesses):
    rounds = 320 if SOAK else 20
    tasks = 200 if SOAK else 64

    def url(self, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        return Emptied(request.getfixturevalue("postgres")).url(tmp_path)


def test_killed_writers(url: str) -> None:
    killing.check(url, 1000 if SOAK else 40, longest=0.004)
