"""An append as a single statement.

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
from chatstore.codec import decode
from chatstore.conditions import expiry, message_etag
from chatstore.contract import ABSENT, Draft, NewThread, Request, ThreadKey
from chatstore.engines.sql import Row, Transaction
from chatstore.engines.sql.rows import LIVING, Log, compact, participants_text
from chatstore.errors import RequestMismatch
from chatstore.ids import token, uuid7
from chatstore.models import Appended, Message, from_micros

__all__ = ["Append"]

_MOST_BYTES = 8_000_000

_ASKED = (
    "asked AS (SELECT digest, result, expires_at FROM requests "
    "WHERE tenant = ? AND thread = ? AND scope = ? AND id = ?), "
)
_MOVED = (
    # An expiry that slides is renewed as the engine does it, an eighth beyond where it has to be.
    "moved AS (UPDATE threads SET tail = tail + ?, active_at = ?, expires_at = CASE "
    "WHEN expires_at < sliding + ? THEN sliding + sliding / 8 + ? ELSE expires_at END "
    f"WHERE tenant = ? AND id = ? AND {LIVING}"
)
_UNLESS = " AND NOT EXISTS (SELECT 1 FROM asked)"
_AS = " AND epoch || '.' || tail = ANY(CAST(? AS text[]))"
_WITHOUT_KEYS = (
    " AND NOT EXISTS (SELECT 1 FROM messages WHERE thread = threads.key "
    "AND messages.key = ANY(CAST(? AS text[])))"
)
_MADE = (
    "made AS (INSERT INTO threads (tenant, id, owner, topic, metadata, participants, created_at, active_at, "
    "expires_at, revision, epoch, tail, kind, sliding, edits) SELECT CAST(? AS text), CAST(? AS text), "
    "CAST(? AS text), CAST(? AS text), CAST(? AS text), CAST(? AS text), CAST(? AS bigint), "
    "CAST(? AS bigint), CAST(? AS bigint), CAST(? AS text), CAST(? AS text), CAST(? AS bigint), "
    "CAST(? AS text), CAST(? AS bigint), 0 "
    "WHERE NOT EXISTS (SELECT 1 FROM moved)"
)
_UNTAKEN = " ON CONFLICT DO NOTHING"
_RETURNING = " RETURNING key, epoch, tail, edits, owner), "
_OLD = "log AS (SELECT * FROM moved), "
_EITHER = "log AS (SELECT * FROM moved UNION ALL SELECT * FROM made), "
_ADDED = "added AS (INSERT INTO messages (thread, position, id, text, created_at, expires_at, revision"
_BESIDE = ", metadata, key"
_ONE = (
    "SELECT log.key, lpad(CAST(log.tail AS text), 10, '0'), CAST(? AS text), CAST(? AS text), "
    "CAST(? AS bigint), CAST(? AS bigint), 0"
)
_SEVERAL = (
    "SELECT log.key, lpad(CAST(log.tail - CAST(? AS bigint) + new.n AS text), 10, '0'), new.id, new.text, "
    "CAST(? AS bigint), new.expires_at, 0, new.metadata, new.key FROM log, unnest(CAST(? AS text[]), "
    "CAST(? AS text[]), CAST(? AS bigint[]), CAST(? AS text[]), CAST(? AS text[])) "
    "WITH ORDINALITY AS new (id, text, expires_at, metadata, key, n))"
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
    metadata: list[str | None]
    keys: list[str | None]


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
            [draft.metadata for draft in drafts],
            [draft.key for draft in drafts],
        )
        self._keys = [draft.key for draft in drafts if draft.key is not None]

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
        values: list[object]
        unless = "" if self._request is None else _UNLESS
        moved, values = f"{_MOVED}{unless}", [count, now, now, now, key.tenant, key.id, now]
        if key.owner is not None:
            moved = f"{moved} AND owner = ?"
            values.append(key.owner)
        if self._keys:
            moved = f"{moved}{_WITHOUT_KEYS}"
            values.append(self._keys)
        if if_match is not None:
            known = [etag.strip().rpartition(".")[0] for etag in if_match.split(",")]
            return f"{moved}{_AS}{_RETURNING}{_OLD}", (*values, known)
        if create is None:
            return f"{moved}{_RETURNING}{_OLD}", tuple(values)
        made = f"{_MADE}{unless}{_UNTAKEN}{_RETURNING}{_EITHER}"
        return f"{moved}{_RETURNING}{made}", (*values, *self._made(create))

    def _made(self, create: NewThread) -> Row:
        key, now, ttl = self._key, self._now, expiry(0, create.ttl)
        return (
            key.tenant,
            key.id,
            create.owner,
            create.topic,
            compact(create.metadata),
            participants_text(create.participants),
            now,
            now,
            None if ttl is None else now + ttl,
            token(),
            token(),
            len(self._drafts),
            create.kind,
            ttl if create.sliding else None,
        )

    def _added(self) -> tuple[str, Row]:
        """How the statement adds the messages."""
        if len(self._drafts) > 1:
            return f"{_ADDED}{_BESIDE}) {_SEVERAL}", (len(self._drafts), self._now, *self._new)
        [message_id], [text], [expires], [metadata], [key] = self._new
        values = message_id, text, self._now, expires
        if metadata is key is None:
            return f"{_ADDED}) {_ONE} FROM log)", values
        return f"{_ADDED}{_BESIDE}) {_ONE}, CAST(? AS text), CAST(? AS text) FROM log)", (
            *values,
            metadata,
            key,
        )

    def _result(self, row: Row) -> Appended | None:
        key, epoch, tail, edits, digest, result, expires = row
        if key is not None:
            return self._appended(Log(key, epoch, tail, edits))
        if expires <= self._now:
            return None
        request = cast("Request", self._request)
        if digest != request.digest:
            raise RequestMismatch(request.id)
        return cast("Appended", records.remembered(result, self._drafts, request.id).result)

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
                {} if metadata is None else decode(metadata),
                key,
            )
            for slot, (message_id, text, expires, metadata, key) in enumerate(
                zip(*self._new, strict=True), first
            )
        )
        return Appended(messages, log.etag)

    def _record(self) -> list[str]:
        """The record of the result, cut where positions and the log's etag are to be put into it."""
        made = self._appended(Log(0, "", len(self._drafts), 0))
        # Nothing else in it holds the sign: ids, times and etags of messages are of digits and letters.
        messages = tuple(replace(message, position="@") for message in made.messages)
        return records.dump(Appended(messages, "@"), self._drafts).split("@")
