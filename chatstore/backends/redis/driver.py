"""The fenced engine's port over two scripts, whoever carries them to a server."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from chatstore.backends.redis.rows import CHANGE, READ, Script, asked, entity, operations, place, span
from chatstore.engines.fenced.port import Entity, Op, Overtaken, Range, Slice

__all__ = ["Caller", "RedisDriver"]


class Caller(Protocol):
    """Carries scripts to a server; each call is one trip.

    Raises `Again` where trying again may help, and errors of ours otherwise.
    """

    async def call(self, script: Script, key: str, arguments: Sequence[bytes], *, writing: bool) -> Any:
        """What a script answers; texts are bytes."""

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        """Waits until no other writer of this process is at the same thread."""

    async def pause(self, seconds: float) -> None:
        """Let time pass."""

    async def close(self) -> None:
        """Give back connections."""


class RedisDriver:
    """Rows in the sorted sets of a Redis. There is nothing to create."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def create(self) -> None:
        """A key is made when it is first written."""

    async def get(self, partition: str, row: str) -> Entity | None:
        found = await self.page(partition, (f"{row}\0", f"{row}\1"), 1, None)
        return found.entities[0] if found.entities else None

    async def page(
        self,
        partitions: str | Range,
        rows: Range | None,
        top: int,
        token: object | None,
        before: str | None = None,
        *,
        bodies: bool = True,
    ) -> Slice:
        key, low, high = span(partitions, rows)
        if isinstance(token, bytes):
            low = b"(%s\1" % token
        _, last, members = await self._caller.call(
            READ, key, asked(low, high, top, before, bodies=bodies), writing=False
        )
        return Slice([entity(key, member) for member in members], last or None)

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        key, front = place(partition)
        # Of this call alone, so that no etag comes twice.
        token = f"{secrets.token_urlsafe(6)}-"
        if not await self._caller.call(CHANGE, key, operations(front, token, ops), writing=True):
            raise Overtaken
        return [None if op.kind == "delete" else f"{token}{number}" for number, op in enumerate(ops)]

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        return self._caller.turn(partition)

    async def pause(self, seconds: float) -> None:
        await self._caller.pause(seconds)

    async def close(self) -> None:
        await self._caller.close()
