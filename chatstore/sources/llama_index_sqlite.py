"""What SQLiteChatStore, or SQLAlchemyChatStore on SQLite, left in a file.

``llama-index+sqlite:///old.db?table=NAME``: the table is found by its columns unless there are several. The
file is opened read-only, and read as it is at one moment.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path

from chatstore.errors import ConfigurationError, StorageError
from chatstore.importing import BadThread, Conversation
from chatstore.sources.opening import Source
from chatstore.sources.salvage import Part, salvaged
from chatstore.sources.tables import the_one_table
from chatstore.urls import Url

__all__ = ["open_source"]


@contextmanager
def open_source(url: Url) -> Iterator[Source]:
    """The file's threads, in the order of their keys."""
    url.allow("table")
    path = Path(url.path.removeprefix("/")).absolute()
    if url.host or not path.is_file():
        raise ConfigurationError(
            f"{path} is not a file: write …sqlite:///relative.db or …sqlite:////absolute.db"
        )
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            db.execute("BEGIN")
            table, with_status = the_one_table(_tables(db), url.options.get("table"))
            [total] = db.execute(f"SELECT count(DISTINCT key) FROM {_quoted(table)}").fetchone()  # noqa: S608
            yield Source(_threads(db, table, with_status=with_status), total)
    except sqlite3.Error as error:
        # The rest of its text may quote what is stored.
        raise StorageError(
            f"{path} cannot be read ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
        ) from error


def _tables(db: sqlite3.Connection) -> dict[str, set[str]]:
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: {row[1] for row in db.execute(f"PRAGMA table_info({_quoted(name)})")} for name in names}


def _threads(db: sqlite3.Connection, table: str, *, with_status: bool) -> Iterator[Conversation | BadThread]:
    columns, order = ("status, data", "key, timestamp, id") if with_status else ("'active', value", "key, id")
    # Text that is not Unicode makes one message bad, not the whole file.
    db.text_factory = lambda text: text.decode(errors="surrogateescape")
    rows = db.execute(f"SELECT key, id, {columns} FROM {_quoted(table)} ORDER BY {order}")  # noqa: S608
    for key, group in itertools.groupby(rows, itemgetter(0)):
        parts = (Part(f"row {number}", data, status) for _, number, status, data in group)
        yield salvaged(f"table {table}, key {key!r}", key, parts)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
