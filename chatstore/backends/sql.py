"""Every operation as one SQL transaction, over a small port that a database driver fills.

A thread is a row with an *epoch*, which changes when its history is replaced, a *tail*, which
counts its appends and is never reset, and a count of *edits*. Its messages are rows that sort by
their position. An append touches the thread's row and adds its messages, whatever the length.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

from chatstore import position, records
from chatstore.backends.conditions import has_metadata, log_etag, merge, message_etag, require, require_log
from chatstore.contract import (
    UNSET,
    Backend,
    Clock,
    Draft,
    InsertAt,
    Listing,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
)
from chatstore.errors import CursorExpired, MessageNotFound, RequestMismatch, ThreadExists, ThreadNotFound
from chatstore.ids import token, uuid7
from chatstore.models import (
    Appended,
    Cursor,
    Deleted,
    Message,
    Page,
    Participant,
    Swept,
    Thread,
    ThreadCursor,
    from_micros,
    to_micros,
)

__all__ = ["Driver", "Row", "SqlBackend", "Transaction", "Work"]

Row: TypeAlias = tuple[Any, ...]
R = TypeVar("R", bound=records.Result)
T = TypeVar("T")

_MICROSECOND = timedelta(microseconds=1)
_EXAMINED = 1000
_CHUNK = 500
_END = "~"

_PROPERTIES = "id, owner, topic, metadata, participants, created_at, active_at, expires_at, revision"
_MESSAGE = "text, id, position, created_at, revision, expires_at"
_LIVING = "(expires_at IS NULL OR expires_at > ?)"


class Transaction(Protocol):
    """One transaction as a backend sees it. Parameters are marked ``?``."""

    async def one(self, sql: str, *parameters: object) -> Row | None:
        """The first row, None where there is none."""

    async def all(self, sql: str, *parameters: object) -> Sequence[Row]:
        """Every row."""

    async def run(self, sql: str, *parameters: object) -> int:
        """Execute a change; how many rows it met."""

    async def many(self, sql: str, rows: Iterable[Row]) -> None:
        """Execute a change for each of `rows`."""


Work: TypeAlias = Callable[[Transaction], Coroutine[Any, Any, T]]


class Driver(Protocol):
    """Runs work in transactions: all of it is committed, or none if it raises."""

    async def write(self, work: Work[T]) -> T:
        """A transaction that sees every earlier one and lets no other write beside it."""

    async def read(self, work: Work[T]) -> T:
        """A transaction that sees one state of the database throughout."""

    async def close(self) -> None:
        """Give back connections and threads."""


class _Log(NamedTuple):
    """A thread's row as the operations on its messages need it."""

    key: int
    epoch: str
    tail: int
    edits: int

    @property
    def etag(self) -> str:
        return log_etag(self.epoch, self.tail, self.edits)


