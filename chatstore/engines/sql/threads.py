"""The table of threads, within one transaction."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

from chatstore.codec import Json, encode
from chatstore.conditions import EXAMINED_BYTES, expiry, has_metadata, log_etag, require, updated
from chatstore.contract import Clock, Listing, NewThread, ThreadKey, ThreadPatch
from chatstore.engines.sql.hidden import HIDDEN, Hidden
from chatstore.engines.sql.port import Row, Transaction
from chatstore.errors import CorruptData, ThreadExists, ThreadNotFound
from chatstore.ids import token
from chatstore.models import Page, Participant, Thread, ThreadCursor, from_micros, to_micros

__all__ = ["LIVING", "Log", "Threads", "properties_text"]

LIVING = "(expires_at IS NULL OR expires_at > ?)"
"""The condition on rows that have not expired; its parameter is the present."""

_NAMED = f"tenant = ? AND id = ? AND {LIVING} AND (CAST(? AS TEXT) IS NULL OR owner = ?)"
_PROPERTIES = "id, owner, topic, metadata, participants, created_at, active_at, expires_at, revision"
_EXAMINED, _NEEDLES = 1000, 8


class Log(NamedTuple):
    """A thread's row as the operations on its messages need it."""

    key: int
    epoch: str
    tail: int
    edits: int

    @property
    def etag(self) -> str:
        return log_etag(self.epoch, self.tail, self.edits)


