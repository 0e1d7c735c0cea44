"""Messages as they are read: a page in one statement, and what looks at stored text."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore.codec import is_object
from chatstore.contract import Clock, Span, ThreadKey
from chatstore.engines.sql import Row, Transaction
from chatstore.engines.sql.listing import Found
from chatstore.engines.sql.message_rows import ENTRY, MESSAGE
from chatstore.engines.sql.messages import Messages
from chatstore.engines.sql.rows import LIVING, Log, log_of
from chatstore.models import NAMED_BY_KEY

__all__ = ["Checked", "ReadAlready", "previews", "read_rows"]

_COLUMNS = len(MESSAGE.split(", "))
_LOG = "key, epoch, tail, edits, cuts"
_NAMED = f"tenant = ? AND id = ? AND {LIVING}"


class Checked(Messages):
    """Messages whose text is looked at here: older servers have no function for it."""

    async def _rows(self, log: Log, span: Span, columns: str = MESSAGE) -> list[Row]:
        rows = await super()._rows(log, span, MESSAGE)
        return rows if columns != ENTRY else [(*row, _is_json(row)) for row in rows]


class ReadAlready(Checked):
    """Messages that were read in one trip, with their thread's log."""

    def __init__(self, tx: Transaction, clock: Clock, rows: list[Row]) -> None:
        super().__init__(tx, clock)
        self.rows = rows

    async def _rows(self, log: Log, span: Span, columns: str = MESSAGE) -> list[Row]:  # noqa: ARG002 - they were chosen so
        return self.rows if columns != ENTRY else [(*row, _is_json(row)) for row in self.rows]


def _is_json(row: Row) -> bool:
    text, metadata = row[0], row[6]
    return is_object(text) and (metadata is None or is_object(metadata))


async def read_rows(tx: Transaction, key: ThreadKey, span: Span, now: int) -> tuple[Log | None, list[Row]]:
    """The thread's log and the rows of `span`, as they are at one moment.

    Of rows that hold more than `max_bytes`, what the page needs to know that it ends. Where the message that
    the span names is not there, there are no rows. The limit is a part of the statement: a plan that does not
    know it may read a long thread through. Bounds that nobody gave are not: they would make each plan that is
    kept look worse than planning anew.
    """
    order = "DESC" if span.newest else "ASC"
    measured, limited, most = "", "", tuple[object, ...]()
    if span.max_bytes is not None:
        window = f"OVER (ORDER BY position {order} ROWS UNBOUNDED PRECEDING)"
        measured = (
            f", row_number() {window} AS number_, "
            f"sum(octet_length(text)) {window} - octet_length(text) AS before_"
        )
        limited, most = " WHERE number_ <= 2 OR before_ <= CAST(? AS bigint)", (span.max_bytes,)
    after, low = _bound(">", span.after, span.after_message, now)
    before, high = _bound("<", span.before, span.before_message, now)
    owned, owner = ("", ()) if key.owner is None else (" AND owner = ?", (key.owner,))
    rows = await tx.all(
        f"SELECT message.*, log.* FROM (SELECT {_LOG} FROM threads WHERE {_NAMED}{owned}) log "
        f"LEFT JOIN LATERAL (SELECT {MESSAGE} FROM (SELECT {MESSAGE}{measured} FROM messages "
        f"WHERE thread = log.key{after}{before} AND {LIVING} "
        f"ORDER BY position {order} LIMIT {int(span.limit) + 1}) found{limited}) message ON true "
        f"ORDER BY message.position {order}",
        key.tenant,
        key.id,
        now,
        *owner,
        *low,
        *high,
        now,
        *most,
    )
    if not rows:
        return None, []
    log = log_of((*rows[0][_COLUMNS:], None, None))
    return log, [row[:_COLUMNS] for row in rows] if rows[0][0] is not None else []


def _bound(sign: str, place: str | None, named: str | None, now: int) -> tuple[str, tuple[object, ...]]:
    """The condition that a position bounds, or the message that has an id or key; and its parameters."""
    if named is not None:
        column = "key" if named.startswith(NAMED_BY_KEY) else "id"
        found = f"(SELECT position FROM messages WHERE thread = log.key AND {column} = ? AND {LIVING})"
        return f" AND position {sign} {found}", (named.removeprefix(NAMED_BY_KEY), now)
    return ("", ()) if place is None else (f" AND position {sign} ?", (place,))


async def previews(tx: Transaction, found: Sequence[Found], now: int) -> dict[int, tuple[int, str | None]]:
    """How many messages the threads have from which nothing is cut, and the text of each one's newest."""
    rows = await tx.all(
        "SELECT threads.key, counted.messages, newest.text FROM threads, LATERAL "
        f"(SELECT count(*) AS messages FROM messages WHERE thread = threads.key AND {LIVING}) counted "
        f"LEFT JOIN LATERAL (SELECT text FROM messages WHERE thread = threads.key AND {LIVING} "
        "ORDER BY position DESC LIMIT 1) newest ON true "
        "WHERE threads.key = ANY(CAST(? AS bigint[])) AND threads.cuts IS NULL",
        now,
        now,
        [one.key for one in found],
    )
    return {key: (count, text) for key, count, text in rows}
