"""The table of threads, within one transaction."""

from __future__ import annotations

from typing import TypeVar, cast

from chatstore.conditions import expiry, require, updated
from chatstore.contract import Clock, NewThread, ThreadKey, ThreadPatch
from chatstore.engines.sql.hidden import HIDDEN, Hidden
from chatstore.engines.sql.port import Row, Transaction
from chatstore.engines.sql.rows import (
    LIVING,
    LOG,
    PROPERTIES,
    WRITTEN,
    Log,
    compact,
    log_of,
    participants_text,
    thread_of,
    written,
)
from chatstore.engines.sql.steps import Place
from chatstore.errors import ThreadExists, ThreadNotFound, Unavailable
from chatstore.ids import token
from chatstore.models import Thread

__all__ = ["Appeared", "Threads", "log_at"]

T = TypeVar("T")

_NAMED = f"tenant = ? AND id = ? AND {LIVING} AND (CAST(? AS TEXT) IS NULL OR owner = ?)"
_LOG = f"SELECT {LOG} FROM threads WHERE tenant = ? AND id = ? AND {LIVING}"
_OWNED_LOG = f"{_LOG} AND owner = ?"


async def log_at(tx: Transaction, key: ThreadKey, now: int) -> Log | None:
    """The thread's log, None where there is no thread."""
    if key.owner is None:
        row = await tx.one(_LOG, key.tenant, key.id, now)
    else:
        row = await tx.one(_OWNED_LOG, key.tenant, key.id, now, key.owner)
    return None if row is None else log_of(row)


class Appeared(Unavailable):
    """Somebody made the thread behind the look that was to hold it: the transaction is to begin anew."""