class Threads:
    """Finds, makes and changes rows of threads; one that has expired is not there."""

    def __init__(self, tx: Transaction, clock: Clock, hidden: Hidden) -> None:
        self._tx = tx
        self._clock = clock
        self._hidden = hidden

    async def hold(self, key: ThreadKey) -> None:
        """Keep everybody else from changing the thread until the transaction ends."""
        if self._tx.held:
            sql = f"SELECT key FROM threads WHERE tenant = ? AND id = ?{self._tx.held}"
            await self._tx.one(sql, key.tenant, key.id)

    async def log(self, key: ThreadKey) -> Log | None:
        """The thread's log, None where there is no thread."""
        row = await self._tx.one(
            f"SELECT key, epoch, tail, edits FROM threads WHERE {_NAMED}", *_named(key, self._clock())
        )
        return None if row is None else _log(row)

    async def existing(self, key: ThreadKey) -> Log:
        """The thread's log. Raises ThreadNotFound."""
        log = await self.log(key)
        if log is None:
            raise ThreadNotFound(key.id)
        return log

    async def get(self, key: ThreadKey) -> Thread:
        """The thread's properties. Raises ThreadNotFound."""
        row = await self._tx.one(
            f"SELECT {_PROPERTIES} FROM threads WHERE {_NAMED}", *_named(key, self._clock())
        )
        if row is None:
            raise ThreadNotFound(key.id)
        return _thread(row)

    async def create(self, key: ThreadKey, new: NewThread) -> Log:
        """A new row, in place of what an expired thread left. Raises ThreadExists."""
        await self.require_free(key)
        now, epoch = self._clock(), token()
        row = await self._tx.one(
            "INSERT INTO threads (tenant, id, owner, topic, metadata, participants, created_at, active_at, "
            "expires_at, revision, epoch, tail, edits) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0) RETURNING key",
            key.tenant,
            key.id,
            new.owner,
            new.topic,
            *properties_text(new),
            now,
            now,
            expiry(now, new.ttl),
            token(),
            epoch,
        )
        return Log(cast("Row", row)[0], epoch, 0, 0)

    async def require_free(self, key: ThreadKey) -> None:
        """Raise ThreadExists if the id is taken; what an expired thread left there goes."""
        if await self.log(key._replace(owner=None)) is not None:
            raise ThreadExists(key.id)
        await self._hidden.purge(key)

    async def create_for(self, key: ThreadKey, create: NewThread | None, if_match: str | None) -> Log:
        """The log for a write, which makes the thread where there is none and it may."""
        require(if_match, None)
        if create is None:
            raise ThreadNotFound(key.id)
        return await self.create(key, create)

    async def restore(self, log: Log, thread: Thread, count: int) -> Log:
        """Give a thread all the properties of `thread`, and take the next `count` places at its tail."""
        expires = None if thread.expires_at is None else to_micros(thread.expires_at)
        await self._tx.remove(
            "UPDATE threads SET owner = ?, topic = ?, metadata = ?, participants = ?, created_at = ?, "
            "active_at = ?, expires_at = ?, revision = ?, tail = tail + ? WHERE key = ?",
            thread.owner,
            thread.topic,
            _json(thread.metadata),
            _participants(thread.participants),
            to_micros(thread.created_at),
            to_micros(thread.active_at),
            expires,
            token(),
            count,
            log.key,
        )
        return log._replace(tail=log.tail + count)

    async def update(self, key: ThreadKey, thread: Thread, patch: ThreadPatch) -> None:
        """Change the properties of `thread`, as it was just read."""
        changed = updated(thread, patch, self._clock())
        await self._tx.remove(
            "UPDATE threads SET topic = ?, metadata = ?, participants = ?, expires_at = ?, revision = ? "
            "WHERE tenant = ? AND id = ?",
            changed.topic,
            _json(changed.metadata),
            _participants(changed.participants),
            None if changed.expires_at is None else to_micros(changed.expires_at),
            token(),
            key.tenant,
            key.id,
        )

    async def advance(self, key: ThreadKey, count: int) -> Log | None:
        """Take the next `count` places at a thread's tail; None where there is no thread."""
        now = self._clock()
        row = await self._tx.one(
            f"UPDATE threads SET tail = tail + ?, active_at = ? WHERE {_NAMED} "
            "RETURNING key, epoch, tail, edits",
            count,
            now,
            *_named(key, now),
        )
        return None if row is None else _log(row)

    async def begin_epoch(self, log: Log, count: int = 0) -> Log:
        """Start another history, with `count` places taken."""
        row = await self._tx.one(
            "UPDATE threads SET epoch = ?, tail = tail + ? WHERE key = ? RETURNING key, epoch, tail, edits",
            token(),
            count,
            log.key,
        )
        return Log(*cast("Row", row))

    async def count_edit(self, log: Log, *, active: bool = False) -> None:
        """Note that messages changed in place; with `active`, that some were added."""
        await self._tx.run("UPDATE threads SET edits = edits + 1 WHERE key = ?", log.key)
        if active:
            await self._tx.run("UPDATE threads SET active_at = ? WHERE key = ?", self._clock(), log.key)

    async def page(self, tenant: str, listing: Listing) -> Page[Thread]:
        """A page of threads, newest activity first."""
        rows, more = await self._listed(tenant, listing)
        found: list[Thread] = []
        held = 0
        for count, (key, _, _, *properties) in enumerate(rows, 1):
            if key is None:
                continue
            row = tuple(properties)
            if listing.metadata:
                sql = f"SELECT {_PROPERTIES} FROM threads WHERE key = ?"
                row = cast("Row", await self._tx.one(sql, key))
            thread = _thread(row)
            if not has_metadata(thread.metadata, listing.metadata):
                continue
            held += _size(row)
            if found and listing.max_bytes is not None and held > listing.max_bytes:
                return Page(tuple(found), next=_cursor(found[-1]))
            found.append(thread)
            if len(found) == listing.limit and (more or count < len(rows)):
                return Page(tuple(found), next=_cursor(thread))
        end = ThreadCursor(from_micros(rows[-1][1]), rows[-1][2]).text() if more else None
        return Page(tuple(found), next=end)

    async def _listed(self, tenant: str, listing: Listing) -> tuple[Sequence[Row], bool]:
        """Key, activity and id of the rows for a page, then their properties; and whether there are more.

        With a filter the properties are left out, and the key where the filter's text is nowhere in the
        metadata: most rows are told so by SQLite itself, without being read into objects.
        """
        where, parameters = ["tenant = ?", LIVING], [tenant, self._clock()]
        if listing.owner is not None:
            where.append("owner = ?")
            parameters.append(listing.owner)
        if listing.active_since is not None:
            where.append("active_at >= ?")
            parameters.append(to_micros(listing.active_since))
        if listing.before is not None:
            where.append("(active_at, id) < (?, ?)")
            parameters += [to_micros(listing.before.active_at), listing.before.id]
        columns, count = f"key, active_at, id, {_PROPERTIES}", listing.limit
        most, size = listing.max_bytes or sys.maxsize, _size_listed
        if listing.metadata:
            some = itertools.islice(listing.metadata.items(), _NEEDLES)
            needles = [encode({key: value})[1:-1] for key, value in some]
            matches = " AND ".join("instr(metadata, ?)" for _ in needles)
            columns = f"CASE WHEN {matches} THEN key END, active_at, id, length(metadata)"
            parameters, count = [*needles, *parameters], _EXAMINED
            most, size = EXAMINED_BYTES, _looked_through
        rows = await self._tx.until(
            f"SELECT {columns} FROM threads WHERE {' AND '.join(where)} "
            "ORDER BY active_at DESC, id DESC LIMIT ?",
            *parameters,
            count + 1,
            most=most,
            size=size,
        )
        # The last row only shows that there is more.
        more = len(rows) > count or (len(rows) > 1 and sum(map(size, rows)) > most)
        return rows[:-1] if more else rows, more

    async def tenants(self, after: str | None, limit: int) -> list[str]:
        """At most `limit` names of tenants behind `after`, in order: each is one step in the index."""
        # Hidden threads are of the tenant without a name, which sorts in front of all.
        last, names = after or HIDDEN, list[str]()
        while len(names) < limit:
            row = await self._tx.one(
                "SELECT tenant FROM threads WHERE tenant > ? ORDER BY tenant LIMIT 1", last
            )
            if row is None:
                break
            [last] = row
            names.append(last)
        return names

    async def owner(self, key: ThreadKey) -> str | None:
        """Who owns the thread; None for nobody or no thread."""
        row = await self._tx.one(f"SELECT owner FROM threads WHERE {_NAMED}", *_named(key, self._clock()))
        return None if row is None else row[0]

    async def expiry(self, key: ThreadKey) -> int | None:
        """When the thread expires; None for never or no thread."""
        row = await self._tx.one(
            f"SELECT expires_at FROM threads WHERE {_NAMED}", *_named(key, self._clock())
        )
        return None if row is None else row[0]


