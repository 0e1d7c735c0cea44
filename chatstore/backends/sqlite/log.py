"""The write-ahead log beside a file, and how it is kept short.

SQLite starts its log again only when no reader uses it. If readers overlap, there is no such moment, and
the log would grow with every write. So after a commit beyond `LOG_BYTES`, the writer keeps its turn, copies
the log into the file and waits for a short time. The present readers come to their end meanwhile. New
readers, of any process, find everything in the file and do not use the log.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress

from chatstore.backends.sqlite.place import FileId
from chatstore.errors import ChatStoreError

__all__ = ["LOG_BYTES", "Log"]

LOG_BYTES = 8 << 20
"""Twice as long as SQLite lets it become where nobody reads, so that the usual append never waits."""

_AGAIN_BYTES = 2 << 20
"""How much more is written before the next try, where a reader stayed for longer than the wait."""

_WAIT_MILLISECONDS = 200


class Log:
    """The log of the file at `path`; used in the writer's turn, except `present`."""

    def __init__(self, path: str) -> None:
        self._path = f"{path}-wal"
        self.due = LOG_BYTES
        """It is to be shortened when it is longer than that, in bytes."""

    def present(self) -> tuple[FileId | None, int]:
        """Which file the log is, and its length in bytes."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - asked in every transaction
        except OSError:
            return None, 0
        return (found.st_dev, found.st_ino), found.st_size

    def shorten(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Move everything into the file and empty the log, if readers allow it in a short time.

        What was written is safe already, so nothing that fails here is told: it is tried again later.
        """
        # First, so that an exception that comes meanwhile leaves no log that is tried at every commit.
        self.due = self.present()[1] + _AGAIN_BYTES
        with suppress(sqlite3.Error, ChatStoreError), closing(connect()) as connection:
            connection.execute(f"PRAGMA busy_timeout = {_WAIT_MILLISECONDS}")
            [busy, _, _] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                self.due = LOG_BYTES
