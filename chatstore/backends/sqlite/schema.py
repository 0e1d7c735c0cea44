"""The tables of an SQLite file, and how an older file, or an empty one, comes to have them."""

from __future__ import annotations

import sqlite3
import time

from chatstore.errors import ConfigurationError

__all__ = ["MIGRATIONS", "SCHEMA", "prepare"]

_APPLICATION = 0x63686174
"""Marks the file as chatstore's own ("chat")."""

MIGRATIONS = (
    """
    CREATE TABLE threads (
        key INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        owner TEXT,
        topic TEXT,
        metadata TEXT NOT NULL,
        participants TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        active_at INTEGER NOT NULL,
        expires_at INTEGER,
        revision TEXT NOT NULL,
        epoch TEXT NOT NULL,
        tail INTEGER NOT NULL,
        edits INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX threads_by_id ON threads (tenant, id);
    CREATE INDEX threads_by_activity ON threads (tenant, active_at, id);
    CREATE INDEX threads_by_owner ON threads (tenant, owner, active_at, id) WHERE owner IS NOT NULL;
    CREATE INDEX threads_by_expiry ON threads (expires_at) WHERE expires_at IS NOT NULL;

    CREATE TABLE messages (
        thread INTEGER NOT NULL,
        position TEXT NOT NULL,
        id TEXT NOT NULL,
        text TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        revision INTEGER NOT NULL,
        PRIMARY KEY (thread, position)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX messages_by_id ON messages (thread, id);
    CREATE INDEX messages_by_expiry ON messages (expires_at) WHERE expires_at IS NOT NULL;

    CREATE TABLE requests (
        tenant TEXT NOT NULL,
        thread TEXT NOT NULL,
        scope TEXT NOT NULL,
        id TEXT NOT NULL,
        digest TEXT NOT NULL,
        result TEXT NOT NULL,
        owner TEXT,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (tenant, thread, scope, id)
    ) WITHOUT ROWID;
    CREATE INDEX requests_by_expiry ON requests (expires_at);
    CREATE INDEX requests_by_owner ON requests (tenant, owner) WHERE owner IS NOT NULL;
    """,
    """
    ALTER TABLE threads ADD COLUMN kind TEXT NOT NULL DEFAULT 'chat';
    ALTER TABLE threads ADD COLUMN sliding INTEGER;
    ALTER TABLE threads ADD COLUMN origin TEXT;
    ALTER TABLE threads ADD COLUMN cuts TEXT;
    ALTER TABLE messages ADD COLUMN metadata TEXT;
    ALTER TABLE messages ADD COLUMN key TEXT;
    CREATE UNIQUE INDEX messages_by_key ON messages (thread, key) WHERE key IS NOT NULL;

    DROP INDEX threads_by_activity;
    DROP INDEX threads_by_owner;
    CREATE INDEX threads_by_activity ON threads (tenant, active_at, id) WHERE kind = 'chat';
    CREATE INDEX threads_by_owner ON threads (tenant, owner, active_at, id)
        WHERE kind = 'chat' AND owner IS NOT NULL;
    CREATE INDEX others_by_activity ON threads (tenant, active_at, id, kind) WHERE kind <> 'chat';
    CREATE INDEX others_by_owner ON threads (tenant, owner, active_at, id, kind)
        WHERE kind <> 'chat' AND owner IS NOT NULL;
    CREATE INDEX threads_cut ON threads (key) WHERE cuts IS NOT NULL;
    """,
    """
    ALTER TABLE requests ADD COLUMN shown_until INTEGER;
    CREATE INDEX requests_shown ON requests (tenant, thread) WHERE shown_until = 0;
    """,
)
"""Each brings the schema from its index to the next version, in one transaction."""

SCHEMA = "".join(MIGRATIONS)
"""What a new file holds."""


def prepare(connection: sqlite3.Connection, path: str, timeout: float) -> None:
    """Bring the file into WAL mode and to the present schema."""
    if sqlite3.sqlite_version_info < (3, 35):
        raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old: chatstore needs 3.35 or newer")
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [application] = connection.execute("PRAGMA application_id").fetchone()
    if version == len(MIGRATIONS) and application == _APPLICATION:
        return
    if version > len(MIGRATIONS):
        raise ConfigurationError(
            f"{path} was written by a newer chatstore: its schema is {version}, "
            f"and this one knows {len(MIGRATIONS)}; upgrade chatstore"
        )
    _enter_wal(connection, timeout)
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been here first, so the version is read again under the lock.
        [version] = connection.execute("PRAGMA user_version").fetchone()
        [application] = connection.execute("PRAGMA application_id").fetchone()
        [tables] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application != _APPLICATION:
            raise ConfigurationError(f"{path} is a database, but not one of chatstore's: choose another file")
        for script in MIGRATIONS[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _enter_wal(connection: sqlite3.Connection, timeout: float) -> None:
    """Set WAL mode. SQLite does not wait for others there, whatever its time-out, so this does."""
    until = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
