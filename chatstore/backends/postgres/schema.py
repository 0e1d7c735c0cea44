"""The tables, and how an older schema, or none, comes to have them.

A thread's row is not indexed anew by each append: what an append changes is in no index, but for
`active_in`, the 67 seconds that its activity is in. A list sorts within those.
"""

from __future__ import annotations

import random
import time
from typing import Any

import psycopg

from chatstore.backends.postgres.dialects import Spoken
from chatstore.errors import ConfigurationError

__all__ = ["MIGRATIONS", "prepare", "require_version", "version_of"]

MIGRATIONS = (
    """
    CREATE TABLE IF NOT EXISTS {schema}.threads (
        key bigint NOT NULL DEFAULT (random() * 9007199254740991)::bigint,
        tenant text{collate} NOT NULL,
        id text{collate} NOT NULL,
        owner text{collate},
        topic text,
        metadata text NOT NULL,
        participants text NOT NULL,
        created_at bigint NOT NULL,
        active_at bigint NOT NULL,
        active_in bigint NOT NULL GENERATED ALWAYS AS (active_at >> 26) STORED,
        expires_at bigint,
        revision text NOT NULL,
        epoch text NOT NULL,
        tail bigint NOT NULL,
        edits bigint NOT NULL,
        kind text{collate} NOT NULL DEFAULT 'chat',
        sliding bigint,
        origin text,
        cuts text,
        {threads}
    ){sparse};
    CREATE UNIQUE INDEX IF NOT EXISTS threads_by_id ON {schema}.threads (tenant ASC, id ASC);
    CREATE INDEX IF NOT EXISTS threads_by_activity ON {schema}.threads (tenant, active_in)
        WHERE kind = 'chat';
    CREATE INDEX IF NOT EXISTS threads_by_owner ON {schema}.threads (tenant, owner, active_in)
        WHERE kind = 'chat' AND owner IS NOT NULL;
    CREATE INDEX IF NOT EXISTS others_by_activity ON {schema}.threads (tenant, active_in)
        WHERE kind <> 'chat';
    CREATE INDEX IF NOT EXISTS others_by_owner ON {schema}.threads (tenant, owner, active_in)
        WHERE kind <> 'chat' AND owner IS NOT NULL;
    CREATE INDEX IF NOT EXISTS threads_cut ON {schema}.threads (key) WHERE cuts IS NOT NULL;
    CREATE INDEX IF NOT EXISTS threads_by_topic ON {schema}.threads (topic) WHERE tenant = '';
    CREATE INDEX IF NOT EXISTS threads_by_expiry ON {schema}.threads (expires_at ASC)
        WHERE expires_at IS NOT NULL;

    CREATE TABLE IF NOT EXISTS {schema}.messages (
        thread bigint NOT NULL,
        position text{collate} NOT NULL,
        id text{collate} NOT NULL,
        text text NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint,
        revision bigint NOT NULL,
        metadata text,
        key text{collate},
        {messages}
    );
    CREATE UNIQUE INDEX IF NOT EXISTS messages_by_id ON {schema}.messages (thread, id);
    CREATE UNIQUE INDEX IF NOT EXISTS messages_by_key ON {schema}.messages (thread, key)
        WHERE key IS NOT NULL;
    CREATE INDEX IF NOT EXISTS messages_by_expiry ON {schema}.messages (expires_at ASC)
        WHERE expires_at IS NOT NULL;

    CREATE TABLE IF NOT EXISTS {schema}.requests (
        tenant text{collate} NOT NULL,
        thread text{collate} NOT NULL,
        scope text{collate} NOT NULL,
        id text{collate} NOT NULL,
        digest text NOT NULL,
        result text NOT NULL,
        owner text{collate},
        expires_at bigint NOT NULL,
        {requests}
    );
    CREATE INDEX IF NOT EXISTS requests_by_expiry ON {schema}.requests (expires_at ASC);
    CREATE INDEX IF NOT EXISTS requests_by_owner ON {schema}.requests (tenant, owner)
        WHERE owner IS NOT NULL;
    """,
    """
    ALTER TABLE {schema}.requests ADD COLUMN IF NOT EXISTS shown_until bigint;
    CREATE INDEX IF NOT EXISTS requests_shown ON {schema}.requests (tenant, thread) WHERE shown_until = 0;
    """,
)
"""Each brings the schema from its index to the next version; what is there already is left as it is."""

_TRIES = 10
_MET = ("23505", "42P06", "42P07", "40001", "40P01", "XX000")
"""What somebody gets who makes the same thing at the same time."""


def prepare(connection: psycopg.Connection[Any], spoken: Spoken) -> None:
    """Bring the schema to its present version. Raises ConfigurationError for a newer one."""
    for left in reversed(range(_TRIES)):
        try:
            with connection.transaction():
                _migrate(connection, spoken)
            return
        except psycopg.Error as error:
            if not left or error.sqlstate not in _MET:
                raise
            time.sleep(random.uniform(0.01, 0.2))  # noqa: S311 - so that two do not meet again


def version_of(connection: psycopg.Connection[Any], spoken: Spoken) -> int:
    """The schema's version; 0 where there is none."""
    found = connection.execute(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = 'versions'",
        [_bare(spoken.schema)],
    ).fetchone()
    if found is None:
        return 0
    row = connection.execute(f"SELECT max(version) FROM {spoken.schema}.versions".encode()).fetchone()
    version: int = (row and row[0]) or 0
    if version > len(MIGRATIONS):
        require_version(version, spoken.schema)
    return version


def require_version(version: int, schema: str) -> None:
    """Raise ConfigurationError unless the schema is of the version that is known here."""
    if version > len(MIGRATIONS):
        raise ConfigurationError(
            f"schema {schema} was written by a newer chatstore: its version is {version}, "
            f"and this one knows {len(MIGRATIONS)}; upgrade chatstore"
        )
    if version < len(MIGRATIONS):
        raise ConfigurationError(f"schema {schema} has version {version} of the tables: run chatstore init")


def _migrate(connection: psycopg.Connection[Any], spoken: Spoken) -> None:
    version = version_of(connection, spoken)
    if version == len(MIGRATIONS):
        return
    if not connection.execute(
        "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", [_bare(spoken.schema)]
    ).fetchone():
        connection.execute(f"CREATE SCHEMA {spoken.schema}".encode())
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {spoken.schema}.versions (version bigint PRIMARY KEY)".encode()
    )
    dialect = spoken.dialect
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        filled = script.format(
            schema=spoken.schema,
            collate=dialect.collate,
            sparse=dialect.sparse,
            threads=dialect.threads,
            messages=dialect.messages,
            requests=dialect.requests,
        )
        for statement in filled.split(";"):
            if statement.strip():
                connection.execute(statement.encode())
        connection.execute(f"INSERT INTO {spoken.schema}.versions VALUES (%s)".encode(), [number])


def _bare(quoted: str) -> str:
    return quoted[1:-1].replace('""', '"')
