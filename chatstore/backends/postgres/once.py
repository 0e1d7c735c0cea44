"""An append as a single statement.

An append is one statement, and so one transaction and one trip: it looks for an earlier result of the
request, takes places at the thread's tail under its row's lock, makes the thread where there is none, and
adds the messages and the request's result. What it does not find as it expects it leaves to the transaction
that every other operation is. A repetition beside its first try does not see it yet, waits for the row,
and then fails at the index of requests: done again, it finds the first result.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias, cast

from chatstore import position, records
from chatstore.codec import decode
from chatstore.conditions import expiry, log_etag, message_etag
from chatstore.contract import ABSENT, Draft, NewThread, Request, ThreadKey
from chatstore.engines.sql import Row, Transaction
from chatstore.engines.sql.rows import LIVING, compact, participants_text
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
    "UPDATE threads SET tail = tail + ?, active_at = ?, expires_at = CASE "
    "WHEN expires_at < sliding + ? THEN sliding + (sliding >> 3) + ? ELSE expires_at END "
    f"WHERE tenant = ? AND id = ? AND {LIVING}"
)
_UNLESS = " AND NOT EXISTS (SELECT 1 FROM asked)"
_AS = " AND epoch || '.' || tail = ANY(CAST(? AS text[]))"
_WITHOUT_KEYS = (
    " AND NOT EXISTS (SELECT 1 FROM messages WHERE thread = threads.key "
    "AND messages.key = ANY(CAST(? AS text[])))"
)
_MADE = (
    "INSERT INTO threads (tenant, id, owner, topic, metadata, participants, created_at, active_at, "
    "expires_at, revision, epoch, tail, kind, sliding, edits) SELECT CAST(? AS text), CAST(? AS text), "
    "CAST(? AS text), CAST(? AS text), CAST(? AS text), CAST(? AS text), CAST(? AS bigint), "
    "CAST(? AS bigint), CAST(? AS bigint), CAST(? AS text), CAST(? AS text), CAST(? AS bigint), "
    "CAST(? AS text), CAST(? AS bigint), 0 "
    "WHERE NOT EXISTS (SELECT 1 FROM moved)"
)
_UNTAKEN = " ON CONFLICT DO NOTHING"
_RETURNING = " RETURNING key, epoch, tail, edits, owner"
_ADDED = "added AS (INSERT INTO messages (thread, position, id, text, created_at, expires_at, revision"
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
)
_ITS_RECORD = "CAST(? AS text) || lpad(CAST(log.tail AS text), 10, '0') || "
_THEIR_RECORD = (
    "(SELECT string_agg(piece || lpad(CAST(log.tail - CAST(? AS bigint) + n AS text), 10, '0'), '' "
    "ORDER BY n) FROM unnest(CAST(? AS text[])) WITH ORDINALITY AS pieces (piece, n)) || "
)
_WHOSE = (
    "CAST(? AS text) || log.epoch || '.' || log.tail || '.' || log.edits || CAST(? AS text), "
    "coalesce(log.owner, CAST(? AS text)), CAST(? AS bigint) FROM log)"
)
_GIVEN = " SELECT key, epoch, tail, edits FROM log"
_GIVEN_OR_ASKED = (
    " SELECT key, epoch, tail, edits, CAST(NULL AS text), CAST(NULL AS text), CAST(NULL AS bigint) FROM log "
    "UNION ALL SELECT CAST(NULL AS bigint), NULL, NULL, NULL, digest, result, expires_at FROM asked"
)


@lru_cache
def _statement(
    asked: bool, owned: bool, keyed: bool, matched: bool, makes: bool, several: bool, beside: bool
) -> str:
    """The statement that has that beside what each has."""
    unless = _UNLESS if asked else ""
    owner = " AND owner = ?" if owned else ""
    moved = f"{_MOVED}{unless}{owner}{_WITHOUT_KEYS * keyed}{_AS * matched}{_RETURNING}"
    log = f"log AS ({moved}), "
    if makes:
        made = f"{_MADE}{unless}{_UNTAKEN}{_RETURNING}"
        either = "SELECT * FROM moved UNION ALL SELECT * FROM made"
        log = f"moved AS ({moved}), made AS ({made}), log AS ({either}), "
    if several:
        added = f"{_ADDED}, metadata, key) {_SEVERAL}"
    elif beside:
        added = f"{_ADDED}, metadata, key) {_ONE}, CAST(? AS text), CAST(? AS text) FROM log)"
    else:
        added = f"{_ADDED}) {_ONE} FROM log)"
    if asked:
        record = _THEIR_RECORD if several else _ITS_RECORD
        return f"WITH {_ASKED}{log}{added}{_NOTED}{record}{_WHOSE}{_GIVEN_OR_ASKED}"
    return f"WITH {log}{added}{_GIVEN}"


_New: TypeAlias = tuple[str, str, int | None, str | None, str | None]
"""A message before it has its place: id, text, expiry, metadata, key."""


class Append:
    """One append at `now`, which is tried as one statement; its result is remembered `until` then."""

    def __init__(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
        now: int,
        until: int,
    ) -> None:
        self._key = key
        self._drafts = drafts
        self._create = create
        self._if_match = if_match
        self._request = request
        self._now = now
        self._until = until
        self._new: list[_New] = [
            (uuid7(now // 1000), text, None if ttl is None else expiry(now, ttl), metadata, name)
            for text, ttl, metadata, name in drafts
        ]
        self._keys = [name for _, _, _, name in drafts if name is not None]

    def fits(self) -> bool:
        """Whether one statement can be it."""
        named = self._if_match
        plain = named is None or not {"*", ABSENT} & {etag.strip() for etag in named.split(",")}
        return bool(self._drafts) and plain and sum([len(draft[0]) for draft in self._drafts]) < _MOST_BYTES

    def makes(self) -> bool:
        """Whether it makes a thread that is not there."""
        return self._create is not None and self._if_match is None

    async def add(self, tx: Transaction) -> Appended | None:
        """The result of an append to a thread that is there; None where it is not as it has to be."""
        return await self._run(tx, None)

    async def make_or_add(self, tx: Transaction) -> Appended | None:
        """The same, where the thread may be made."""
        return await self._run(tx, self._create)

    async def _run(self, tx: Transaction, create: NewThread | None) -> Appended | None:
        request, several = self._request, len(self._new) > 1
        beside = not several and self._new[0][3:] != (None, None)
        sql = _statement(
            request is not None,
            self._key.owner is not None,
            bool(self._keys),
            self._if_match is not None,
            create is not None,
            several,
            beside,
        )
        values = self._moved()
        if create is not None:
            values += self._made(create)
        if several:
            values += (len(self._new), self._now, *map(list, zip(*self._new, strict=True)))
        else:
            message_id, text, expires, *more = self._new[0]
            values += (message_id, text, self._now, expires)
            if beside:
                values += more
        if request is not None:
            values = self._asked(request, values)
        row = await tx.one(sql, *values)
        return None if row is None else self._result(row)

    def _moved(self) -> list[object]:
        """What finds the thread's row, and takes places at its tail."""
        key, now = self._key, self._now
        values: list[object] = [len(self._new), now, now, now, key.tenant, key.id, now]
        if key.owner is not None:
            values.append(key.owner)
        if self._keys:
            values.append(self._keys)
        if self._if_match is not None:
            values.append([etag.strip().rpartition(".")[0] for etag in self._if_match.split(",")])
        return values

    def _asked(self, request: Request, values: list[object]) -> list[object]:
        """What finds the request, and remembers its result, around the other values."""
        key = self._key
        asked = key.tenant, key.id, key.owner or "", request.id
        *pieces, before, after = self._record()
        record = (len(pieces), pieces) if len(pieces) > 1 else pieces
        return [*asked, *values, *asked, request.digest, *record, before, after, key.owner, self._until]

    def _made(self, create: NewThread) -> Row:
        """What makes the row where there is none."""
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
            len(self._new),
            create.kind,
            ttl if create.sliding else None,
        )

    def _result(self, row: Row) -> Appended | None:
        key, epoch, tail, edits, *asked = row
        if key is not None:
            return Appended(self._messages(tail - len(self._new)), log_etag(epoch, tail, edits))
        digest, result, expires = asked
        if expires <= self._now:
            return None
        request = cast("Request", self._request)
        if digest != request.digest:
            raise RequestMismatch(request.id)
        return cast("Appended", records.remembered(result, self._drafts, request.id).result)

    def _messages(self, tail: int) -> tuple[Message, ...]:
        """The messages behind that place."""
        created = from_micros(self._now)
        messages = [
            Message(
                text,
                message_id,
                position.nth(place),
                created,
                message_etag(message_id, 0),
                None if expires is None else from_micros(expires),
                {} if metadata is None else decode(metadata),
                key,
            )
            for place, (message_id, text, expires, metadata, key) in enumerate(self._new, tail + 1)
        ]
        return tuple(messages)

    def _record(self) -> list[str]:
        """The record of the result, cut where positions and the log's etag are to be put into it."""
        # Nothing else in it holds the sign: ids, times and etags of messages are of digits and letters.
        messages = [
            (message_id, "@", self._now, message_etag(message_id, 0), expires)
            for message_id, _, expires, _, _ in self._new
        ]
        return records.appended(messages, "@").split("@")
