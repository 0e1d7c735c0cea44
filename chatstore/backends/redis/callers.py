"""Scripts carried to a server by the library's two clients. They differ only in how they wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from chatstore.backends.clients import LoopClients, ProcessClient
from chatstore.backends.redis.faults import faults, is_unknown_script
from chatstore.backends.redis.rows import Script
from chatstore.clocks import ServerClock
from chatstore.contract import Clock
from chatstore.engines.fenced.port import Again, Overtaken
from chatstore.errors import ChatStoreError, Unavailable
from chatstore.metering import spent
from chatstore.turns import AsyncTurns, BlockingTurns

__all__ = ["AsyncCaller", "BlockingCaller", "Terms"]


class Terms(NamedTuple):
    """How calls are made: what stands in front of keys, and how many replicas must have each write.

    What the server says of the time goes to `clock`, if that follows it.
    """

    prefix: str
    replicas: int
    seconds: float
    clock: Clock

    def command(self, how: str, script: Script, key: str, arguments: Sequence[bytes]) -> tuple[Any, ...]:
        """A command that runs a script on a key: by its digest, or by its text."""
        said = script.digest if how == "EVALSHA" else script.text
        return how, said, 1, f"{self.prefix}{{{key}}}", *arguments

    def asked(self) -> int:
        """When a call begins."""
        spent("redis", {"commands": 1})
        return self.clock.monotonic() if isinstance(self.clock, ServerClock) else 0

    def answered(self, answer: Any, asked: int) -> Any:
        """The answer of a script that tells the time, once that is taken."""
        told = answer[0] if isinstance(answer, list) and isinstance(answer[0], list) else answer
        if isinstance(self.clock, ServerClock) and isinstance(told, list):
            self.clock.told(int(told[0]) * 1_000_000 + int(told[1]), asked)
        return answer

    def require_replicas(self, count: int) -> None:
        """Raise Unavailable where too few replicas have what was written."""
        if count < self.replicas:
            raise Unavailable(
                f"it was written, but only {count} of {self.replicas} replicas confirmed it in time: it may "
                "be lost if the server fails now. Repeat the request with the same request id"
            )


class BlockingCaller:
    """For blocking callers, one client for all threads. A fork opens one of its own."""

    def __init__(self, opening: Callable[[], AbstractContextManager[Any]], terms: Terms) -> None:
        self._client = ProcessClient(opening, Again, Overtaken, ChatStoreError)
        self._terms = terms
        self._turns = BlockingTurns()

    async def call(self, script: Script, key: str, arguments: Sequence[bytes], *, writing: bool) -> Any:
        terms = self._terms
        asked = terms.asked()
        with self._client.used() as client, faults():
            try:
                answer = self._sent(client, terms.command("EVALSHA", script, key, arguments), writing)
            except ResponseError as error:
                if not is_unknown_script(error):
                    raise
                spent("redis", {"commands": 1})
                answer = self._sent(client, terms.command("EVAL", script, key, arguments), writing)
        return terms.answered(answer, asked)

    def _sent(self, client: Any, command: tuple[Any, ...], writing: bool) -> Any:
        if not (writing and self._terms.replicas):
            return client.execute_command(*command)
        with client.pipeline(transaction=False) as together:
            together.execute_command(*command)
            together.wait(self._terms.replicas, int(self._terms.seconds * 500))
            answer, count = together.execute()
        spent("redis", {"commands": 1}, trips=0)
        self._terms.require_replicas(count)
        return answer

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(partition)

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - nobody awaits here: this caller serves blocking callers

    async def close(self) -> None:
        self._client.close()


class AsyncCaller:
    """For event loops, each of which has a client; one whose loop has ended is replaced."""

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Any]], terms: Terms) -> None:
        self._clients = LoopClients(opening)
        self._terms = terms
        self._turns = AsyncTurns()

    async def call(self, script: Script, key: str, arguments: Sequence[bytes], *, writing: bool) -> Any:
        terms = self._terms
        with faults():
            client = await self._clients.here()
            asked = terms.asked()
            try:
                answer = await self._sent(client, terms.command("EVALSHA", script, key, arguments), writing)
            except ResponseError as error:
                if not is_unknown_script(error):
                    raise
                spent("redis", {"commands": 1})
                answer = await self._sent(client, terms.command("EVAL", script, key, arguments), writing)
        return terms.answered(answer, asked)

    async def _sent(self, client: Any, command: tuple[Any, ...], writing: bool) -> Any:
        if not (writing and self._terms.replicas):
            return await client.execute_command(*command)
        async with client.pipeline(transaction=False) as together:
            together.execute_command(*command)
            together.wait(self._terms.replicas, int(self._terms.seconds * 500))
            answer, count = await together.execute()
        spent("redis", {"commands": 1}, trips=0)
        self._terms.require_replicas(count)
        return answer

    def turn(self, partition: str) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(partition)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        await self._clients.close()
