"""PostgreSQL: chatstore beside a hand-written floor, and beside LlamaIndex's own store.

``python -m bench.postgres postgresql://USER@HOST/DATABASE`` makes the schemas ``bench_chatstore`` and
``bench_floor`` there, and LlamaIndex's table ``data_bench``. Medians of each operation, in microseconds,
and bytes of WAL for an append, at several lengths of a thread. Those that are compared take turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
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
    tail bigint NOT NULL, active_at bigint NOT NULL, UNIQUE (tenant, id)
) WITH (fillfactor = 80);
CREATE TABLE bench_floor.messages (
    thread bigint, position text COLLATE "C", id text COLLATE "C" NOT NULL, text text NOT NULL,
    created_at bigint NOT NULL, PRIMARY KEY (thread, position), UNIQUE (thread, id)
)
"""
APPEND = """
WITH log AS (
    UPDATE bench_floor.threads SET tail = tail + 1, active_at = %s WHERE tenant = %s AND id = %s
    RETURNING key, tail
) INSERT INTO bench_floor.messages SELECT key, lpad(tail::text, 10, '0'), %s, %s, %s FROM log
RETURNING position
"""
LAST = """
SELECT text, id, position, created_at FROM bench_floor.messages WHERE thread = (
    SELECT key FROM bench_floor.threads WHERE tenant = %s AND id = %s
) ORDER BY position DESC LIMIT 20
"""
FILL = """
INSERT INTO {schema}.messages (thread, position, id, text, created_at{more})
SELECT key, lpad(n::text, 10, '0'), 'filled ' || n, %s, 0{values} FROM {schema}.threads,
    generate_series(2, %s) n WHERE id = %s
"""
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


def turns(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(seen) * 1e6 for name, seen in times.items()}


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


def compared(store: chatstore.ChatStore, db: psycopg.Connection[Any], number: int, length: int) -> None:
    """Fill a thread of that length in both schemas, and print what they take for it."""
    name = f"t{length}"
    store.append(name, MESSAGE)
    db.execute("INSERT INTO bench_floor.threads VALUES (%s, 'default', %s, %s, 0)", [number, name, length])
    for schema, more, values in (("bench_chatstore", ", revision", ", 0"), ("bench_floor", "", "")):
        fill = FILL.format(schema=schema, more=more, values=values)
        db.execute(fill.encode(), [TEXT, length, name])
    db.execute("UPDATE bench_chatstore.threads SET tail = %s WHERE id = %s", [length, name])
    db.execute("ANALYZE")

    def append() -> None:
        place = [0, "default", name, chatstore.uuid7(), TEXT, time.time_ns() // 1000]
        db.execute(APPEND, place).fetchall()

    def last() -> None:
        for row in db.execute(LAST, ["default", name]).fetchall():
            json.loads(row[0])

    def our_append() -> None:
        store.append(name, MESSAGE)

    def our_last() -> None:
        for message in store.read(name, last=20):
            message.to_dict()

    appends = {"floor": append, "chatstore": our_append}
    seen_in = {
        "append": turns(appends),
        "last 20": turns({"floor": last, "chatstore": our_last}),
        "WAL bytes": {who: wal(db, call) for who, call in appends.items()},
    }
    for what, seen in seen_in.items():
        print(
            f"{length:>7} {what:>9}: floor {seen['floor']:8.0f}  chatstore {seen['chatstore']:8.0f}"
            f"  ({seen['chatstore'] / seen['floor']:.2f} of the floor)"
        )


def main(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP SCHEMA IF EXISTS bench_chatstore CASCADE")
        db.execute(TABLES)
        separator = "&" if "?" in url else "?"
        with chatstore.connect(f"{url}{separator}schema=bench_chatstore") as store:
            store.prepare()
            for number, length in enumerate(LENGTHS):
                compared(store, db, number, length)
    if PEERS.exists():
        command = [str(PEERS), "-c", PEER, url, json.dumps(LENGTHS), "3"]
        peer = subprocess.run(command, capture_output=True, text=True, check=True)
        for length, line in zip(LENGTHS, peer.stdout.splitlines(), strict=True):
            appended, read = json.loads(line)
            print(f"{length:>7} LlamaIndex's PostgresChatStore: append {appended:.0f}, last 20 {read:.0f}")


if __name__ == "__main__":
    main(sys.argv[1])
