"""The index of words of an SQLite file: how it is made, kept and read.

Triggers in the file keep it in the transaction of each write, whoever writes: what is new or changed waits to
be indexed, and what is gone leaves the index at once. A search first indexes what waits.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import cast

from chatstore.contract import Clock, Query
from chatstore.engines.sql import Row, Transaction
from chatstore.engines.sql.hidden import HIDDEN
from chatstore.engines.sql.message_rows import MESSAGE, message_of
from chatstore.engines.sql.rows import KINDS, ranges_of
from chatstore.errors import InvalidCursor
from chatstore.models import Found, Page
from chatstore.words import said, snippet, words

__all__ = ["build", "find", "index_some", "is_waiting", "scrub"]

_SOME, _STEP_CHARACTERS = 100, 200_000

_KEY = "(SELECT key FROM indexed WHERE thread = old.thread AND id = old.id)"
_SCHEMA = (
    """CREATE TABLE indexed (
        key INTEGER PRIMARY KEY,
        thread INTEGER NOT NULL,
        id TEXT NOT NULL,
        waits INTEGER
    )""",
    "INSERT INTO indexed (thread, id, waits) SELECT thread, id, 1 FROM messages",
    "CREATE UNIQUE INDEX indexed_by_message ON indexed (thread, id)",
    "CREATE INDEX indexed_waiting ON indexed (key) WHERE waits IS NOT NULL",
    # The words are told apart before they are stored, and only white space is between them.
    "CREATE VIRTUAL TABLE words USING fts5 (scope, said, tokenize = \"ascii tokenchars '_'\")",
    """CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
        INSERT INTO indexed (thread, id, waits) VALUES (new.thread, new.id, 1);
    END""",
    f"""CREATE TRIGGER messages_removed AFTER DELETE ON messages BEGIN
        DELETE FROM words WHERE rowid = {_KEY};
        DELETE FROM indexed WHERE thread = old.thread AND id = old.id;
    END""",
    f"""CREATE TRIGGER messages_changed AFTER UPDATE OF text ON messages BEGIN
        DELETE FROM words WHERE rowid = {_KEY};
        UPDATE indexed SET waits = 1 WHERE thread = old.thread AND id = old.id;
    END""",
)


def build(connection: sqlite3.Connection) -> None:
    """Make the index where there is none, in which everything that is there waits."""
    if _is_built(connection):
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if not _is_built(connection):
            for statement in _SCHEMA:
                connection.execute(statement)


def scrub(connection: sqlite3.Connection) -> None:
    """Leave nothing in the index of what was removed: it is only marked as removed until then."""
    if _is_built(connection):
        connection.execute("INSERT INTO words (words) VALUES ('optimize')")


def _is_built(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'messages_changed'").fetchone()
    return found is not None


# What a thread that is hidden has waits until that is shown.
_WAITING = (
    "FROM indexed AS i JOIN messages AS m ON m.thread = i.thread AND m.id = i.id "
    "JOIN threads AS t ON t.key = i.thread WHERE i.waits IS NOT NULL AND t.tenant <> ? LIMIT ?"
)


async def is_waiting(tx: Transaction) -> bool:
    """Whether there is something to be indexed."""
    return await tx.one(f"SELECT 1 {_WAITING}", HIDDEN, 1) is not None


async def index_some(tx: Transaction) -> bool:
    """Index some of what waits; whether there may be more."""
    rows = await tx.until(
        f"SELECT i.key, t.tenant, t.owner, m.text {_WAITING}",
        HIDDEN,
        _SOME,
        most=_STEP_CHARACTERS,
        size=_length,
    )
    await tx.many(
        "INSERT INTO words (rowid, scope, said) VALUES (?, ?, ?)",
        [
            (key, f"{_scope(tenant, None)} {_scope(tenant, owner)}", " ".join(words(said(text))))
            for key, tenant, owner, text in rows
        ],
    )
    await tx.many("UPDATE indexed SET waits = NULL WHERE key = ?", [(key,) for key, *_ in rows])
    return bool(rows)


async def find(tx: Transaction, clock: Clock, tenant: str, query: Query) -> Page[Found]:
    """A page of the messages that have every word. What it costs grows with how many there are."""
    start, wanted, now = _start(query.cursor), words(query.text), clock()
    if not wanted:
        return Page(())
    match = " AND ".join(
        [f'scope : "{_scope(tenant, query.owner)}"', *(f'said : "{word}"' for word in wanted)]
    )
    owned, named = ("", ()) if query.owner is None else (" AND t.owner = ?", (query.owner,))
    best = "" if query.newest else "bm25(words, 0.0, 1.0), "
    rows = await tx.until(
        "SELECT t.cuts, t.key, t.id, m.position FROM words JOIN indexed AS i ON i.key = words.rowid "
        "JOIN messages AS m ON m.thread = i.thread AND m.id = i.id JOIN threads AS t ON t.key = i.thread "
        f"WHERE words MATCH ? AND t.tenant = ? AND t.{KINDS[0]}{owned} "
        "AND (t.expires_at IS NULL OR t.expires_at > ?) AND (m.expires_at IS NULL OR m.expires_at > ?) "
        f"ORDER BY {best}m.created_at DESC, m.id DESC",
        match,
        tenant,
        *named,
        now,
        now,
        most=start + query.limit,
        size=_is_seen,
    )
    hits = [row for row in rows if _is_seen(row)]
    end = start + query.limit
    found = tuple([await _found(tx, row, wanted) for row in hits[start:end]])
    return Page(found, next=str(end) if len(hits) > end else None)


async def _found(tx: Transaction, hit: Row, wanted: list[str]) -> Found:
    _, key, thread, position = hit
    row = await tx.one(f"SELECT {MESSAGE} FROM messages WHERE thread = ? AND position = ?", key, position)
    message = message_of(cast("Row", row))
    return Found(thread, message, snippet(said(message.text), wanted))


def _is_seen(row: Row) -> int:
    """One for what was not cut away from its thread, else none."""
    cuts, key, _, position = row
    return int(cuts is None or not any(position in cut for cut in ranges_of(key, cuts)))


def _length(row: Row) -> int:
    return len(row[3])


def _scope(tenant: str, owner: str | None) -> str:
    """A word for the threads of a tenant, or of an owner in it: no search reads the hits of others."""
    named = tenant if owner is None else f"{len(tenant)} {tenant} {owner}"
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 16):
        raise InvalidCursor("not a cursor of a search: pass one back exactly as the store gave it")
    return int(cursor)
