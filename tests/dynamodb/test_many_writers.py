"""Many at one thread at once, and writers that are killed between the calls of one operation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends import killing
from tests.backends.many_writers import SOAK, ManyProcesses
from tests.dynamodb.servers import url_for


class TestOnDynalite(ManyProcesses):
    rounds = 100 if SOAK else 15

    def url(self, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        return url_for(request.getfixturevalue("dynalite"), tmp_path, transactions="off", timeout="30")


def test_killed_writers(moto: str, tmp_path: Path) -> None:
    # dynalite ends with a client whose connection breaks off.
    killing.check(url_for(moto, tmp_path, timeout="30"), 1000 if SOAK else 30, longest=0.05)
