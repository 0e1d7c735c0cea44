"""The frequent operations as single statements: an append, a page of messages, a page of threads.

An append is one statement, and so one transaction and one trip: it looks for an earlier result of the
request, takes places at the thread's tail under its row's lock, makes the thread where there is none, and
adds the messages and the request's result. What it does not find as it expects it leaves to the transaction
that every other operation is. A repetition beside its first try does not see it yet, waits for the row,
and then fails at the index of requests: done again, it finds the first result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from chatstore import position, records
from chatstore.codec import is_object
from chatstore.conditions import expiry, message_etag
from chatstore.contract import ABSENT, Draft, NewThread, Request, Span, ThreadKey
from chatstore.engines.sql import Row, Transaction
from chatstore.engines.sql.messages import Messages
from chatstore.engines.sql.threads import LIVING, Log, properties_text
from chatstore.errors import RequestMismatch
from chatstore.ids import token, uuid7
from chatstore.models import Appended, Message, from_micros

__all__ = ["Append", "Found", "read_rows"]

_MOST_BYTES = 8_000_000
_NAMED = f"tenant = ? AND id = ? AND {LIVING} AND (CAST(? AS text) IS NULL OR owner = ?)"

_ASKED = (
    "asked AS (SELECT digest, result, expires_at FROM requests "
    "WHERE tenant = ? AND thread = ? AND scope = ? AND id = ?), "
)
_MOVED = f"moved AS (UPDATE threads SET tail = tail + ?, active_at = ? WHERE {_NAMED}"
_UNLESS = " AND NOT EXISTS (SELECT 1 FROM asked)"
_AS = " AND epoch || '.' || tail = ANY(CAST(? AS text[]))"
_MADE = (
    "made AS (INSERT INTO threads (tenant, id, owner, topic, metadata, participants, created_at, active_at, "
    "expires_at, revision, epoch, tail, edits) SELECT CAST(? AS text), CAST(? AS text), CAST(? AS text), "
    "CAST(? AS text), CAST(? AS text), CAST(? AS text), CAST(? AS bigint), CAST(? AS bigint), "
    "CAST(? AS bigint), CAST(? AS text), CAST(? AS text), CAST(? AS bigint), 0 "
    "WHERE NOT EXISTS (SELECT 1 FROM moved)"
)
_UNTAKEN = " ON CONFLICT DO NOTHING"
_RETURNING = " RETURNING key, epoch, tail, edits, owner), "
_OLD = "log AS (SELECT * FROM moved), "
_EITHER = "log AS (SELECT * FROM moved UNION ALL SELECT * FROM made), "
_ADDED = "added AS (INSERT INTO messages (thread, position, id, text, created_at, expires_at, revision) "
_ONE = (
    "SELECT log.key, lpad(CAST(log.tail AS text), 10, '0'), CAST(? AS text), CAST(? AS text), "
    "CAST(? AS bigint), CAST(? AS bigint), 0 FROM log)"
)
_SEVERAL = (
    "SELECT log.key, lpad(CAST(log.tail - CAST(? AS bigint) + new.n AS text), 10, '0'), new.id, new.text, "
    "CAST(? AS bigint), new.expires_at, 0 FROM log, unnest(CAST(? AS text[]), CAST(? AS text[]), "
    "CAST(? AS bigint[])) WITH ORDINALITY AS new (id, text, expires_at, n))"
)
_NOTED = (
    ", noted AS (INSERT INTO requests (tenant, thread, scope, id, digest, result, owner, expires_at) "
    "SELECT CAST(? AS text), CAST(? AS text), CAST(? AS text), CAST(? AS text), CAST(? AS text), "
    "(SELECT string_agg(piece || lpad(CAST(log.tail - CAST(? AS bigint) + n AS text), 10, '0'), '' "
    "ORDER BY n) FROM unnest(CAST(? AS text[])) WITH ORDINALITY AS pieces (piece, n)) "
    "|| CAST(? AS text) || log.epoch || '.' || log.tail || '.' || log.edits || CAST(? AS text), "
    "coalesce(log.owner, CAST(? AS text)), CAST(? AS bigint) FROM log)"
)
_GIVEN = " SELECT key, epoch, tail, edits, NULL, NULL, NULL FROM log"
_GIVEN_OR_ASKED = (
    " SELECT key, epoch, tail, edits, CAST(NULL AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM log "
    "UNION ALL SELECT CAST(NULL AS bigint), NULL, NULL, NULL, digest, result, expires_at FROM asked"
)


class _Known(NamedTuple):
    """What is known of the messages before they have their places."""

    ids: list[str]
    texts: list[str]
    expires: list[int | None]


class Append:
    """One append at `now`, which is tried as one statement."""

    def __init__(self, key: ThreadKey, drafts: Sequence[Draft], request: Request | None, now: int) -> None:
        self._key = key
        self._drafts = drafts
        self._request = request
        self._now = now
        self._new = _Known(
            [uuid7(now // 1000) for _ in drafts],
            [draft.text for draft in drafts],
            [expiry(now, draft.ttl) for draft in drafts],
        )

    def fits(self, if_match: str | None) -> bool:
        """Whether one statement can be it."""
        size = sum(len(draft.text) for draft in self._drafts)
        plain = if_match is None or not {"*", ABSENT} & {etag.strip() for etag in if_match.split(",")}
        return bool(self._drafts) and plain and size < _MOST_BYTES

    async def run(
        self, tx: Transaction, create: NewThread | None, if_match: str | None, until: int
    ) -> Appended | None:
        """The result, remembered `until` then; None where the thread is not as it has to be."""
        log, values = self._log(create, if_match)
        added, new = self._added()
        if self._request is None:
            row = await tx.one(f"WITH {log}{added}{_GIVEN}", *values, *new)
        else:
            asked = (self._key.tenant, self._key.id, self._key.owner or "", self._request.id)
            *pieces, before, after = self._record()
            noted = (self._request.digest, len(pieces), pieces, before, after, self._key.owner, until)
            sql = f"WITH {_ASKED}{log}{added}{_NOTED}{_GIVEN_OR_ASKED}"
            row = await tx.one(sql, *asked, *values, *new, *asked, *noted)
        return None if row is None else self._result(row)

    def _log(self, create: NewThread | None, if_match: str | None) -> tuple[str, Row]:
        """How the statement comes to the thread's row, which is then called `log`."""
        key, now, count = self._key, self._now, len(self._drafts)
        unless = "" if self._request is None else _UNLESS
        moved, values = f"{_MOVED}{unless}", (count, now, key.tenant, key.id, now, key.owner, key.owner)
        if if_match is not None:
            known = [etag.strip().rpartition(".")[0] for etag in if_match.split(",")]
            return f"{moved}{_AS}{_RETURNING}{_OLD}", (*values, known)
        if create is None:
            return f"{moved}{_RETURNING}{_OLD}", values
        made = (
            key.tenant,
            key.id,
            create.owner,
            create.topic,
            *properties_text(create),
            now,
            now,
            expiry(now, create.ttl),
            token(),
            token(),
            count,
        )
        return f"{moved}{_RETURNING}{_MADE}{unless}{_UNTAKEN}{_RETURNING}{_EITHER}", (*values, *made)

    def _added(self) -> tuple[str, Row]:
        """How the statement adds the messages."""
        if len(self._drafts) > 1:
            return f"{_ADDED}{_SEVERAL}", (len(self._drafts), self._now, *self._new)
        [message_id], [text], [expires] = self._new
        return f"{_ADDED}{_ONE}", (message_id, text, self._now, expires)

    def _result(self, row: Row) -> Appended | None:
        key, epoch, tail, edits, digest, result, expires = row
        if key is not None:
            return self._appended(Log(key, epoch, tail, edits))
        if expires <= self._now:
            return None
        request = cast("Request", self._request)
        if digest != request.digest:
            raise RequestMismatch(request.id)
        return cast("Appended", records.again(result, self._drafts, self._now, request.id))

    def _appended(self, log: Log) -> Appended:
        first = log.tail - len(self._drafts) + 1
        created = from_micros(self._now)
        messages = tuple(
            Message(
                text,
                message_id,
                position.nth(slot),
                created,
                message_etag(message_id, 0),
                None if expires is None else from_micros(expires),
            )
            for slot, (message_id, text, expires) in enumerate(zip(*self._new, strict=True), first)
        )
        return Appended(messages, log.etag)

    def _record(self) -> list[str]:
        """The record of the result, cut where positions and the log's etag are to be put into it."""
        made = self._appended(Log(0, "", len(self._drafts), 0))
        # Nothing else in it holds the sign: ids, times and etags of messages are of digits and letters.
        messages = tuple(replace(message, position="@") for message in made.messages)
        return records.dump(Appended(messages, "@"), self._drafts).split("@")


