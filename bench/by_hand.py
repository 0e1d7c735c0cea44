"""What one would write by hand over sqlite3: the same rows and indexes, and nothing else."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable

from chatstore.backends.sqlite.schema import SCHEMA


class ByHand:
    """A connection with chatstore's schema; no checks, no request ids, no expiry, no etags."""

    def __init__(self, path: str, synchronous: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {synchronous}")
        self._db.executescript(SCHEMA)

    def create(self, thread: str) -> None:
        now = time.time_ns() // 1000
        self._db.execute(
            "INSERT INTO threads (tenant, id, owner, topic, metadata, participants, created_at, active_at, "
            "expires_at, revision, epoch, tail, edits) "
            "VALUES ('default', ?, NULL, NULL, '{}', '[]', ?, ?, NULL, 'r', 'e', 0, 0)",
            (thread, now, now),
        )

    def append(self, thread: str, messages: Iterable[dict[str, str]]) -> None:
        texts = [json.dumps(message) for message in messages]
        now = time.time_ns() // 1000
        self._db.execute("BEGIN IMMEDIATE")
        key, tail = self._db.execute(
            "UPDATE threads SET tail = tail + ?, active_at = ? WHERE tenant = ? AND id = ? "
            "RETURNING key, tail",
            (len(texts), now, "default", thread),
        ).fetchone()
        first = tail - len(texts) + 1
        self._db.executemany(
            "INSERT INTO messages (thread, position, id, text, created_at, expires_at, revision) "
            "VALUES (?, ?, ?, ?, ?, NULL, 0)",
            [
                (key, f"{first + n:010d}", f"{now:x}{secrets.token_hex(11)}", text, now)
                for n, text in enumerate(texts)
            ],
        )
        self._db.execute("COMMIT")

    def last(self, thread: str, count: int) -> list[dict[str, str]]:
        [key] = self._db.execute(
            "SELECT key FROM threads WHERE tenant = ? AND id = ?", ("default", thread)
        ).fetchone()
        rows = self._db.execute(
            "SELECT text, id, position, created_at FROM messages WHERE thread = ? "
            "ORDER BY position DESC LIMIT ?",
            (key, count),
        ).fetchall()
        return [json.loads(row[0]) for row in reversed(rows)]

    def threads(self, count: int) -> list[tuple[object, ...]]:
        rows = self._db.execute(
            "SELECT id, owner, topic, metadata, participants, created_at, active_at FROM threads "
            "WHERE tenant = ? ORDER BY active_at DESC, id DESC LIMIT ?",
            ("default", count),
        ).fetchall()
        return [
            (thread, owner, topic, json.loads(metadata), json.loads(participants), created, active)
            for thread, owner, topic, metadata, participants, created, active in rows
        ]

    def close(self) -> None:
        self._db.close()
