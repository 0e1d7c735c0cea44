"""Round trips, counted at the socket; plans; and what an append does to a row's indexes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

import chatstore
from chatstore.backends.postgres.links import BlockingLink
from chatstore.backends.postgres.texts import written
from chatstore.testing.samples import say
from tests.conftest import SOAK
from tests.postgres.proxy import Wire, wired
from tests.postgres.servers import SCHEMA

CALLS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "append": (1, lambda store: store.append("t", say("a"), say("b"))),
    "append to a new thread": (1, lambda store: store.append("new", say("a"), owner="mallory")),
    "append with a request id": (1, lambda store: store.append("t", say("a"), request_id="once")),
    "append of a message with a key": (
        1,
        lambda store: store.append("t", say("a"), key="k", metadata={"a": 1}),
    ),
    "last 20": (1, lambda store: store.read("t", last=20)),
    "a page": (1, lambda store: store.read("t", limit=5)),
    "a page behind a message": (1, lambda store: store.read("t", after="key:first", limit=5)),
    "threads of a kind": (1, lambda store: store.list_threads(kind="agent")),
    "threads by metadata": (1, lambda store: store.list_threads(metadata={"a": 1}, limit=5)),
    "threads with previews": (1, lambda store: store.list_threads(preview=True, limit=5)),
    "a list": (1, lambda store: store.list_threads(limit=5)),
    "an owner's list": (1, lambda store: store.list_threads(owner="mallory")),
    "properties": (1, lambda store: store.get_thread("t")),
    "a ping": (1, lambda store: store.ping()),
}


FILLED = 1_000_000 if SOAK else 10_000
TABLES = ("threads", "messages", "requests")
THREADS = f"'{SCHEMA}.threads'::regclass"
FILL = f"""
INSERT INTO {SCHEMA}.threads (tenant, id, owner, metadata, participants, created_at, active_at,
        revision, epoch, tail, edits)
    SELECT 'default', 'thread ' || n, 'owner ' || n % 500, '{{}}', '[]', n * 10000000::bigint,
        n * 10000000::bigint, 'r', 'e', 1, 0 FROM generate_series(1, {FILLED}) n;
INSERT INTO {SCHEMA}.messages (thread, position, id, text, created_at, revision)
    SELECT (SELECT key FROM {SCHEMA}.threads WHERE tenant = 'default' AND id = 't'),
        lpad((n + 1)::text, 10, '0'), 'id ' || n, '{{"role":"user"}}', 0, 0 FROM generate_series(1, 10000) n;
INSERT INTO {SCHEMA}.messages (thread, position, id, text, created_at, revision)
    SELECT key, lpad(n::text, 10, '0'), 'id ' || n, '{{"role":"user"}}', 0, 0
        FROM {SCHEMA}.threads, generate_series(1, 3) n WHERE id <> 't' LIMIT 30000;
UPDATE {SCHEMA}.threads SET tail = 10001 WHERE id = 't';
INSERT INTO {SCHEMA}.requests (tenant, thread, scope, id, digest, result, expires_at)
    SELECT 'default', 'thread ' || n, 'append', 'id ' || n, '', '{{}}', n * 10000000::bigint
        FROM generate_series(1, {FILLED}) n
"""  # noqa: S608


def trips(wire: Wire, call: Callable[[], Any]) -> tuple[int, Any]:
    before = wire.trips
    result = call()
    return wire.trips - before, result


@pytest.mark.parametrize("what", CALLS)
def test_trips_of_a_warm_store(url: str, what: str) -> None:
    count, call = CALLS[what]
    with wired(url) as (address, wire), chatstore.connect(address) as store:
        store.append("t", *map(say, range(30)), key=["first", *[None] * 29], owner="mallory")
        seen, result = trips(wire, lambda: call(store))
        assert seen == count
        if result is not None:
            assert result.cost.trips == count


def test_trips_in_a_loop(url: str) -> None:
    async def main(address: str, wire: Wire) -> list[int]:
        async with chatstore.aconnect(address) as store:
            await store.append("t", say("a"))
            counts = []
            for call in (lambda: store.append("t", say("b")), lambda: store.read("t", last=20)):
                before = wire.trips
                await call()
                counts.append(wire.trips - before)
            return counts

    with wired(url) as (address, wire):
        assert asyncio.run(main(address, wire)) == [1, 1]


def test_a_repeated_request_and_a_condition_are_one_trip(url: str) -> None:
    with wired(url) as (address, wire), chatstore.connect(address) as store:
        first = store.append("t", say("a"), request_id="once")
        seen, again = trips(wire, lambda: store.append("t", say("a"), request_id="once"))
        assert (seen, again) == (1, first)
        seen, _ = trips(wire, lambda: store.append("t", say("b"), if_match=first.etag))
        assert seen == 1


def test_an_append_leaves_the_threads_indexes_alone(url: str, postgres: str) -> None:
    """Within the 67 seconds that are one in the index, all but the room of a page makes a row hot."""
    with chatstore.connect(url) as store, psycopg.connect(postgres, autocommit=True) as db:
        asked = f"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables WHERE relid = {THREADS}"  # noqa: S608
        store.append("t", say("a"), owner="mallory")
        store.close()
        db.execute("SELECT pg_stat_force_next_flush()")
        before = db.execute(asked.encode()).fetchone()
        for number in range(200):
            store.append("t", say(number))
        store.close()  # a server process tells its counts as it ends
        updates = hot = 0
        for _ in range(100):
            db.execute("SELECT pg_sleep(0.05), pg_stat_clear_snapshot()")
            after = db.execute(asked.encode()).fetchone()
            assert before is not None
            assert after is not None
            updates, hot = after[0] - before[0], after[1] - before[1]
            if updates == 200:
                break
        assert updates == 200
        assert hot >= 190


def test_plans_are_scans_of_indexes(url: str, postgres: str) -> None:
    """With ten thousand threads, messages and requests, or a million, nothing reads a table through."""
    plans: dict[str, str] = {}
    with chatstore.connect(url) as store, psycopg.connect(postgres, autocommit=True) as db:
        store.append("t", say("a"), key="first", owner="mallory")
        for table in TABLES:
            db.execute(f"ALTER TABLE {SCHEMA}.{table} SET (autovacuum_enabled = false)".encode())
        db.execute(FILL.encode())
        for table in TABLES:
            db.execute(f"VACUUM ANALYZE {SCHEMA}.{table}".encode())
        for name, (_, call) in CALLS.items():
            sent: list[tuple[bytes, list[Any]]] = []
            with pytest.MonkeyPatch.context() as patch:
                noted(patch, sent)
                call(store)
            for sql, parameters in sent:
                if b"threads" in sql:
                    rows = psycopg.RawCursor(db).execute(b"EXPLAIN " + sql, written(parameters)).fetchall()
                    plans[name] = "\n".join(row[0] for row in rows)
    assert {"append", "last 20", "a list", "an owner's list"} <= plans.keys()
    for name, plan in plans.items():
        assert not re.search(r"Seq Scan on (threads|messages|requests)", plan), f"{name}:\n{plan}"
        if "list" in name:
            assert "Incremental Sort" in plan, plan


def noted(patch: pytest.MonkeyPatch, sent: list[tuple[bytes, list[Any]]]) -> None:
    """Have every statement that is sent noted."""
    real = BlockingLink.fetch

    async def fetch(self: BlockingLink, sql: bytes, parameters: Any = ()) -> Any:
        sent.append((sql, list(parameters)))
        return await real(self, sql, parameters)

    patch.setattr(BlockingLink, "fetch", fetch)
