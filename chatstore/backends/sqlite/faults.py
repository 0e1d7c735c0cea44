"""What is wrong with a file, by SQLite's number for it, in errors of our own."""

from __future__ import annotations

import sqlite3

from chatstore.errors import ConfigurationError, CorruptData, StorageError, Unavailable

__all__ = ["UNWRITABLE", "code_of", "name_of", "ours"]

UNWRITABLE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)


def ours(error: sqlite3.Error, path: str) -> StorageError | ConfigurationError:
    """What `error` of the file at `path` is."""
    code = code_of(error)
    if code == sqlite3.SQLITE_CANTOPEN:
        return ConfigurationError(
            f"{path} cannot be opened ({name_of(error)}): does its folder exist, and may you write there?"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CorruptData(f"{path} is damaged or not an SQLite database ({name_of(error)})")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(f"{path} is busy with another process's write: try again, or raise ?timeout=")
    if code in UNWRITABLE:
        return Unavailable(f"{path} cannot be written ({name_of(error)})")
    if code is None and type(error) is sqlite3.OperationalError:
        # Not SQLite but Python's module found it: text that is not UTF-8.
        return CorruptData(f"{path} is damaged: what is stored there is not text")
    return StorageError(f"{path} cannot be used ({name_of(error)})")


def code_of(error: sqlite3.Error) -> int | None:
    """What is wrong, of SQLite's primary codes; None where Python's module found it."""
    number = getattr(error, "sqlite_errorcode", None)
    return None if number is None else number & 0xFF


def name_of(error: sqlite3.Error) -> str:
    """SQLite's name for what is wrong; what it says beside that may quote what is stored."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__
