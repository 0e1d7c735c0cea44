"""PostgreSQL: chatstore beside two programs that are written by hand, and beside LlamaIndex's own store.

``python -m bench.postgres postgresql://USER@HOST/DATABASE`` makes the schemas ``bench_chatstore`` and
``bench_floor`` there, and LlamaIndex's table ``data_bench``. Medians of each operation, in microseconds,
the processor's time of it on both sides where the server is on this machine, and bytes of WAL for an append,
at several lengths of a thread. Those that are compared take turns. On a machine that does other work, the
processor's time is what can be compared.

The *statement* sends one statement on a connection that it keeps, with text that is JSON already. The program
*by hand* does what a store of chats cannot do without: it takes a connection from a pool and looks whether
it lives, writes and reads JSON, and gives dictionaries with ids and times. Both use psycopg as it comes.
"""

from __future__ import annotations

import hashlib
import json
import queue
import select
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

import chatstore

LENGTHS = (100, 10_000, 100_000)
ROUNDS = 300
TEXT = json.dumps({"role": "user", "content": "x" * 200})
MESSAGE = json.loads(TEXT)
PEERS = Path(__file__).parents[1] / ".venv-peers-llama-index" / "bin" / "python"

TABLES = """
DROP SCHEMA IF EXISTS bench_floor CASCADE;
CREATE SCHEMA bench_floor;
CREATE TABLE bench_floor.threads (
    key bigint PRIMARY KEY, tenant text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    tail bigint NOT NULL, active_at timestamptz NOT NULL, UNIQUE (tenant, id)
) WITH (fillfactor = 80);
CREATE TABLE bench_floor.messages (
    thread bigint, position text COLLATE "C", id text COLLATE "C" NOT NULL, text text NOT NULL,
    created_at timestamptz NOT NULL, PRIMARY KEY (thread, position), UNIQUE (thread, id)
);
CREATE TABLE bench_floor.requests (
    tenant text COLLATE "C", thread text COLLATE "C", id text COLLATE "C", digest text NOT NULL,
    message text NOT NULL, position text NOT NULL, made_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, thread, id)
)
"""
APPEND = """
WITH log AS (
    UPDATE bench_floor.threads SET tail = tail + 1, active_at = now() WHERE tenant = %s AND id = %s
    RETURNING key, tail
) INSERT INTO bench_floor.messages SELECT key, lpad(tail::text, 10, '0'), %s, %s, now() FROM log
RETURNING position, created_at
"""
APPEND_ONCE = """
WITH asked AS (
    SELECT digest, message, position, made_at FROM bench_floor.requests
    WHERE tenant = %(tenant)s AND thread = %(thread)s AND id = %(request)s
), log AS (
    UPDATE bench_floor.threads SET tail = tail + 1, active_at = now()
    WHERE tenant = %(tenant)s AND id = %(thread)s AND NOT EXISTS (SELECT 1 FROM asked)
    RETURNING key, lpad(tail::text, 10, '0') AS position
), added AS (
    INSERT INTO bench_floor.messages SELECT key, position, %(id)s, %(text)s, now() FROM log
), noted AS (
    INSERT INTO bench_floor.requests
    SELECT %(tenant)s, %(thread)s, %(request)s, %(digest)s, %(id)s, position, now() FROM log
) SELECT %(digest)s, %(id)s, position, now() FROM log UNION ALL SELECT * FROM asked
"""
LAST = """
SELECT text, id, position, created_at FROM bench_floor.messages WHERE thread = (
    SELECT key FROM bench_floor.threads WHERE tenant = %s AND id = %s
) ORDER BY position DESC LIMIT 20
"""
FILL = """
INSERT INTO {schema}.messages (thread, position, id, text, created_at{more})
SELECT key, lpad(n::text, 10, '0'), 'filled ' || n, %s, {time}{values} FROM {schema}.threads,
    generate_series(2, %s) n WHERE id = %s
"""
REMEMBERED = """
INSERT INTO bench_chatstore.requests (tenant, thread, scope, id, digest, result, expires_at)
SELECT 'default', 'others ' || n, 'append', 'request ' || n, md5(n::text), '{}', 9000000000000000
FROM generate_series(1, 5000) n;
INSERT INTO bench_floor.requests
SELECT 'default', 'others ' || n, 'request ' || n, md5(n::text), 'message ' || n, '0000000001', now()
FROM generate_series(1, 5000) n
"""
"""Requests of a day on both sides: PostgreSQL plans otherwise for a table that it knows as empty."""
PEER = """
import json, statistics, sys, time
from llama_index.core.llms import ChatMessage
from llama_index.storage.chat_store.postgres import PostgresChatStore
url, lengths, rounds = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
store = PostgresChatStore.from_params(connection_string=url.replace("postgresql:", "postgresql+psycopg:", 1),
    async_connection_string=url.replace("postgresql:", "postgresql+asyncpg:", 1), table_name="bench")
message = ChatMessage(role="user", content="x" * 200)
def timed(call):
    times = []
    for _ in range(rounds):
        began = time.perf_counter(); call(); times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6
for length in lengths:
    key = f"t{length}"
    store.set_messages(key, [message] * length)
    added = timed(lambda: store.add_message(key, message))
    print(json.dumps([added, timed(lambda: store.get_messages(key)[-20:])]), flush=True)
"""


