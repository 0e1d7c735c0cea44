"""Which file is at a path: SQLite itself goes on using one that has been moved, deleted or replaced."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from chatstore.errors import Unavailable

__all__ = ["FileId", "Opened", "file_at", "is_there", "open_at", "require_room"]

FileId: TypeAlias = tuple[int, int]

_ROOM_BYTES = 1 << 20


@dataclass(eq=False, slots=True, weakref_slot=True)
class Opened:
    """A connection, and which file and which write-ahead log it has open."""

    connection: sqlite3.Connection
    file: FileId | None
    log: FileId | None
    inside: threading.Lock = field(default_factory=threading.Lock)
    """Held by a reader as long as it is inside SQLite."""


class _Connection(sqlite3.Connection):
    """Closes itself where an exception came between its opening and whoever was to keep it."""

    def __del__(self) -> None:
        # One that could not be opened cannot be closed.
        with suppress(sqlite3.ProgrammingError):
            self.close()


def file_at(path: str) -> FileId | None:
    """Device and inode of the file at `path`, None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - asked in every transaction, where a Path costs as much again
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_there(path: str) -> bool:
    """Whether there is a file at `path` with anything in it."""
    place = Path(path)
    return place.is_file() and place.stat().st_size > 0


def require_room(path: str) -> None:
    """Raise Unavailable where the disk of `path` is full, or nearly so."""
    try:
        disk = os.statvfs(Path(path).absolute().parent)
    except OSError:
        return  # the folder is gone, which whoever opens the file says better
    free = disk.f_frsize * (disk.f_bavail if os.geteuid() else disk.f_bfree)
    if free < _ROOM_BYTES:
        raise Unavailable(f"the disk of {path} is full: {free:,} bytes are left, free some")


def open_at(path: str, last: Opened | None, timeout: float) -> sqlite3.Connection:
    """Connect to the file at `path`, which is made only where `last` says that there was none before.

    One that is made is its owner's alone, and so are its log and shared memory: SQLite gives them its mode.
    Raises Unavailable where the file that was there is gone, and where another has taken its place beside a
    log that belongs to the first: SQLite would write the log's pages into it.
    """
    options = "?mode=rwc" if last is None else "?mode=rw"
    if last is not None:
        present = file_at(path)
        if present is None:
            raise Unavailable(f"{path} is gone: what is written would be lost")
        if present != last.file and last.log is not None and file_at(f"{path}-wal") == last.log:
            raise Unavailable(
                f"{path} was replaced, but {path}-wal belongs to the former file: stop every process that "
                f"uses it, and move {path}-wal and {path}-shm to where the former file is now"
            )
    else:
        _make_private(path)
    return sqlite3.connect(
        f"file://{quote(str(Path(path).absolute()))}{options}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=_Connection,
    )


_making = threading.Lock()
"""Held while a file is made: every connection of the process to a file begins when it is closed again."""


def _let_go() -> None:
    """A child of a fork has no other thread that could be making a file."""
    global _making  # noqa: PLW0603 - a lock of this process, as the child has to have one of its own
    _making = threading.Lock()


os.register_at_fork(after_in_child=_let_go)


def _make_private(path: str) -> None:
    """Make an empty file at `path` that its owner alone may read and write, where there is none.

    To close a file lets go of all locks that the process has on it, so nobody else may open it meanwhile.
    Whatever stands in the way raises nothing here: SQLite opens the file next, and says what it was.
    """
    with _making, suppress(OSError):
        if file_at(path) is None:
            os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
