"""The two kinds of SQL tables that LlamaIndex's stores make, told apart by their columns."""

from __future__ import annotations

from collections.abc import Mapping, Set

from chatstore.errors import ConfigurationError

__all__ = ["HISTORIES", "WITH_STATUS", "the_one_table"]

HISTORIES = frozenset({"id", "key", "value"})
"""Of SQLiteChatStore, a message in a row; of PostgresChatStore and YugabyteDBChatStore, a thread in a row."""

WITH_STATUS = frozenset({"id", "key", "timestamp", "role", "status", "data"})
"""Of SQLAlchemyChatStore, which `Memory` uses: a message in a row."""


def the_one_table(tables: Mapping[str, Set[str]], named: str | None) -> tuple[str, bool]:
    """The table to read, and whether its messages have a status.

    `tables` are the columns of each. Raises ConfigurationError where it is not there, or not clear which.
    """
    found = {
        name: columns == WITH_STATUS
        for name, columns in tables.items()
        if columns in (HISTORIES, WITH_STATUS) and named in (None, name)
    }
    if len(found) != 1:
        which = f"no table {named!r} of LlamaIndex's" if named else "not exactly one table of LlamaIndex's"
        known = ", ".join(sorted(found)) or "none"
        raise ConfigurationError(f"there is {which}; found: {known}; add ?table=NAME to the URL")
    return found.popitem()
