"""Scripts carried to a server by the library's two clients. They differ only in how they wait."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from chatstore.backends.clients import LoopClients, ProcessClient
from chatstore.backends.redis.calling import AsyncScripts, BlockingScripts, Terms
from chatstore.backends.redis.faults import faults
from chatstore.backends.redis.scripts import UnknownScript
from chatstore.engines.fenced.port import Again, Overtaken
from chatstore.errors import ChatStoreError
from chatstore.metering import spent

__all__ = ["AsyncCaller", "BlockingCaller"]


class BlockingCaller(BlockingScripts):
    """One client for all threads. A fork opens one of its own."""

    prices, unit = "redis", "commands"

    def __init__(self, opening: Callable[[], AbstractContextManager[Any]], terms: Terms) -> None:
        super().__init__(terms)
        self._client = ProcessClient(opening, Again, Overtaken, UnknownScript, ChatStoreError)

    async def _sent(self, command: tuple[Any, ...], *, writing: bool) -> Any:
        with self._client.used() as client, faults():
            wait = self._terms.wait if writing else None
            if wait is None:
                return client.execute_command(*command)
            with client.pipeline(transaction=False) as together:
                together.execute_command(*command)
                together.execute_command(*wait)
                answer, safe = together.execute()
        spent("redis", {"commands": 1}, trips=0)
        self._terms.require_safe(safe)
        return answer

    async def close(self) -> None:
        """Give back connections."""
        self._client.close()


class AsyncCaller(AsyncScripts):
    """A client for each loop; that of a loop which has ended is replaced."""

    prices, unit = "redis", "commands"

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Any]], terms: Terms) -> None:
        super().__init__(terms)
        self._clients = LoopClients(opening)

    async def _sent(self, command: tuple[Any, ...], *, writing: bool) -> Any:
        with faults():
            client = await self._clients.here()
            wait = self._terms.wait if writing else None
            if wait is None:
                return await client.execute_command(*command)
            async with client.pipeline(transaction=False) as together:
                together.execute_command(*command)
                together.execute_command(*wait)
                answer, safe = await together.execute()
        spent("redis", {"commands": 1}, trips=0)
        self._terms.require_safe(safe)
        return answer

    async def close(self) -> None:
        """Give back connections."""
        await self._clients.close()
