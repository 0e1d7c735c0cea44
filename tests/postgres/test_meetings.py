"""Operations that meet on PostgreSQL, at each statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
import pytest

import chatstore
from chatstore.backends.postgres.exchange import Result
from chatstore.backends.postgres.links import BlockingLink
from chatstore.engines.sql import steps
from tests.backends.meetings import Meet, Meetings
from tests.conftest import SOAK

WAITING = """
SELECT 1 FROM pg_stat_activity
WHERE application_name = 'chatstore' AND (wait_event_type = 'Lock' OR wait_event = 'VacuumTruncate')
"""
"""Whether a call waits for another's transaction; VACUUM gives up after 5 s, and leaves some space."""


@pytest.fixture(params=[steps.STEP_SECONDS, 0.0] if SOAK else [steps.STEP_SECONDS])
def played(
    url: str, postgres: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Meetings]:
    """With steps as they are, and as short as they can be."""
    monkeypatch.setattr(steps, "STEP_SECONDS", request.param)
    place = f"{url}&timeout=60"
    with (
        chatstore.connect(place) as one,
        chatstore.connect(place) as two,
        psycopg.connect(postgres, autocommit=True) as db,
    ):
        played = Meetings(one, two, lambda: db.execute(WAITING).fetchone() is not None)
        fetch, many = BlockingLink.fetch, BlockingLink.many

        async def fetched(self: BlockingLink, sql: bytes, *given: Any, **more: Any) -> Result:
            played.before_call()
            return await fetch(self, sql, *given, **more)

        async def manied(self: BlockingLink, sql: bytes, rows: Iterable[Sequence[Any]]) -> None:
            played.before_call()
            await many(self, sql, rows)

        monkeypatch.setattr(BlockingLink, "fetch", fetched)
        monkeypatch.setattr(BlockingLink, "many", manied)
        yield played


class TestPostgres(Meet):
    one_in = 48
