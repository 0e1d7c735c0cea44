"""What PostgresChatStore, YugabyteDBChatStore, or SQLAlchemyChatStore on either, left in a database.

``llama-index+postgresql://user@host/database?schema=public&table=NAME``, with any further option of libpq's;
a password is better left to its ``PGPASSWORD`` or password file. The table is found by its columns
unless there are several. Everything is read in one read-only transaction, as it is at one moment.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg import sql

from chatstore.errors import StorageError
from chatstore.importing import BadThread, Conversation
from chatstore.sources.opening import Source
from chatstore.sources.salvage import Part, salvaged
from chatstore.sources.tables import the_one_table
from chatstore.urls import Url, shown

__all__ = ["open_source"]

_ROWS_AT_ONCE = 100


@contextmanager
def open_source(url: Url) -> Iterator[Source]:
    """The table's threads, in the order of their keys."""
    schema, named = url.options.get("schema", "public"), url.options.get("table")
    options = {name: value for name, value in url.options.items() if name not in ("schema", "table")}
    address = url.text.partition("+")[2].partition("?")[0]
    try:
        with psycopg.connect(f"{address}?{urlencode(options)}") as db:
            db.read_only = True
            db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            table, with_status = the_one_table(_tables(db, schema), named)
            name = sql.Identifier(schema, table)
            counted = db.execute(sql.SQL("SELECT count(DISTINCT key) FROM {}").format(name)).fetchone()
            assert counted is not None  # noqa: S101 - a count is always one row
            read = _messages if with_status else _histories
            yield Source(read(db, name, f"table {schema}.{table}"), counted[0])
    except psycopg.Error as error:
        raise StorageError(f"{shown(url.text)} cannot be read ({_reason(error)})") from error


def _reason(error: psycopg.Error) -> str:
    """PostgreSQL's name for what is wrong; the rest of its text may quote what is stored."""
    return " ".join(filter(None, (type(error).__name__, error.sqlstate)))


def _tables(db: psycopg.Connection[Any], schema: str) -> dict[str, set[str]]:
    tables: dict[str, set[str]] = {}
    for table, column in db.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s", [schema]
    ):
        tables.setdefault(table, set()).add(column)
    return tables


def _histories(
    db: psycopg.Connection[Any], name: sql.Identifier, where: str
) -> Iterator[Conversation | BadThread]:
    """A row is a thread, its messages an array of JSON."""
    query = sql.SQL("SELECT key, value::text[] FROM {} ORDER BY key, id").format(name)
    with db.cursor("chatstore") as rows:
        rows.itersize = 1
        for key, value in rows.execute(query):
            missing = ["its array is NULL"] if value is None else []
            parts = (Part(f"message {number}", data) for number, data in enumerate(value or [], 1))
            yield salvaged(f"{where}, key {key!r}", key, parts, missing)


def _messages(
    db: psycopg.Connection[Any], name: sql.Identifier, where: str
) -> Iterator[Conversation | BadThread]:
    """A row is a message with a status, in the order in which its store reads them."""
    columns = "SELECT key, id, status, data::text FROM {} ORDER BY key, timestamp, id"
    with db.cursor("chatstore") as rows:
        rows.itersize = _ROWS_AT_ONCE
        for key, group in itertools.groupby(rows.execute(sql.SQL(columns).format(name)), itemgetter(0)):
            parts = (Part(f"row {number}", data, status) for _, number, status, data in group)
            yield salvaged(f"{where}, key {key!r}", key, parts)
