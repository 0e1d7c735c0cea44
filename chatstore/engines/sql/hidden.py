"""Rows of threads that nobody sees: histories that are to be removed, or that a fork puts together.

They are of the tenant without a name, which no caller has, and say in `topic` whose they are. Each has an
expiry, so that a sweep removes what a killed process left.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from chatstore.conditions import expiry
from chatstore.contract import Clock
from chatstore.engines.sql.port import Row, Transaction
from chatstore.engines.sql.rows import KINDS, Log, Range, ranges_of, ranges_text
from chatstore.engines.sql.steps import Place, Step
from chatstore.ids import token
from chatstore.records import FOREVER

__all__ = ["HIDDEN", "Hidden"]

HIDDEN = ""
"""The tenant of hidden threads."""

_LEASE = timedelta(hours=1)
_LEFT = 0
"""The expiry of what only waits to be removed."""

_REST = (
    "owner, topic, metadata, participants, created_at, active_at, expires_at, revision, epoch, tail, edits, "
    "kind, sliding, origin"
)


class Hidden:
    """Hides threads, and shows them, within one transaction; `left` are keys to be removed behind it."""

    def __init__(self, tx: Transaction, clock: Clock) -> None:
        self._tx = tx
        self._clock = clock
        self.left: list[int] = []

    async def begin(self, origin: int) -> Place:
        """A thread for a copy of that one's history."""
        epoch = token()
        row = await self._tx.one(
            "INSERT INTO threads (tenant, id, owner, topic, metadata, participants, created_at, active_at, "
            "expires_at, revision, epoch, tail, edits) SELECT ?, ?, owner, tenant, '{}', '[]', created_at, "
            "active_at, ?, ?, ?, 0, 0 FROM threads WHERE key = ? RETURNING key",
            HIDDEN,
            token(),
            expiry(self._clock(), _LEASE),
            token(),
            epoch,
            origin,
        )
        return Place(cast("Row", row)[0], epoch)

    async def is_there(self, copy: Place) -> bool:
        """Whether a copy that was begun is still kept."""
        row = await self._tx.one(
            "SELECT 1 FROM threads WHERE key = ? AND tenant = ? AND epoch = ? AND expires_at > ?"
            f"{self._tx.held}",
            copy.key,
            HIDDEN,
            copy.epoch,
            self._clock(),
        )
        return row is not None

    async def give_up(self, copy: Place) -> None:
        """Have a copy that was begun removed behind this transaction."""
        given_up = await self._tx.run(
            "UPDATE threads SET expires_at = ? WHERE key = ? AND tenant = ? AND epoch = ?",
            _LEFT,
            copy.key,
            HIDDEN,
            copy.epoch,
        )
        if given_up:
            self.left.append(copy.key)

    async def drain(self, key: int, step: Step, most: int | None = None) -> tuple[int, bool]:
        """Remove messages of a thread, expired ones too: how many, and whether some may be left."""

        async def some(count: int) -> int:
            return await self._tx.remove_some("messages", "thread, position", "thread = ?", key, limit=count)

        return await step.repeat(some, most)

    async def cut(self, log: Log, low: str, high: str) -> Log:
        """Take away the messages whose positions are from `low` to `high`, the last that was ever taken.

        What is more than a step removes is out of sight as long as the thread's row names the range. Nothing
        is ever put into one: new positions are above `high`.
        """
        removed = Range(low, high)
        cuts = tuple(one for one in log.cuts if one.low < low)
        if (await self._remove(log.key, removed, Step()))[1]:
            cuts = (*cuts, removed)
            self.left.append(log.key)
        if cuts != log.cuts:
            await self._set_cuts(log.key, cuts)
        return log._replace(cuts=cuts)

    async def drain_cuts(
        self, key: int, cuts: Sequence[Range], step: Step, most: int | None = None
    ) -> tuple[int, bool]:
        """Remove messages that were cut away from a thread: how many, and whether some may be left."""
        removed = 0
        for count, one in enumerate(cuts):
            found, more = await self._remove(key, one, step, None if most is None else most - removed)
            removed += found
            if more:
                if count:
                    await self._set_cuts(key, cuts[count:])
                return removed, True
        await self._set_cuts(key, ())
        return removed, False

    async def cut_threads(self, limit: int) -> list[tuple[int, tuple[Range, ...]]]:
        """At most `limit` threads from which something was cut away that is still to be removed."""
        rows = await self._tx.all(
            f"SELECT key, cuts FROM threads WHERE cuts IS NOT NULL LIMIT ?{self._tx.held}", limit
        )
        return [(key, ranges_of(key, cuts)) for key, cuts in rows]

    async def _remove(self, key: int, cut: Range, step: Step, most: int | None = None) -> tuple[int, bool]:
        async def some(count: int) -> int:
            return await self._tx.remove_some(
                "messages",
                "thread, position",
                "thread = ? AND position BETWEEN ? AND ?",
                key,
                *cut,
                limit=count,
            )

        return await step.repeat(some, most)

    async def _set_cuts(self, key: int, cuts: Sequence[Range]) -> None:
        await self._tx.run("UPDATE threads SET cuts = ? WHERE key = ?", ranges_text(cuts), key)

    async def clean(self, key: int, step: Step, most: int | None = None) -> tuple[int, bool]:
        """Remove messages of a thread, and the thread itself once it has none; as `drain` tells."""
        removed, more = await self.drain(key, step, most)
        if not more:
            await self._tell(key)
            await self._tx.remove("DELETE FROM threads WHERE key = ?", key)
        return removed, more

    async def _tell(self, key: int) -> None:
        """Before a thread's row goes, tell the results of its requests when it was to expire.

        What shows some of a thread that has expired goes with it. The request is still known.
        """
        row = await self._tx.one("SELECT tenant, id, expires_at FROM threads WHERE key = ?", key)
        if row is None or row[0] == HIDDEN:
            return
        tenant, thread, expires = row
        where = "WHERE tenant = ? AND thread = ? AND shown_until = 0"
        if expires is not None and expires <= self._clock():
            await self._tx.remove(
                f"UPDATE requests SET shown_until = ?, result = '' {where}", expires, tenant, thread
            )
        else:
            until = FOREVER if expires is None else expires
            await self._tx.run(f"UPDATE requests SET shown_until = ? {where}", until, tenant, thread)

    async def purge(self, key: int) -> None:
        """Remove a thread that is held, or what expired of it; hide it where that takes long."""
        _, more = await self.clean(key, Step())
        if more:
            await self._tell(key)
            await self.hide(key)
            self.left.append(key)

    async def empty(self, key: int) -> int:
        """Remove a thread's messages, or leave them behind, hidden; the thread's key from now on."""
        _, more = await self.drain(key, Step())
        if not more:
            return key
        [tenant, name] = cast("Row", await self._tx.one("SELECT tenant, id FROM threads WHERE key = ?", key))
        row = await self._tx.one(
            f"INSERT INTO threads (tenant, id, {_REST}) SELECT ?, ?, {_REST} FROM threads WHERE key = ? "
            "RETURNING key",
            tenant,
            token(),
            key,
        )
        await self.hide(key)
        self.left.append(key)
        [new] = cast("Row", row)
        await self._tx.run("UPDATE threads SET id = ? WHERE key = ?", name, new)
        return cast("int", new)

    async def hide(self, key: int) -> None:
        """Hide a thread, which is to be removed; a copy that is being put together is not shown any more."""
        await self._tx.remove(
            "UPDATE threads SET tenant = ?, id = ?, topic = CASE tenant WHEN ? THEN topic ELSE tenant END, "
            "metadata = '{}', participants = '[]', origin = NULL, cuts = NULL, expires_at = ? WHERE key = ?",
            HIDDEN,
            token(),
            HIDDEN,
            _LEFT,
            key,
        )

    async def clean_left(self, key: int) -> bool:
        """Remove some of a thread that was hidden, if it is still there, or of what was cut away from one.

        Whether there is more.
        """
        row = await self._tx.one(
            f"SELECT cuts FROM threads WHERE key = ? AND cuts IS NOT NULL{self._tx.held}", key
        )
        if row is not None:
            _, more = await self.drain_cuts(key, ranges_of(key, *row), Step())
            return more
        # What was removed by others meanwhile may have left its key to a thread that is seen.
        row = await self._tx.one(
            f"SELECT 1 FROM threads WHERE key = ? AND tenant = ? AND expires_at = ?{self._tx.held}",
            key,
            HIDDEN,
            _LEFT,
        )
        if row is None:
            return False
        _, more = await self.clean(key, Step())
        return more

    async def owned(self, tenant: str, owner: str | None, limit: int) -> list[tuple[int, bool]]:
        """Keys of threads of an owner, or of the tenant, expired ones too, and whether each is hidden.

        Of each kind at most `limit` of those that are hidden, and as many of the others.
        """
        found: list[tuple[int, bool]] = []
        for where, values, hidden in _whose(tenant, owner):
            sql = f"SELECT key FROM threads WHERE {where} LIMIT ?{self._tx.held}"
            found += [(key, hidden) for (key,) in await self._tx.all(sql, *values, limit)]
        return found

    async def is_owner(self, tenant: str, owner: str | None) -> bool:
        """Whether anything of an owner, or of the tenant, is there, by one look that waits for nobody."""
        whose = _whose(tenant, owner)
        looks = " OR ".join(f"EXISTS (SELECT 1 FROM threads WHERE {where})" for where, _, _ in whose)
        values = [value for _, given, _ in whose for value in given]
        return await self._tx.one(f"SELECT 1 WHERE {looks}", *values) is not None

    async def expired(self, limit: int) -> list[int]:
        """Keys of at most `limit` threads that are only waiting to be removed."""
        rows = await self._tx.all(
            f"SELECT key FROM threads WHERE expires_at <= ? LIMIT ?{self._tx.held}", self._clock(), limit
        )
        return [key for (key,) in rows]


def _whose(tenant: str, owner: str | None) -> list[tuple[str, tuple[str, ...], bool]]:
    """What finds the threads of an owner, or of the tenant, its values, and whether those are hidden."""
    where, named = ("", ()) if owner is None else (" AND owner = ?", (owner,))
    # Each kind has its own index.
    return [
        one
        for kind in KINDS
        for one in (
            (f"{kind} AND tenant = ? AND topic = ?{where}", (HIDDEN, tenant, *named), True),
            (f"{kind} AND tenant = ?{where}", (tenant, *named), False),
        )
    ]
