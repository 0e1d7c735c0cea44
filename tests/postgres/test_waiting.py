"""Writers that wait for a thread whose row is another one by the time they have it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

import chatstore
from chatstore.backends.postgres.exchange import Result
from chatstore.backends.postgres.links import BlockingLink
from chatstore.testing.samples import contents, say, whole
from tests.postgres.servers import SCHEMA

WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chatstore' AND wait_event_type = 'Lock'
"""
TAKE_ITS_PLACE = f"""
UPDATE {SCHEMA}.threads SET tenant = '', id = 'what was there' WHERE id = 't';
INSERT INTO {SCHEMA}.threads (tenant, id, metadata, participants, created_at, active_at, revision, epoch,
    tail, edits) VALUES ('default', 't', '{{}}', '[]', 0, 0, 'r', 'e', 0, 0)
"""  # noqa: S608


class Gate:
    """Holds back the first statement that changes something, until it is opened."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.reached, self._open = threading.Event(), threading.Event()
        real, gate = BlockingLink.fetch, self

        async def fetch(self: BlockingLink, sql: bytes, parameters: Sequence[Any] = ()) -> Result:
            if sql.startswith((b"UPDATE", b"DELETE", b"INSERT")) and not gate.reached.is_set():
                gate.reached.set()
                assert gate._open.wait(60)
            return await real(self, sql, parameters)

        patch.setattr(BlockingLink, "fetch", fetch)

    def open(self) -> None:
        self._open.set()


def await_waiting(db: psycopg.Connection[Any], count: int) -> None:
    """Wait until so many of the store's connections wait for a lock."""
    until = time.monotonic() + 60
    while (db.execute(WAITING).fetchone() or (0,))[0] < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_who_waited_holds_the_row_that_took_the_place(
    url: str, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long history that is replaced gets another row: two who replace it then do so one after the other."""
    place = f"{url}&timeout=60"
    with (
        chatstore.connect(place) as store,
        psycopg.connect(postgres) as holder,
        psycopg.connect(postgres, autocommit=True) as db,
        ThreadPoolExecutor(2) as pool,
    ):
        store.append("t", say("a"))
        holder.execute(f"SELECT 1 FROM {SCHEMA}.threads WHERE id = 't' FOR UPDATE".encode())  # noqa: S608
        first = pool.submit(store.replace_all, "t", [say("b"), say("b")])
        await_waiting(db, 1)
        gate = Gate(monkeypatch)
        holder.execute(TAKE_ITS_PLACE.encode())
        holder.commit()
        assert gate.reached.wait(60)
        second = pool.submit(store.replace_all, "t", [say("c"), say("c")])
        until = time.monotonic() + 60
        while not second.done() and not (db.execute(WAITING).fetchone() or (0,))[0]:
            assert time.monotonic() < until
            time.sleep(0.01)
        gate.open()
        first.result(60)
        second.result(60)
        assert contents(whole(store, "t")) == ["c", "c"]