class ByHand:
    """A store of one tenant's threads, with no more than any has to have."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: queue.LifoQueue[psycopg.Connection[Any]] = queue.LifoQueue()
        db = psycopg.connect(url, autocommit=True)
        self.pid = db.info.backend_pid
        self._idle.put(db)

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        db = self._idle.get(timeout=10)
        if db.closed or select.select([db], [], [], 0)[0]:
            db = psycopg.connect(self._url, autocommit=True)
        try:
            yield db
        finally:
            self._idle.put(db)

    def append(self, thread: str, message: dict[str, Any]) -> dict[str, Any]:
        message_id = str(uuid.uuid4())
        with self._connection() as db:
            place = ["default", thread, message_id, json.dumps(message)]
            row = db.execute(APPEND, place).fetchone()
        assert row is not None
        return {"id": message_id, "position": row[0], "created_at": row[1], "message": message}

    def append_once(self, thread: str, message: dict[str, Any], request: str) -> dict[str, Any]:
        text = json.dumps(message)
        digest = hashlib.sha256(text.encode()).hexdigest()
        place = {
            "tenant": "default",
            "thread": thread,
            "request": request,
            "id": str(uuid.uuid4()),
            "text": text,
            "digest": digest,
        }
        with self._connection() as db:
            row = db.execute(APPEND_ONCE, place).fetchone()
        assert row is not None
        assert row[0] == digest
        return {"id": row[1], "position": row[2], "created_at": row[3], "message": message}

    def last(self, thread: str) -> list[dict[str, Any]]:
        with self._connection() as db:
            rows = db.execute(LAST, ["default", thread]).fetchall()
        return [
            {"id": message_id, "position": position, "created_at": created, "message": json.loads(text)}
            for text, message_id, position, created in reversed(rows)
        ]

    def close(self) -> None:
        self._idle.get().close()


def turns(calls: dict[str, Callable[[], Any]], pids: dict[str, int]) -> dict[str, dict[str, float]]:
    """Medians of what each call takes, and the processor's time of this process and of the server's."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    worked = dict.fromkeys(calls, 0)
    for call in calls.values():
        call()
    before = {name: ran(pids[name]) for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began, ran_here = time.perf_counter(), time.process_time_ns()
            call()
            worked[name] += time.process_time_ns() - ran_here
            times[name].append(time.perf_counter() - began)
    took = {name: statistics.median(seen) * 1e6 for name, seen in times.items()}
    spent = {name: (worked[name] + ran(pids[name]) - before[name]) / ROUNDS / 1000 for name in calls}
    return {"": took, " CPU": spent} if all(before.values()) else {"": took}


def ran(pid: int) -> int:
    """Nanoseconds that a process of this machine has run; 0 where that is not known."""
    told = Path(f"/proc/{pid}/schedstat")
    return int(told.read_text().split()[0]) if told.exists() else 0


def wal(db: psycopg.Connection[Any], call: Callable[[], Any]) -> float:
    """Bytes of WAL a call, without the full pages behind a checkpoint."""
    for _ in range(50):
        call()
    [before] = db.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or (None,)
    for _ in range(200):
        call()
    [grown] = db.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", [before]).fetchone() or (
        0,
    )
    return float(grown) / 200


