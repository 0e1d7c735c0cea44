"""Many at one thread at once, in memory and in SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from .many_writers import ManyProcesses, ManyWriters


class TestInMemory(ManyWriters):
    def url(self, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        return "memory://"


class TestInSqlite(ManyProcesses):
    def url(self, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        return f"sqlite:///{tmp_path}/chat.db?synchronous=NORMAL"
