"""What the driver raises, as errors of ours; which of it may be done again."""

from __future__ import annotations

import psycopg

from chatstore.errors import ChatStoreError, ConfigurationError, CorruptData, StorageError, Unavailable

__all__ = ["MET", "MOVED", "UNPREPARED", "NotConnected", "is_lost", "may_come_back", "translated"]

MET = frozenset({"40001", "40P01", "23505"})
"""Another transaction was met: nothing was done, and it may be tried again."""

MOVED = frozenset({"25006", "57P01", "57P02", "57P03"})
"""The server went down, or became one that only reads: nothing was done, and another may take it."""

UNPREPARED = frozenset({"26000", "42P05"})
"""A pooler in between gave the connection to others, and knows no prepared statements."""

_FOR_NOW = ("the database system is", "too many", "remaining connection slots", "terminating connection")
"""What a server says that lets nobody in at the moment."""

_GRANTS = "docs/postgres.md lists what the service's role is granted"
_UNMADE = frozenset({"42P01", "3F000", "42703"})


class NotConnected(Exception):
    """A connection could not be had, for the reason that is its cause."""

    def __init__(self, reason: psycopg.Error) -> None:
        super().__init__(type(reason).__name__)
        self.reason = reason


def is_lost(error: psycopg.Error) -> bool:
    """Whether the server said nothing: what was sent may have been done or not."""
    return error.sqlstate is None


def may_come_back(error: psycopg.Error) -> bool:
    """Whether a server that was not reached may be so a moment later."""
    text = str(error)
    return error.sqlstate is None and ("FATAL" not in text or any(words in text for words in _FOR_NOW))


def translated(error: psycopg.Error, place: str) -> ChatStoreError:
    """The error of ours for one of the driver's; what that says may quote what is stored, and is left out."""
    state = error.sqlstate
    name = " ".join(filter(None, (type(error).__name__, state)))
    if state in _UNMADE:
        return ConfigurationError(
            f"{place} has no tables of chatstore's in this schema ({name}): run chatstore init"
        )
    if state == "42501":
        return ConfigurationError(f"this role may not do that at {place} ({name}): {_GRANTS}")
    if state == "3D000" or (state or "").startswith("28"):
        return ConfigurationError(
            f"{place} lets nobody in by this URL ({name}): check database, user, password"
        )
    if state is None and "FATAL" in str(error) and not may_come_back(error):
        return ConfigurationError(
            f"{place} lets nobody in so ({name}): "
            "check the database, PGUSER, and PGPASSWORD or the password file"
        )
    if state is None or state[:2] in {"08", "40", "53", "55", "57"} or state in {"25006", "23505"}:
        return Unavailable(f"{place} did not do it ({name}): try again")
    if state in {"XX001", "XX002"}:
        return CorruptData(f"{place} is damaged ({name})")
    return StorageError(f"{place} cannot be used ({name})")
