"""An append as a single statement.

An append is one statement, and so one transaction and one trip: it looks for an earlier result of the
request, takes places at the thread's tail under its row's lock, makes the thread where there is none, and
adds the messages and the request's result. What it does not find as it expects it leaves to the transaction
that every other operation is. A repetition beside its first try does not see it yet, waits for the row,
and then fails at the index of requests: done again, it finds the first result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

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


class _Form(NamedTuple):
    """What a statement has beside what each has."""

    asked: bool
    owned: bool
    keyed: bool
    matched: bool
    makes: bool
    several: bool
    beside: bool


@lru_cache
def _statement(form: _Form) -> str:
    """The statement of a form."""
    unless = _UNLESS if form.asked else ""
    owner = " AND owner = ?" if form.owned else ""
    moved = f"{_MOVED}{unless}{owner}{_WITHOUT_KEYS * form.keyed}{_AS * form.matched}{_RETURNING}"
    log = f"log AS ({moved}), "
    if form.makes:
        made = f"{_MADE}{unless}{_UNTAKEN}{_RETURNING}"
        either = "SELECT * FROM moved UNION ALL SELECT * FROM made"
        log = f"moved AS ({moved}), made AS ({made}), log AS ({either}), "
    if form.several:
        added = f"{_ADDED}, metadata, key) {_SEVERAL}"
    elif form.beside:
        added = f"{_ADDED}, metadata, key) {_ONE}, CAST(? AS text), CAST(? AS text) FROM log)"
    else:
        added = f"{_ADDED}) {_ONE} FROM log)"
    if form.asked:
        record = _THEIR_RECORD if form.several else _ITS_RECORD
        return f"WITH {_ASKED}{log}{added}{_NOTED}{record}{_WHOSE}{_GIVEN_OR_ASKED}"
    return f"WITH {log}{added}{_GIVEN}"


class _Known(NamedTuple):
    """What is known of the messages before they have their places."""

    ids: list[str]
    texts: list[str]
    expires: list[int | None]
    metadata: list[str | None]
    keys: list[str | None]


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
        self._new = new = _Known([], [], [], [], [])
        for text, ttl, metadata, name in drafts:
            new.ids.append(uuid7(now // 1000))
            new.texts.append(text)
            new.expires.append(None if ttl is None else expiry(now, ttl))
            new.metadata.append(metadata)
            new.keys.append(name)
        self._keys = [name for name in new.keys if name is not None]

    def fits(self) -> bool:
        """Whether one statement can be it."""
        named = self._if_match
        plain = named is None or not {"*", ABSENT} & {etag.strip() for etag in named.split(",")}
        return bool(self._drafts) and plain and sum(map(len, self._new.texts)) < _MOST_BYTES

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
        key, several = self._key, len(self._drafts) > 1
        form = _Form(
            self._request is not None,
            key.owner is not None,
            bool(self._keys),
            self._if_match is not None,
            create is not None,
            several,
            not several and (self._new.metadata[0] is not None or bool(self._keys)),
        )
        values = (*self._moved(), *self._made(create), *self._added(form))
        if self._request is None:
            row = await tx.one(_statement(form), *values)
        else:
            asked = (key.tenant, key.id, key.owner or "", self._request.id)
            *pieces, before, after = self._record()
            record = (len(pieces), pieces) if several else pieces
            noted = (self._request.digest, *record, before, after, key.owner, self._until)
            row = await tx.one(_statement(form), *asked, *values, *asked, *noted)
        return None if row is None else self._result(row)

    def _moved(self) -> Row:
        """What finds the thread's row, and takes places at its tail."""
        key, now = self._key, self._now
        values: list[object] = [len(self._drafts), now, now, now, key.tenant, key.id, now]
        if key.owner is not None:
            values.append(key.owner)
        if self._keys:
            values.append(self._keys)
        if self._if_match is not None:
            values.append([etag.strip().rpartition(".")[0] for etag in self._if_match.split(",")])
        return tuple(values)

    def _made(self, create: NewThread | None) -> Row:
        """What makes the row where there is none."""
        if create is None:
            return ()
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

    def _added(self, form: _Form) -> Row:
        """What adds the messages."""
        if form.several:
            return len(self._drafts), self._now, *self._new
        ids, texts, expires, metadata, keys = self._new
        values = ids[0], texts[0], self._now, expires[0]
        return (*values, metadata[0], keys[0]) if form.beside else values

    def _result(self, row: Row) -> Appended | None:
        key, epoch, tail, edits, *asked = row
        if key is not None:
            places = map(position.nth, range(tail - len(self._drafts) + 1, tail + 1))
            return Appended(self._messages(places), log_etag(epoch, tail, edits))
        digest, result, expires = asked
        if expires <= self._now:
            return None
        request = cast("Request", self._request)
        if digest != request.digest:
            raise RequestMismatch(request.id)
        return cast("Appended", records.remembered(result, self._drafts, request.id).result)

    def _messages(self, places: Iterable[str]) -> tuple[Message, ...]:
        created = from_micros(self._now)
        messages = [
            Message(
                text,
                message_id,
                place,
                created,
                message_etag(message_id, 0),
                None if expires is None else from_micros(expires),
                {} if metadata is None else decode(metadata),
                key,
            )
            for place, message_id, text, expires, metadata, key in zip(places, *self._new, strict=True)
        ]
        return tuple(messages)

    def _record(self) -> list[str]:
        """The record of the result, cut where positions and the log's etag are to be put into it."""
        # Nothing else in it holds the sign: ids, times and etags of messages are of digits and letters.
        messages = [
            (message_id, "@", self._now, message_etag(message_id, 0), expires)
            for message_id, expires in zip(self._new.ids, self._new.expires, strict=True)
        ]
        return records.appended(messages, "@").split("@")
