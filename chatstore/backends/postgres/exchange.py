"""Statements on a connection: sent, prepared where they come often, and their rows read.

The connection's link waits for what the server answers.

psycopg's cursors do so for values of every type, and take as long for it as the database for an append. What
the engine sends are texts, whole numbers, None, and lists of these. They go as text, and rows come back in
binary form, read by psycopg's own loaders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from chatstore.backends.postgres.texts import ESCAPE, escaped, read
from chatstore.metering import spent

__all__ = ["OFTEN", "Exchange", "Known", "Result", "noted", "sent"]

Result: TypeAlias = tuple[Sequence[tuple[Any, ...]], int]
"""The rows of a statement, and how many it met."""

OFTEN = 3
"""A statement is prepared when it comes for more than that many times on a connection."""
_MOST = 100
"""A connection that has more statements prepared is given up: the server keeps the plan of each."""
_WELL = frozenset(map(int, (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)))
_BINARY = int(Format.BINARY)
_TEXT, _INT8, _UNKNOWN = 25, 20, 0


class Known:
    """What is known of a statement on one connection."""

    __slots__ = ("name", "rows", "texts", "times")

    def __init__(self) -> None:
        self.times = 0
        self.name: bytes | None = None
        """Under which it is prepared."""
        self.rows = Transformer()
        self.texts: Callable[[tuple[Any, ...]], Sequence[str | None]] | None = None
        """Takes the texts of a row."""


class Exchange:
    """Statements on one connection, whose encoding is UTF-8."""

    def __init__(self, pgconn: PGconn) -> None:
        self._pgconn = pgconn
        self._known: dict[bytes, Known] = {}
        self._prepared = 0
        self.prepares = True
        """Whether statements that come often are prepared from now on."""

    @property
    def is_worn(self) -> bool:
        """Whether the connection has so many statements prepared that another is to take its place."""
        return self._prepared > _MOST

    def known(self, sql: bytes) -> Known:
        """A statement that is to be sent, whose parameters are ``$1`` and so on."""
        known = self._known.get(sql)
        if known is None:
            if len(self._known) > 2 * _MOST:
                self._known = {text: one for text, one in self._known.items() if one.name}
            known = self._known[sql] = Known()
        known.times += 1
        return known

    def is_to_prepare(self, known: Known) -> bool:
        """Whether it comes so often that it is to be prepared first."""
        return known.name is None and known.times > OFTEN and self.prepares

    def send_to_prepare(self, sql: bytes, parameters: Sequence[Any]) -> None:
        """Send it to be prepared."""
        self._pgconn.send_prepare(self._next_name, sql, _types(parameters))

    def prepared(self, known: Known, result: PGresult) -> None:
        """The server answered that it is prepared. Raises psycopg.Error where it is not."""
        _require_well(result)
        known.name = self._next_name
        self._prepared += 1

    @property
    def _next_name(self) -> bytes:
        return b"chatstore_%d" % self._prepared

    def send(self, known: Known, sql: bytes, parameters: Sequence[Any]) -> int:
        """Send it to be done; about how many bytes were sent."""
        values = sent(parameters)
        if known.name is None or not self.prepares:
            self._pgconn.send_query_params(sql, values, _types(parameters), None, _BINARY)
        else:
            self._pgconn.send_query_prepared(known.name, values, None, _BINARY)
        return len(sql) + sum([len(one or b"") for one in values])

    def received(self, known: Known, result: PGresult, went: int) -> Result:
        """What the server answered to what was sent, which were that many bytes. Raises psycopg.Error."""
        _require_well(result)
        if not result.nfields:
            noted(went, 0)
            return [], result.command_tuples or 0
        rows, came = _received(known, result)
        noted(went, came)
        return rows, len(rows)


def sent(parameters: Sequence[Any]) -> list[bytes | None]:
    """Parameters as they are sent."""
    return [
        escaped(value).encode()
        if type(value) is str
        else b"%d" % value
        if type(value) is int
        else None
        if value is None
        else _other(value)
        for value in parameters
    ]


def _other(value: object) -> bytes:
    """A list as it is sent, or a text of a type of its own."""
    if isinstance(value, list):
        return f"{{{','.join(map(_member, value))}}}".encode()
    if isinstance(value, str):
        return escaped(str.__str__(value)).encode()
    raise TypeError(f"no statement has a parameter of the type {type(value).__name__}")


def _member(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    quoted = escaped(value).replace("\\", r"\\").replace('"', r"\"")
    return f'"{quoted}"'


def _types(parameters: Sequence[Any]) -> list[int]:
    """The types of parameters; the server knows that of None, and of a list, from the statement."""
    return [
        _TEXT if type(value) is str else _INT8 if type(value) is int else _UNKNOWN for value in parameters
    ]


def noted(went: int, came: int) -> None:
    """Note a trip, and about how many bytes of values it carried."""
    spent("postgresql", {"bytes_sent": went, "bytes_received": came})


def _require_well(result: PGresult) -> None:
    if result.status not in _WELL:
        raise error_from_result(result)


def _received(known: Known, result: PGresult) -> tuple[Sequence[tuple[Any, ...]], int]:
    """The rows as they were before they were sent, and about how long they are."""
    transformer, first = known.rows, known.texts is None
    transformer.set_pgresult(result, set_loaders=first)
    rows = transformer.load_rows(0, result.ntuples, tuple)
    # It would hold the answer until the next one.
    transformer.set_pgresult(None, set_loaders=False)
    if known.texts is None:
        known.texts = _texts_of(result)
    text = "".join(filter(None, chain.from_iterable(map(known.texts, rows))))
    return read(rows) if ESCAPE in text else rows, len(text) + 8 * len(rows)


def _texts_of(result: PGresult) -> Callable[[tuple[Any, ...]], Sequence[str | None]]:
    """What takes the texts of the result's rows."""
    columns = [column for column in range(result.nfields) if result.ftype(column) == _TEXT]
    if len(columns) > 1:
        return itemgetter(*columns)
    # By a single column it would give the value alone, and a text is a sequence of its own.
    first = columns[0] if columns else 0
    return itemgetter(slice(first, first + len(columns)))