def compared(
    store: chatstore.ChatStore, by_hand: ByHand, db: psycopg.Connection[Any], number: int, length: int
) -> None:
    """Fill a thread of that length in both schemas, and print what they take for it."""
    name = f"t{length}"
    store.append(name, MESSAGE)
    db.execute(
        "INSERT INTO bench_floor.threads VALUES (%s, 'default', %s, %s, now())", [number, name, length]
    )
    for schema, more, at, values in (
        ("bench_chatstore", ", revision", "0", ", 0"),
        ("bench_floor", "", "now()", ""),
    ):
        fill = FILL.format(schema=schema, more=more, time=at, values=values)
        db.execute(fill.encode(), [TEXT, length, name])
    db.execute("UPDATE bench_chatstore.threads SET tail = %s WHERE id = %s", [length, name])
    db.execute("VACUUM ANALYZE")

    def statement() -> None:
        db.execute(APPEND, ["default", name, chatstore.uuid7(), TEXT]).fetchall()

    def last_statement() -> None:
        db.execute(LAST, ["default", name]).fetchall()

    def our_last() -> None:
        for message in store.read(name, last=20):
            message.to_dict()

    appends: dict[str, Callable[[], Any]] = {
        "statement": statement,
        "by hand": lambda: by_hand.append(name, MESSAGE),
        "chatstore": lambda: store.append(name, MESSAGE),
    }
    once: dict[str, Callable[[], Any]] = {
        "by hand": lambda: by_hand.append_once(name, MESSAGE, chatstore.uuid7()),
        "chatstore": lambda: store.append(name, MESSAGE, request_id=chatstore.uuid7()),
    }
    reads: dict[str, Callable[[], Any]] = {
        "statement": last_statement,
        "by hand": lambda: by_hand.last(name),
        "chatstore": our_last,
    }
    # The store's connection is the only one of its name.
    [ours] = db.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'chatstore'"
    ).fetchone() or (0,)
    pids = {"statement": db.info.backend_pid, "by hand": by_hand.pid, "chatstore": ours}
    measured = {
        f"{what}{kind}": seen
        for what, calls in (("append", appends), ("append once", once), ("last 20", reads))
        for kind, seen in turns(calls, pids).items()
    }
    measured["WAL bytes"] = {who: wal(db, call) for who, call in appends.items()}
    measured["WAL once"] = {who: wal(db, call) for who, call in once.items()}
    for what, seen in measured.items():
        figures = "  ".join(f"{who} {figure:6.0f}" for who, figure in seen.items())
        of = ", ".join(
            f"{seen['chatstore'] / figure:.2f} of {who}" for who, figure in seen.items() if who != "chatstore"
        )
        print(f"{length:>7} {what:>15}: {figures}  ({of})", flush=True)


def main(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP SCHEMA IF EXISTS bench_chatstore CASCADE")
        db.execute(TABLES)
        separator = "&" if "?" in url else "?"
        with chatstore.connect(f"{url}{separator}schema=bench_chatstore") as store:
            store.prepare()
            db.execute(REMEMBERED)
            by_hand = ByHand(url)
            for number, length in enumerate(LENGTHS):
                compared(store, by_hand, db, number, length)
            by_hand.close()
    if PEERS.exists():
        command = [str(PEERS), "-c", PEER, url, json.dumps(LENGTHS), "3"]
        peer = subprocess.run(command, capture_output=True, text=True, check=True)
        for length, line in zip(LENGTHS, peer.stdout.splitlines(), strict=True):
            appended, read = json.loads(line)
            print(f"{length:>7} LlamaIndex's PostgresChatStore: append {appended:.0f}, last 20 {read:.0f}")


if __name__ == "__main__":
    main(sys.argv[1])
