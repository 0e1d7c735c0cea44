"""The table of requests that took effect, within one transaction.

A result that shows what is in a thread expires with it. While `shown_until` is 0, the thread's row says when
that is; who removes the thread's row writes it there.
"""

from __future__ import annotations

from datetime import timedelta

from chatstore import records
from chatstore.conditions import expiry
from chatstore.contract import Clock, Request, ThreadKey
from chatstore.engines.sql.port import Transaction
from chatstore.engines.sql.steps import Step
from chatstore.errors import RequestMismatch

__all__ = ["Requests"]

_KEYS = "tenant, thread, scope, id"


class Requests:
    """Finds and adds rows of requests; one past its window is not there."""

    def __init__(self, tx: Transaction, clock: Clock) -> None:
        self._tx = tx
        self._clock = clock

    async def find(self, key: ThreadKey, request: Request) -> tuple[str, int | None] | None:
        """The first result of `request`, and until when it is shown if that is known; None if it is new.

        Raises RequestMismatch, and RequestExpired where it shows what has expired.
        """
        named = "tenant = ? AND thread = ? AND scope = ? AND id = ?"
        row = await self._tx.one(
            f"SELECT digest, result, expires_at, shown_until FROM requests WHERE {named}",
            *_scope(key),
            request.id,
        )
        if row is None:
            return None
        digest, result, expires, shown = row
        if expires <= self._clock():
            await self._tx.remove(f"DELETE FROM requests WHERE {named}", *_scope(key), request.id)
            return None
        if digest != request.digest:
            raise RequestMismatch(request.id)
        if shown == 0:
            row = await self._tx.one(
                "SELECT expires_at FROM threads WHERE tenant = ? AND id = ?", key.tenant, key.id
            )
            shown = 0 if row is None else records.FOREVER if row[0] is None else row[0]
        # What it showed may be gone from it.
        records.require_shown(shown, self._clock(), request.id)
        return str(result), shown

    async def add(
        self,
        key: ThreadKey,
        request: Request,
        result: str,
        owner: str | None,
        window: timedelta,
        *,
        shows: bool,
    ) -> None:
        """Remember the result of `request`, which was not found; whether it `shows` some of the thread.

        The thread is, or was, of `owner`.
        """
        await self._tx.run(
            "INSERT INTO requests "
            "(tenant, thread, scope, id, digest, result, owner, expires_at, shown_until) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *_scope(key),
            request.id,
            request.digest,
            result,
            owner,
            expiry(self._clock(), window),
            0 if shows else None,
        )

    async def remove_expired(self, limit: int) -> int:
        """Remove at most `limit` requests past their window; how many."""
        return await self._tx.remove_some("requests", _KEYS, "expires_at <= ?", self._clock(), limit=limit)

    async def remove_owned(self, tenant: str, owner: str | None, step: Step) -> tuple[int, bool]:
        """Remove results of requests about an owner's threads, or the tenant's.

        How many, and whether some may be left.
        """
        where, named = ("", ()) if owner is None else (" AND owner = ?", (owner,))

        async def some(count: int) -> int:
            return await self._tx.remove_some(
                "requests", _KEYS, f"tenant = ?{where}", tenant, *named, limit=count
            )

        return await step.repeat(some)


def _scope(key: ThreadKey) -> tuple[str, str, str]:
    """What a request id is unique within; each owner's are apart, and those of nobody in particular."""
    return key.tenant, key.id, "" if key.owner is None else key.owner
