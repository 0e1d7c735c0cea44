"""Scripts carried to a server in two colours, which differ only in how they wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, cast

from chatstore.backends.clients import LoopClients, ProcessClient
from chatstore.backends.redis.calling import AsyncScripts, BlockingScripts, Command, Terms
from chatstore.backends.redis.faults import FAULTS, meant
from chatstore.backends.redis.resp import LOOKS, Look, looked
from chatstore.backends.redis.scripts import UnknownScript
from chatstore.engines.fenced.port import Again, Overtaken
from chatstore.errors import ChatStoreError
from chatstore.metering import spent

__all__ = ["AsyncCaller", "BlockingCaller"]


class BlockingCaller(BlockingScripts):
    """One link for all threads. A fork opens one of its own.

    Opening it may fail as a call does: a cluster's client looks for the cluster first.
    """

    prices, unit = "redis", "commands"

    def __init__(self, opening: Callable[[], AbstractContextManager[Any]], terms: Terms) -> None:
        super().__init__(terms)
        self._client = ProcessClient(opening, Again, Overtaken, UnknownScript, ChatStoreError)

    async def _sent(self, command: Command, *, writing: bool) -> Any:
        wait = self._wait if writing else None
        try:
            link = self._client.here()
            answers = link.run(command) if wait is None else link.run(command, wait)
            answer = answers[0]
            if isinstance(answer, Exception):
                raise answer
        except BaseException as error:
            self._failed(error)
            raise
        if wait is not None:
            self._confirmed(answers[1])
        return answer

    async def look(self, partition: str, count: int) -> Look | None:
        try:
            link = self._client.here()
            if not link.looks or self._terms.asked() is not None:
                return None
            sent = self._terms.look(partition, count)
            spent(self.prices, {self.unit: LOOKS})
            return _look(link.exchange(sent, LOOKS, looked))
        except BaseException as error:
            self._failed(error)
            raise

    def _failed(self, error: BaseException) -> None:
        """Tell the client of an error. Raises what it means, where that is another."""
        # Not a context manager, whose two calls take longer than this block.
        found = meant(error)
        self._client.failed(found)
        if found is not error:
            raise found from error

    async def close(self) -> None:
        """Give back connections."""
        self._client.close()


class AsyncCaller(AsyncScripts):
    """A link for each loop; that of a loop which has ended is replaced."""

    prices, unit = "redis", "commands"

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Any]], terms: Terms) -> None:
        super().__init__(terms)
        self._links = LoopClients(opening)

    async def _sent(self, command: Command, *, writing: bool) -> Any:
        wait = self._wait if writing else None
        with FAULTS:
            link = await self._links.here()
            answers = await (link.run(command) if wait is None else link.run(command, wait))
            answer = answers[0]
            if isinstance(answer, Exception):
                raise answer
        if wait is not None:
            self._confirmed(answers[1])
        return answer

    async def look(self, partition: str, count: int) -> Look | None:
        with FAULTS:
            link = await self._links.here()
            if not link.looks or self._terms.asked() is not None:
                return None
            sent = self._terms.look(partition, count)
            spent(self.prices, {self.unit: LOOKS})
            return _look(await link.exchange(sent, LOOKS, looked))

    async def close(self) -> None:
        """Give back connections."""
        await self._links.close()


def _look(answers: Sequence[Any]) -> Look:
    """The look that is answered. Raises the error that is answered in its place."""
    for one in answers:
        if isinstance(one, Exception):
            raise one
    return cast("Look", answers[0])
