"""The table of requests that took effect, within one transaction."""

from __future__ import annotations

from datetime import timedelta

from chatstore.backends.sql.port import Transaction
from chatstore.backends.sql.threads import expiry
from chatstore.contract import Clock, Request, ThreadKey
from chatstore.errors import RequestMismatch

__all__ = ["Requests"]


class Requests:
    """Finds and adds rows of requests; one past its window is not there."""

    def __init__(self, tx: Transaction, clock: Clock) -> None:
        self._tx = tx
        self._clock = clock

    async def find(self, key: ThreadKey, request: Request) -> str | None:
        """The first result of `request`, None if it is new. Raises RequestMismatch."""
        row = await self._tx.one(
            "SELECT digest, result FROM requests "
            "WHERE tenant = ? AND thread = ? AND id = ? AND expires_at > ?",
            *key,
            request.id,
            self._clock(),
        )
        if row is None:
            return None
        digest, result = row
        if digest != request.digest:
            raise RequestMismatch(request.id)
        return str(result)

    async def add(self, key: ThreadKey, request: Request, result: str, window: timedelta) -> None:
        """Remember the result of `request`, in place of one that is past its window."""
        await self._tx.run(
            "INSERT OR REPLACE INTO requests (tenant, thread, id, digest, result, expires_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            *key,
            request.id,
            request.digest,
            result,
            expiry(self._clock(), window),
        )

    async def remove_expired(self, limit: int) -> int:
        """Remove at most `limit` requests past their window; how many."""
        return await self._tx.run(
            "DELETE FROM requests WHERE (tenant, thread, id) IN "
            "(SELECT tenant, thread, id FROM requests WHERE expires_at <= ? LIMIT ?)",
            self._clock(),
            limit,
        )
