"""What the kin of PostgreSQL write differently, and how the engine's statements become theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["DIALECTS", "Dialect", "Spoken"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One of the kin: pieces of its tables' definitions, and what it leaves out."""

    name: str
    collate: str = ' COLLATE "C"'
    """Has text sort by its bytes."""
    threads: str = "PRIMARY KEY (key)"
    messages: str = "PRIMARY KEY (thread, position)"
    requests: str = "PRIMARY KEY (tenant, thread, scope, id)"
    sparse: str = " WITH (fillfactor = 80)"
    """Leaves room in a page for the next version of a row."""
    vacuum: bool = True
    """Whether what is removed stays in its page until a VACUUM."""
    places: bool = True
    """Whether a row has a place, `ctid`, by which it is found."""
    changes_twice: bool = True
    """Whether two parts of one statement may change the same table."""


DIALECTS = {
    "postgresql": Dialect("postgresql"),
    "yugabytedb": Dialect(
        "yugabytedb",
        collate="",
        threads="PRIMARY KEY (key HASH)",
        messages="PRIMARY KEY ((thread) HASH, position ASC)",
        requests="PRIMARY KEY ((tenant, thread) HASH, scope ASC, id ASC)",
        sparse="",
        vacuum=False,
        places=False,
    ),
    "cockroachdb": Dialect(
        "cockroachdb", collate="", sparse="", vacuum=False, places=False, changes_twice=False
    ),
}

_TABLE = re.compile(r"\b(FROM|INTO|UPDATE|JOIN) (threads|messages|requests)\b")


class Spoken:
    """Statements of the engine, with the tables of one schema and the driver's parameters."""

    def __init__(self, dialect: Dialect, schema: str) -> None:
        self.dialect = dialect
        self.schema = '"' + schema.replace('"', '""') + '"'
        self.translated = lru_cache(maxsize=256)(self._translated)
        """Gives a statement of the engine as it is sent."""

    def _translated(self, sql: str) -> bytes:
        first, *rest = sql.replace("instr(", "strpos(").split("?")
        numbered = "".join([first, *(f"${number}{part}" for number, part in enumerate(rest, 1))])
        return _TABLE.sub(lambda found: f"{found[1]} {self.schema}.{found[2]}", numbered).encode()
