"""Messages as they are read: a page in one statement, and what looks at stored text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter

from chatstore.codec import is_object
from chatstore.contract import Span, ThreadKey
from chatstore.engines.sql import Row, Transaction
from chatstore.engines.sql.message_rows import ENTRY, MESSAGE
from chatstore.engines.sql.messages import Messages
from chatstore.engines.sql.rows import LIVING, Log, log_of
from chatstore.models import NAMED_BY_KEY

__all__ = ["Checked", "looked_at", "read_rows"]

_LOG = "epoch, cuts, '', tail, edits, key, NULL, NULL"
"""A thread's row, in the columns of a message's: its position sorts in front of every message's."""
_POSITION = itemgetter(2)


class Checked(Messages):
    """Messages whose text is looked at here: older servers have no function for it."""

    async def _rows(self, log: Log, span: Span, columns: str = MESSAGE) -> list[Row]:
        rows = await super()._rows(log, span, MESSAGE)
        return rows if columns != ENTRY else looked_at(rows)


def looked_at(rows: Iterable[Row]) -> list[Row]:
    """Rows of messages, each with whether its texts are JSON."""
    return [(*row, _is_json(row)) for row in rows]


def _is_json(row: Row) -> bool:
    text, metadata = row[0], row[6]
    return is_object(text) and (metadata is None or is_object(metadata))


async def read_rows(tx: Transaction, key: ThreadKey, span: Span, now: int) -> tuple[Log | None, list[Row]]:
    """The thread's log and the rows of `span` in the direction of reading, as they are at one moment.

    Of rows that hold more than `max_bytes`, what the page needs to know that it ends. Where the message that
    the span names is not there, there are no rows.
    """
    owner = () if key.owner is None else (key.owner,)
    after, low = _bound(span.after, span.after_message, now)
    before, high = _bound(span.before, span.before_message, now)
    most = () if span.max_bytes is None else (span.max_bytes,)
    sql = _statement(bool(owner), bool(most), span.newest, span.limit, after, before)
    found = await tx.all(sql, key.tenant, key.id, now, *owner, *low, *high, now, *most)
    if not found:
        return None, []
    # The database may give the two parts of the statement in any order, and does so in this one.
    rows = sorted(found, key=_POSITION, reverse=span.newest)
    epoch, cuts, _, tail, edits, thread, _, _ = rows.pop(-1 if span.newest else 0)
    return log_of((thread, epoch, tail, edits, cuts, None, None)), rows


@lru_cache(512)
def _statement(
    owned: bool, sized: bool, newest: bool, limit: int, after: str | None, before: str | None
) -> str:
    """The statement of a read.

    Its limit is a part of it: a plan that does not know it may read a long thread through. Bounds that nobody
    gave are not: they would make each plan that is kept look worse than planning anew. The thread's row comes
    by itself, and not beside each message: that took a third more time for a page of twenty.
    """
    order = "DESC" if newest else "ASC"
    owner = " AND owner = ?" if owned else ""
    bounds = _bounded(">", after) + _bounded("<", before)
    measured = limited = ""
    if sized:
        window = f"OVER (ORDER BY position {order} ROWS UNBOUNDED PRECEDING)"
        measured = (
            f", row_number() {window} AS number_, "
            f"sum(octet_length(text)) {window} - octet_length(text) AS before_"
        )
        limited = " WHERE number_ <= 2 OR before_ <= CAST(? AS bigint)"
    return (
        "WITH log AS (SELECT key, epoch, tail, edits, cuts FROM threads "
        f"WHERE tenant = ? AND id = ? AND {LIVING}{owner}) "
        f"SELECT {_LOG} FROM log UNION ALL SELECT {MESSAGE} FROM (SELECT {MESSAGE}{measured} FROM messages "
        f"WHERE thread = (SELECT key FROM log){bounds} AND {LIVING} "
        f"ORDER BY position {order} LIMIT {limit + 1}) found{limited}"
    )


def _bound(place: str | None, named: str | None, now: int) -> tuple[str | None, tuple[object, ...]]:
    """By which column a bound is given, and its parameters; None where there is none."""
    if named is not None:
        column = "key" if named.startswith(NAMED_BY_KEY) else "id"
        return column, (named.removeprefix(NAMED_BY_KEY), now)
    return (None, ()) if place is None else ("position", (place,))


def _bounded(sign: str, column: str | None) -> str:
    if column is None:
        return ""
    if column == "position":
        return f" AND position {sign} ?"
    named = f"thread = (SELECT key FROM log) AND {column} = ? AND {LIVING}"
    return f" AND position {sign} (SELECT position FROM messages WHERE {named})"