def _named(key: ThreadKey, now: int) -> tuple[object, ...]:
    """The parameters of the condition that finds a thread."""
    return key.tenant, key.id, now, key.owner, key.owner


def _thread(row: Row) -> Thread:
    """The thread of a row. Raises CorruptData, which names it and says nothing of what is stored."""
    thread_id, owner, topic, metadata, participants, created, active, expires, revision = row
    try:
        if {type(one) for one in (thread_id, owner, topic, revision)} - {str, type(None)}:
            raise TypeError("text is stored as something else")
        return Thread(
            thread_id,
            owner,
            topic,
            _object(json.loads(metadata)),
            tuple(_participant(*fields) for fields in json.loads(participants)),
            from_micros(created),
            from_micros(active),
            None if expires is None else from_micros(expires),
            revision,
        )
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise CorruptData(f"the row of thread {thread_id!r} is damaged") from error


def _participant(id: str, display_name: str | None, metadata: Json) -> Participant:
    return Participant(id, display_name, _object(metadata))


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError("metadata is an object")
    return value


def _log(row: Row) -> Log:
    key, epoch, tail, edits = row
    if (type(epoch), type(tail), type(edits)) != (str, int, int):
        raise CorruptData(f"the row of a thread, whose key is {key}, is damaged")
    return Log(key, epoch, tail, edits)


def _size(row: Row) -> int:
    """About how much JSON a thread's properties are; what is damaged counts as what it is."""
    _, _, topic, metadata, participants, *_ = row
    return sum(len(str(one or "").encode()) for one in (topic, metadata, participants))


def _size_listed(row: Row) -> int:
    return _size(row[3:])


def _looked_through(row: Row) -> int:
    size: int = row[3]
    return size


def _cursor(thread: Thread) -> str:
    return ThreadCursor(thread.active_at, thread.id).text()


def properties_text(new: NewThread) -> tuple[str, str]:
    """Metadata and participants as they are stored."""
    return _json(new.metadata), _participants(new.participants)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _participants(participants: Iterable[Participant]) -> str:
    return _json([[one.id, one.display_name, one.metadata] for one in participants])
