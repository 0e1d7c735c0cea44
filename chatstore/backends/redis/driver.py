"""The fenced engine's port over scripts, whoever carries them to a server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from os import urandom
from typing import Any, Final, Protocol

from chatstore.backends.redis.resp import Look
from chatstore.backends.redis.rows import appending, asked, operations, page_of, place, slice_of
from chatstore.backends.redis.scripts import APPEND, CHANGE, Script
from chatstore.engines.fenced.layout import HEAD
from chatstore.engines.fenced.port import Entity, Op, Overtaken, Range, Slice

__all__ = ["Caller", "RedisDriver"]


_OLDER: Final = -1
"""What `APPEND` answers for an entry that is older than the newest."""

_LOOK: Final = 64
"""So many rows may be looked at without the script, which ends a page that is too large."""


class Caller(Protocol):
    """Carries scripts to a server; each call is one trip.

    Raises `Again` where trying again may help, and errors of ours otherwise.
    """

    async def call(self, script: Script, key: str, arguments: Sequence[bytes], *, writing: bool) -> Any:
        """What a script answers for the keys of a place; texts are bytes.

        `arguments` come behind the first, which asks for the time.
        """

    async def look(self, partition: str, count: int) -> Look | None:
        """A thread's header and its newest rows, without a script; None where that is not to be had."""

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        """Waits until no other writer of this process is at the same thread."""

    async def pause(self, seconds: float) -> None:
        """Let time pass."""

    async def close(self) -> None:
        """Give back connections."""


class RedisDriver:
    """Rows in the streams, hashes and sorted sets of a Redis. There is nothing to create."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.turn = caller.turn

    async def create(self) -> None:
        """A key is made when it is first written."""

    async def get(self, partition: str, row: str) -> Entity | None:
        found = await self.page(partition, (row, f"{row}\1"), 1, None)
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
        if rows == HEAD and token is before is None and bodies and 1 < top <= _LOOK:
            # The header is one of the rows.
            partition, count = str(partitions), top - 1
            look = await self._caller.look(partition, count)
            found = None if look is None else page_of(partition, count, look)
            if found is not None:
                return found
        after = token if isinstance(token, str) else None
        wanted = asked(partitions, rows, top, after, before, bodies=bodies)
        answer = await self._caller.call(wanted.script, wanted.key, wanted.arguments, writing=False)
        return slice_of(wanted, top, answer)

    async def submit(self, partition: str, ops: Sequence[Op]) -> Sequence[str | None]:
        # Of this call alone, so that no etag comes twice.
        token = f"{urandom(6).hex()}-"
        done = _OLDER
        plain = appending(token, ops)
        if plain is not None:
            done = await self._caller.call(APPEND, partition, plain, writing=True)
        if done == _OLDER:
            key = place(partition).key
            done = await self._caller.call(CHANGE, key, operations(partition, token, ops), writing=True)
        if not done:
            raise Overtaken
        return [None if op.kind == "delete" else f"{token}{number}" for number, op in enumerate(ops)]

    async def pause(self, seconds: float) -> None:
        await self._caller.pause(seconds)

    async def close(self) -> None:
        await self._caller.close()