class Threads:
    """Finds, makes and changes rows of threads; one that has expired is not there.

    What is decided by a thread's log or properties raises Appeared where it was not there to be held.
    """

    def __init__(self, tx: Transaction, clock: Clock, hidden: Hidden) -> None:
        self._tx = tx
        self._clock = clock
        self._hidden = hidden
        self._missed = False
        """Whether there was no row to be held, and none was made here since."""

    async def hold(self, key: ThreadKey) -> None:
        """Keep everybody else from changing the thread until the transaction ends."""
        if not self._tx.held:
            return
        sql = "SELECT key FROM threads WHERE tenant = ? AND id = ?"
        while await self._tx.one(f"{sql}{self._tx.held}", key.tenant, key.id) is None:
            # Whoever waited for a row finds none if another row has its name by then, which is not held yet.
            if await self._tx.one(sql, key.tenant, key.id) is None:
                self._missed = True
                return

    def _held(self, found: T | None) -> T | None:
        """What a look found, unless somebody else may change it meanwhile. Raises Appeared."""
        if self._missed and found is not None:
            raise Appeared("a thread kept being made and removed: try again")
        return found

    async def log(self, key: ThreadKey) -> Log | None:
        """The thread's log, None where there is no thread."""
        return self._held(await log_at(self._tx, key, self._clock()))

    async def by_key(self, key: int) -> Log:
        """The log of the row of that key, which is there."""
        row = await self._tx.one(f"SELECT {LOG} FROM threads WHERE key = ?", key)
        return log_of(cast("Row", row))

    async def existing(self, key: ThreadKey) -> Log:
        """The thread's log. Raises ThreadNotFound."""
        log = await self.log(key)
        if log is None:
            raise ThreadNotFound(key.id)
        return log

    async def get(self, key: ThreadKey) -> Thread:
        """The thread's properties. Raises ThreadNotFound."""
        sql = f"SELECT {PROPERTIES} FROM threads WHERE {_NAMED}"
        row = self._held(await self._tx.one(sql, *_named(key, self._clock())))
        if row is None:
            raise ThreadNotFound(key.id)
        return thread_of(row)

    async def create(self, key: ThreadKey, new: NewThread) -> Log:
        """A new row, in place of what an expired thread left. Raises ThreadExists."""
        await self.require_free(key)
        now = self._clock()
        ttl = expiry(0, new.ttl)
        row = await self._tx.one(
            "INSERT INTO threads (tenant, id, owner, topic, metadata, participants, created_at, active_at, "
            "expires_at, revision, epoch, tail, edits, kind, sliding) "
            f"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?) RETURNING {LOG}",
            key.tenant,
            key.id,
            new.owner,
            new.topic,
            compact(new.metadata),
            participants_text(new.participants),
            now,
            now,
            None if ttl is None else now + ttl,
            token(),
            token(),
            new.kind,
            ttl if new.sliding else None,
        )
        self._missed = False
        return log_of(cast("Row", row))

    async def require_free(self, key: ThreadKey) -> None:
        """Raise ThreadExists if the id is taken; what an expired thread left there goes."""
        if await self.log(key._replace(owner=None)) is not None:
            raise ThreadExists(key.id)
        # Of a name that is not held, somebody may have made a thread by now.
        expired = f"SELECT key FROM threads WHERE tenant = ? AND id = ? AND expires_at <= ?{self._tx.held}"
        row = await self._tx.one(expired, key.tenant, key.id, self._clock())
        if row is not None:
            await self._hidden.purge(row[0])

    async def create_for(self, key: ThreadKey, create: NewThread | None, if_match: str | None) -> Log:
        """The log of a new thread, which a write makes. Raises ThreadNotFound, ThreadExists, Conflict."""
        require(if_match, None)
        if create is None:
            raise ThreadNotFound(key.id)
        return await self.create(key, create)

    async def restore(self, log: Log, thread: Thread, count: int) -> Log:
        """Give a thread all the properties of `thread`, and take the next `count` places at its tail."""
        await self._tx.remove(
            f"UPDATE threads SET {WRITTEN}, revision = ?, tail = tail + ? WHERE key = ?",
            *written(thread),
            token(),
            count,
            log.key,
        )
        return log._replace(tail=log.tail + count)

    async def show(self, copy: Place, named: ThreadKey, thread: Thread) -> None:
        """Make a copy that was hidden the thread of that name, with the properties of `thread`."""
        await self._tx.run(
            f"UPDATE threads SET {WRITTEN}, tenant = ?, id = ?, tail = ? WHERE key = ?",
            *written(thread),
            named.tenant,
            named.id,
            copy.messages,
            copy.key,
        )

    async def update(self, key: ThreadKey, thread: Thread, patch: ThreadPatch) -> str:
        """Change the properties of `thread`, as it was just read; its new etag."""
        revision = token()
        await self._tx.remove(
            f"UPDATE threads SET {WRITTEN}, revision = ? WHERE tenant = ? AND id = ?",
            *written(updated(thread, patch, self._clock())),
            revision,
            key.tenant,
            key.id,
        )
        return revision

    async def advance(self, key: ThreadKey, count: int) -> Log | None:
        """Take the next `count` places at a thread's tail for messages; None where there is no thread."""
        now = self._clock()
        row = await self._tx.one(
            f"UPDATE threads SET tail = tail + ?, active_at = ? WHERE {_NAMED} RETURNING {LOG}",
            count,
            now,
            *_named(key, now),
        )
        if row is None:
            return None
        log = log_of(row)
        await self._renew(log)
        return log

    async def skip(self, key: ThreadKey) -> Log | None:
        """Take the next place for no message; None where there is no thread."""
        row = await self._tx.one(
            f"UPDATE threads SET tail = tail + 1 WHERE {_NAMED} RETURNING {LOG}", *_named(key, self._clock())
        )
        return None if row is None else log_of(row)

    async def begin_epoch(self, log: Log, count: int = 0, *, emptied: bool = False) -> Log:
        """Start another history, with `count` places taken; what is `emptied` has nothing cut left in it."""
        row = await self._tx.one(
            "UPDATE threads SET epoch = ?, tail = tail + ?, cuts = CASE ? WHEN 0 THEN cuts END WHERE key = ? "
            f"RETURNING {LOG}",
            token(),
            count,
            int(emptied),
            log.key,
        )
        return log_of(cast("Row", row))

    async def count_edit(self, log: Log, *, active: bool = False) -> None:
        """Note that messages changed in place; with `active`, that some were added."""
        await self._tx.run("UPDATE threads SET edits = edits + 1 WHERE key = ?", log.key)
        if active:
            await self._tx.run("UPDATE threads SET active_at = ? WHERE key = ?", self._clock(), log.key)
            await self._renew(log)

    async def _renew(self, log: Log) -> None:
        """Move the expiry of a thread that slides, where less than its time to live is left.

        It is renewed by an eighth more, so that not each append writes to the index of expiries.
        """
        if log.sliding is None or log.expires_at is None or log.expires_at >= self._clock() + log.sliding:
            return
        expires = self._clock() + log.sliding + log.sliding // 8
        await self._tx.run("UPDATE threads SET expires_at = ? WHERE key = ?", expires, log.key)

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


def _named(key: ThreadKey, now: int) -> tuple[object, ...]:
    """The parameters of the condition that finds a thread."""
    return key.tenant, key.id, now, key.owner, key.owner