_COLUMNS = "text, id, position, created_at, revision, expires_at"


async def read_rows(tx: Transaction, key: ThreadKey, span: Span, now: int) -> tuple[Log | None, list[Row]]:
    """The thread's log and the rows of `span`, as they are at one moment.

    Of rows that hold more than `max_bytes`, what the page needs to know that it ends. The limit is a part of
    the statement: a plan that does not know it may read a long thread through.
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
    rows = await tx.all(
        f"SELECT log.key, log.epoch, log.tail, log.edits, message.* FROM "
        f"(SELECT key, epoch, tail, edits FROM threads WHERE {_NAMED}) log "
        f"LEFT JOIN LATERAL (SELECT {_COLUMNS} FROM (SELECT {_COLUMNS}{measured} FROM messages "
        f"WHERE thread = log.key AND position > ? AND position < ? AND {LIVING} "
        f"ORDER BY position {order} LIMIT {int(span.limit) + 1}) found{limited}) message ON true "
        f"ORDER BY message.position {order}",
        key.tenant,
        key.id,
        now,
        key.owner,
        key.owner,
        span.after or "",
        span.before or "~",
        now,
        *most,
    )
    if not rows:
        return None, []
    found = [row[4:] for row in rows if row[4] is not None]
    return Log(*rows[0][:4]), found


class Found(Messages):
    """Messages that were read already."""

    def __init__(self, tx: Transaction, now: int, rows: list[Row], *, checked: bool) -> None:
        super().__init__(tx, lambda: now)
        self._found = [(*row, is_object(row[0])) for row in rows] if checked else rows

    async def _rows(self, log: Log, span: Span, columns: str = "") -> list[Row]:  # noqa: ARG002 - they were chosen so
        return self._found