class SqlBackend(Backend):
    """The contract over a `Driver`; a subclass brings the driver, the schema and its capabilities."""

    driver: Driver

    def __init__(self, driver: Driver, clock: Clock) -> None:
        self.driver = driver
        self.clock = clock

    async def close(self) -> None:
        await self.driver.close()

    async def ping(self) -> None:
        async def work(tx: Transaction) -> None:
            await tx.one("SELECT 1 FROM threads LIMIT 1")

        await self.driver.read(work)

    # Threads

    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        async def work(tx: Transaction) -> Thread:
            if await self._log(tx, key) is not None:
                raise ThreadExists(key.id)
            await self._create(tx, key, new)
            return await self._thread(tx, key)

        return await self._once(key, request, work)

    async def get_thread(self, key: ThreadKey) -> Thread:
        async def work(tx: Transaction) -> Thread:
            return await self._thread(tx, key)

        return await self.driver.read(work)

    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        async def work(tx: Transaction) -> Thread:
            thread = await self._thread(tx, key)
            require(if_match, thread.etag)
            changes: dict[str, object] = {"revision": token()}
            if patch.topic is not UNSET:
                changes["topic"] = patch.topic
            if patch.metadata is not UNSET:
                merged = {} if patch.metadata is None else merge(thread.metadata, patch.metadata)
                changes["metadata"] = _json(merged)
            if patch.participants is not UNSET:
                changes["participants"] = _participants(patch.participants or ())
            if patch.ttl is not UNSET:
                changes["expires_at"] = self._expiry(patch.ttl)
            columns = ", ".join(f"{column} = ?" for column in changes)
            await tx.run(
                f"UPDATE threads SET {columns} WHERE tenant = ? AND id = ?",  # noqa: S608 - columns named above
                *changes.values(), *key,
            )  # fmt: skip
            return await self._thread(tx, key)

        return await self._once(key, request, work)

    async def delete_thread(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        async def work(tx: Transaction) -> Deleted:
            existed = await self._log(tx, key) is not None
            if if_match is not None:
                require(if_match, (await self._thread(tx, key)).etag if existed else None)
            await self._purge(tx, key)
            return Deleted(existed)

        return await self._once(key, request, work)

    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        where, parameters = ["tenant = ?", _LIVING], [tenant, self.clock()]
        if listing.owner is not None:
            where.append("owner = ?")
            parameters.append(listing.owner)
        if listing.active_since is not None:
            where.append("active_at >= ?")
            parameters.append(to_micros(listing.active_since))
        if listing.before is not None:
            where.append("(active_at, id) < (?, ?)")
            parameters += [to_micros(listing.before.active_at), listing.before.id]
        examined = _EXAMINED if listing.metadata else listing.limit

        async def work(tx: Transaction) -> Sequence[Row]:
            return await tx.all(
                f"SELECT {_PROPERTIES} FROM threads WHERE {' AND '.join(where)} "  # noqa: S608 - constants above
                "ORDER BY active_at DESC, id DESC LIMIT ?",
                *parameters, examined + 1,
            )  # fmt: skip

        rows = await self.driver.read(work)
        found: list[Thread] = []
        for row in rows[:examined]:
            last = thread = _thread_of(row)
            if has_metadata(thread.metadata, listing.metadata):
                found.append(thread)
                if len(found) == listing.limit:
                    break
        more = bool(rows) and (len(rows) > examined or last.id != rows[-1][0])
        return Page(tuple(found), next=ThreadCursor(last.active_at, last.id).text() if more else None)

    # Messages

    async def append(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        async def work(tx: Transaction) -> Appended:
            log = await self._advance(tx, key, len(drafts))
            if log is None:
                log = await self._create_for(tx, key, create, if_match)
                log = await self._advance(tx, key, len(drafts)) or log
            before = log_etag(log.epoch, log.tail - len(drafts), log.edits)
            require_log(if_match, before, appending=True)
            return await self._add(tx, log, drafts)

        return await self._once(key, request, work, drafts)

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        async def work(tx: Transaction) -> tuple[_Log | None, list[Row]]:
            log = await self._log(tx, key)
            return log, [] if log is None else await self._rows(tx, log, span)

        log, rows = await self.driver.read(work)
        if span.epoch is not None and (log is None or log.epoch != span.epoch):
            raise CursorExpired
        if log is None:
            return Page(())
        rows, more = _fitting(rows, span)
        items = tuple(_message_of(row) for row in (reversed(rows) if span.newest else rows))
        return Page(
            items,
            next=Cursor.at(log.epoch, rows[-1][2]) if more else None,
            end=Cursor.at(log.epoch, items[-1].position if items else span.after or position.START),  # type: ignore[arg-type]  # stored, so it has one
            etag=log.etag,
        )

    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        async def work(tx: Transaction) -> Message:
            return await self._named(tx, key, await self._existing(tx, key), message_id)

        return await self.driver.read(work)

    async def replace_all(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        async def work(tx: Transaction) -> Appended:
            log = await self._log(tx, key)
            if log is None:
                log = await self._create_for(tx, key, create, if_match)
            require_log(if_match, log.etag)
            return await self._replace(tx, log, key, drafts)

        return await self._once(key, request, work, drafts)

    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        async def work(tx: Transaction) -> Deleted:
            log = await self._log(tx, key)
            require(if_match, None if log is None else log.etag)
            return Deleted(False) if log is None else Deleted(True, (await self._replace(tx, log, key, ())).etag)

        return await self._once(key, request, work)

    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def work(tx: Transaction) -> Message:
            log = await self._existing(tx, key)
            require_log(if_match, log.etag)
            following = await self._following(tx, key, log, at)
            if following is None:
                appended = await self._add(tx, await self._advance(tx, key, 1) or log, [draft])
                return appended.messages[0]
            previous = await tx.one(
                "SELECT position FROM messages WHERE thread = ? AND position < ? ORDER BY position DESC LIMIT 1",
                log.key, following,
            )  # fmt: skip
            between = position.between(previous[0] if previous else position.START, following)
            [message] = await self._store(tx, log, [draft], [between])
            await tx.run("UPDATE threads SET edits = edits + 1, active_at = ? WHERE key = ?", self.clock(), log.key)
            if position.crowded(between):
                await self._renumber(tx, log)
                return await self._named(tx, key, log, cast("str", message.id))
            return message

        return await self._once(key, request, work, [draft])

    async def replace_message(
        self, key: ThreadKey, message_id: str, draft: Draft, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def work(tx: Transaction) -> Message:
            log = await self._existing(tx, key)
            require(if_match, (await self._named(tx, key, log, message_id)).etag)
            await tx.run(
                "UPDATE messages SET text = ?, revision = revision + 1 WHERE thread = ? AND id = ?",
                draft.text, log.key, message_id,
            )  # fmt: skip
            await self._count_edit(tx, log)
            return await self._named(tx, key, log, message_id)

        return await self._once(key, request, work, [draft])

    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        async def work(tx: Transaction) -> Message | None:
            log = await self._existing(tx, key)
            if isinstance(message, str):
                found = await self._named(tx, key, log, message)
                require(if_match, found.etag)
            else:
                require_log(if_match, log.etag)
                row = await self._at_index(tx, log, message)
                if row is None and message == -1:
                    return None
                if row is None:
                    raise MessageNotFound(key.id, message)
                found = _message_of(row)
            await tx.run("DELETE FROM messages WHERE thread = ? AND position = ?", log.key, found.position)
            await self._count_edit(tx, log)
            return found

        return await self._once(key, request, work)

    async def fork(
        self, source: ThreadKey, key: ThreadKey, through: str | None, *, if_match: str | None, request: Request | None
    ) -> Thread:
        async def work(tx: Transaction) -> Thread:
            origin = await self._existing(tx, source)
            require_log(if_match, origin.etag)
            last = _END if through is None else (await self._named(tx, source, origin, through)).position
            if await self._log(tx, key) is not None:
                raise ThreadExists(key.id)
            log = await self._create(tx, key, NewThread())
            await tx.run(
                "UPDATE threads SET (owner, topic, metadata, participants, expires_at) = "
                "(SELECT owner, topic, metadata, participants, expires_at FROM threads WHERE key = ?) WHERE key = ?",
                origin.key, log.key,
            )  # fmt: skip
            await self._copy(tx, origin, log, cast("str", last))
            return await self._thread(tx, key)

        return await self._once(key, request, work)

    async def sweep(self, limit: int) -> Swept:
        now = self.clock()

        async def work(tx: Transaction) -> Swept:
            left = limit
            threads = messages = 0
            for (key,) in await tx.all("SELECT key FROM threads WHERE expires_at <= ? LIMIT ?", now, limit):
                removed = await self._remove_some(tx, "thread = ?", key, left)
                messages, left = messages + removed, left - removed
                if left <= 0:
                    break
                threads, left = threads + await tx.run("DELETE FROM threads WHERE key = ?", key), left - 1
            removed = await self._remove_some(tx, "expires_at <= ?", now, left)
            messages, left = messages + removed, left - removed
            requests = await tx.run(
                "DELETE FROM requests WHERE (tenant, thread, id) IN "
                "(SELECT tenant, thread, id FROM requests WHERE expires_at <= ? LIMIT ?)",
                now, max(left, 0),
            )  # fmt: skip
            return Swept(threads, messages, requests, more=left - requests <= 0)

        return await self.driver.write(work)

    # What a transaction is made of

    async def _once(self, key: ThreadKey, request: Request | None, work: Work[R], drafts: Sequence[Draft] = ()) -> R:
        """`work` in a write, or its first result again; its record is part of the same write."""
        if request is None:
            return await self.driver.write(work)
        asked = request

        async def recorded(tx: Transaction) -> R:
            found = await tx.one(
                "SELECT digest, result FROM requests WHERE tenant = ? AND thread = ? AND id = ? AND expires_at > ?",
                *key, asked.id, self.clock(),
            )  # fmt: skip
            if found is not None:
                if found[0] != asked.digest:
                    raise RequestMismatch(asked.id)
                return cast("R", records.load(found[1], drafts))
            result = await work(tx)
            await tx.run(
                "INSERT OR REPLACE INTO requests (tenant, thread, id, digest, result, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                *key, asked.id, asked.digest, records.dump(result, drafts), self._expiry(self.request_window),
            )  # fmt: skip
            return result

        return await self.driver.write(recorded)

    async def _log(self, tx: Transaction, key: ThreadKey) -> _Log | None:
        row = await tx.one(
            f"SELECT key, epoch, tail, edits FROM threads WHERE tenant = ? AND id = ? AND {_LIVING}",  # noqa: S608
            *key, self.clock(),
        )  # fmt: skip
        return None if row is None else _Log(*row)

    async def _existing(self, tx: Transaction, key: ThreadKey) -> _Log:
        log = await self._log(tx, key)
        if log is None:
            raise ThreadNotFound(key.id)
        return log

    async def _thread(self, tx: Transaction, key: ThreadKey) -> Thread:
        row = await tx.one(
            f"SELECT {_PROPERTIES} FROM threads WHERE tenant = ? AND id = ? AND {_LIVING}",  # noqa: S608
            *key, self.clock(),
        )  # fmt: skip
        if row is None:
            raise ThreadNotFound(key.id)
        return _thread_of(row)

    async def _create(self, tx: Transaction, key: ThreadKey, new: NewThread) -> _Log:
        await self._purge(tx, key)
        now, epoch = self.clock(), token()
        row = await tx.one(
            "INSERT INTO threads (tenant, id, owner, topic, metadata, participants, created_at, active_at, "
            "expires_at, revision, epoch, tail, edits) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0) RETURNING key",
            *key, new.owner, new.topic, _json(new.metadata), _participants(new.participants), now, now,
            self._expiry(new.ttl), token(), epoch,
        )  # fmt: skip
        return _Log(cast("Row", row)[0], epoch, 0, 0)

    async def _create_for(
        self, tx: Transaction, key: ThreadKey, create: NewThread | None, if_match: str | None
    ) -> _Log:
        """The thread for a write that found none and may make it."""
        require(if_match, None)
        if create is None:
            raise ThreadNotFound(key.id)
        return await self._create(tx, key, create)

    async def _purge(self, tx: Transaction, key: ThreadKey) -> None:
        """Remove a thread's rows, or what is left of one that expired."""
        row = await tx.one("DELETE FROM threads WHERE tenant = ? AND id = ? RETURNING key", *key)
        if row is not None:
            await tx.run("DELETE FROM messages WHERE thread = ?", row[0])

    async def _advance(self, tx: Transaction, key: ThreadKey, count: int) -> _Log | None:
        """Take the next `count` places at a thread's tail; None where there is no thread."""
        now = self.clock()
        row = await tx.one(
            f"UPDATE threads SET tail = tail + ?, active_at = ? WHERE tenant = ? AND id = ? AND {_LIVING} "  # noqa: S608
            "RETURNING key, epoch, tail, edits",
            count, now, *key, now,
        )  # fmt: skip
        return None if row is None else _Log(*row)

    async def _add(self, tx: Transaction, log: _Log, drafts: Sequence[Draft], kept: int = 0) -> Appended:
        """Store `drafts` at the places that `_advance` took."""
        first = log.tail - len(drafts) + 1
        places = [position.nth(slot) for slot in range(first, log.tail + 1)]
        return Appended(await self._store(tx, log, drafts, places), log.etag, kept)

    async def _store(
        self, tx: Transaction, log: _Log, drafts: Sequence[Draft], places: Sequence[str]
    ) -> tuple[Message, ...]:
        now = self.clock()
        rows = [
            (log.key, place, uuid7(now // 1000), draft.text, now, self._expiry(draft.ttl), 0)
            for draft, place in zip(drafts, places, strict=True)
        ]
        await tx.many(_INSERT_MESSAGE, rows)
        return tuple(_message_of((text, id, place, now, 0, expires)) for _, place, id, text, now, expires, _ in rows)

    async def _replace(self, tx: Transaction, log: _Log, key: ThreadKey, drafts: Sequence[Draft]) -> Appended:
        kept = await self._kept(tx, log, drafts)
        if kept is None:
            await tx.run("DELETE FROM messages WHERE thread = ?", log.key)
            await tx.run("UPDATE threads SET epoch = ? WHERE key = ?", token(), log.key)
            kept = 0
        elif kept == len(drafts):
            return Appended((), log.etag, kept)
        rest = drafts[kept:]
        moved = await self._advance(tx, key, len(rest)) if rest else await self._log(tx, key)
        return await self._add(tx, moved or log, rest, kept)

    async def _kept(self, tx: Transaction, log: _Log, drafts: Sequence[Draft]) -> int | None:
        """How many messages are there, if they are the first of `drafts`; None if they are not."""
        span, kept = Span(_CHUNK), 0
        while True:
            rows, more = _fitting(await self._rows(tx, log, span), span)
            texts = [row[0] for row in rows]
            if texts != [draft.text for draft in drafts[kept : kept + len(texts)]]:
                return None
            kept += len(texts)
            if not more:
                return kept
            span = span._replace(after=rows[-1][2])

    async def _rows(self, tx: Transaction, log: _Log, span: Span) -> list[Row]:
        """The rows of `span` in the direction of its reading, and one more where there are more."""
        low, high = span.after or "", span.before or _END
        order = "DESC" if span.newest else "ASC"
        now, rows, size = self.clock(), list[Row](), 0
        while len(rows) <= span.limit:
            # With a bound on bytes, rows come a few at a time, so that large ones beyond it are not read.
            count = span.limit + 1 - len(rows) if span.max_bytes is None else min(_FEW, span.limit + 1 - len(rows))
            got = await tx.all(
                f"SELECT {_MESSAGE} FROM messages WHERE thread = ? AND position > ? AND position < ? AND {_LIVING} "  # noqa: S608
                f"ORDER BY position {order} LIMIT ?",
                log.key, low, high, now, count,
            )  # fmt: skip
            rows += got
            size += sum(len(row[0]) for row in got)
            if len(got) < count or (span.max_bytes is not None and size > span.max_bytes):
                break
            low, high = (low, rows[-1][2]) if span.newest else (rows[-1][2], high)
        return rows

    async def _named(self, tx: Transaction, key: ThreadKey, log: _Log, message_id: str) -> Message:
        row = await tx.one(
            f"SELECT {_MESSAGE} FROM messages WHERE thread = ? AND id = ? AND {_LIVING}",  # noqa: S608
            log.key, message_id, self.clock(),
        )  # fmt: skip
        if row is None:
            raise MessageNotFound(key.id, message_id)
        return _message_of(row)

    async def _at_index(self, tx: Transaction, log: _Log, index: int) -> Row | None:
        order, distance = ("ASC", index) if index >= 0 else ("DESC", -index - 1)
        return await tx.one(
            f"SELECT {_MESSAGE} FROM messages WHERE thread = ? AND {_LIVING} "  # noqa: S608
            f"ORDER BY position {order} LIMIT 1 OFFSET ?",
            log.key, self.clock(), distance,
        )  # fmt: skip

    async def _following(self, tx: Transaction, key: ThreadKey, log: _Log, at: InsertAt) -> str | None:
        """The position of the message in front of which to insert; None for the end."""
        if at.before is not None:
            return (await self._named(tx, key, log, at.before)).position
        if at.after is not None:
            previous = await self._named(tx, key, log, at.after)
            rows = await self._rows(tx, log, Span(1, after=previous.position))
            return rows[0][2] if rows else None
        index = cast("int", at.index)
        row = await self._at_index(tx, log, index)
        if row is None and index < 0:
            row = await self._at_index(tx, log, 0)
        return None if row is None else row[2]

    async def _renumber(self, tx: Transaction, log: _Log) -> None:
        """Give every message of a thread a plain position again, in a new epoch."""
        rows = await tx.all("SELECT id FROM messages WHERE thread = ? ORDER BY position", log.key)
        # The new places lie above all old ones, so that no two rows ever claim the same.
        slots = range(log.tail + 1, log.tail + len(rows) + 1)
        places = [(position.nth(slot), log.key, id) for slot, (id,) in zip(slots, rows, strict=True)]
        await tx.many("UPDATE messages SET position = ? WHERE thread = ? AND id = ?", places)
        await tx.run("UPDATE threads SET epoch = ?, tail = tail + ? WHERE key = ?", token(), len(rows), log.key)

    async def _copy(self, tx: Transaction, origin: _Log, log: _Log, last: str) -> None:
        """Copy the living messages of `origin` up to the position `last` to the empty `log`."""
        span, slot = Span(_CHUNK), 0
        while True:
            rows, more = _fitting(await self._rows(tx, origin, span), span)
            chosen = [row for row in rows if row[2] <= last]
            places = [position.nth(slot + place) for place in range(1, len(chosen) + 1)]
            await tx.many(
                _INSERT_MESSAGE,
                [
                    (log.key, place, uuid7(created // 1000), text, created, expires, 0)
                    for place, (text, _, _, created, _, expires) in zip(places, chosen, strict=True)
                ],
            )
            slot += len(chosen)
            if not more or len(chosen) < len(rows):
                break
            span = span._replace(after=rows[-1][2])
        await tx.run("UPDATE threads SET tail = ? WHERE key = ?", slot, log.key)

    async def _count_edit(self, tx: Transaction, log: _Log) -> None:
        await tx.run("UPDATE threads SET edits = edits + 1 WHERE key = ?", log.key)

    async def _remove_some(self, tx: Transaction, where: str, value: object, limit: int) -> int:
        return await tx.run(
            f"DELETE FROM messages WHERE (thread, position) IN "  # noqa: S608 - `where` is a constant of this module
            f"(SELECT thread, position FROM messages WHERE {where} LIMIT ?)",
            value, max(limit, 0),
        )  # fmt: skip

    def _expiry(self, ttl: timedelta | None) -> int | None:
        return None if ttl is None else self.clock() + ttl // _MICROSECOND


_FEW = 16
_INSERT_MESSAGE = (
    "INSERT INTO messages (thread, position, id, text, created_at, expires_at, revision) VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def _fitting(rows: list[Row], span: Span) -> tuple[list[Row], bool]:
    """The rows that fit into a page, in the direction of reading, and whether more follow."""
    chosen = rows[: span.limit]
    if span.max_bytes is not None:
        size = 0
        for count, row in enumerate(chosen):
            size += len(row[0].encode())
            if count and size > span.max_bytes:
                chosen = chosen[:count]
                break
    return chosen, len(chosen) < len(rows)


def _message_of(row: Row) -> Message:
    text, id, place, created, revision, expires = row
    return Message(
        text,
        id,
        place,
        from_micros(created),
        message_etag(id, revision),
        None if expires is None else from_micros(expires),
    )


def _thread_of(row: Row) -> Thread:
    id, owner, topic, metadata, participants, created, active, expires, revision = row
    return Thread(
        id,
        owner,
        topic,
        json.loads(metadata),
        tuple(Participant(*fields) for fields in json.loads(participants)),
        from_micros(created),
        from_micros(active),
        None if expires is None else from_micros(expires),
        revision,
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _participants(participants: Iterable[Participant]) -> str:
    return _json([[one.id, one.display_name, one.metadata] for one in participants])
