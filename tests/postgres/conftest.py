"""A store of each test, in a schema that it finds empty."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.postgres.servers import Emptied, Killable


@pytest.fixture
def url(postgres: str, tmp_path: Path) -> str:
    """Where an empty store is."""
    return Emptied(postgres).url(tmp_path)


@pytest.fixture
def killable(postgres: str) -> Iterator[Killable]:
    """A server of the test's own. It begins as a copy of everybody's, which is made sooner than a new one."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = Killable(folder)
        server.start(primary=urlsplit(postgres).port)
        with psycopg.connect(server.url) as db:
            db.execute("SELECT pg_promote()")
        yield server
        server.kill()
