"""Both faces of one store: LlamaIndex asks the same object for blocking and for asynchronous calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from urllib.parse import urlencode

from chatstore.blocking import run
from chatstore.contract import Capability
from chatstore.opening import aconnect, connect
from chatstore.store import AsyncChatStore, ChatStore

__all__ = ["Faces", "with_options"]

T = TypeVar("T")


class Faces:
    """A store as the source of blocking calls, and as that of asynchronous ones."""

    def __init__(self, blocking: AsyncChatStore, asynchronous: AsyncChatStore | None) -> None:
        self._blocking = blocking
        self._asynchronous = asynchronous

    @classmethod
    def open(cls, url: str, tenant: str, owner: str | None) -> Faces:
        """Open `url` for blocking callers and for event loops; nothing is sent before the first use."""
        blocking = _source(connect(url, tenant=tenant), owner)
        if Capability.SHARED not in blocking.backend.capabilities:
            # Opened twice it would be two stores, or one that is not safe: what never suspends serves both.
            return cls(blocking, blocking)
        return cls(blocking, _scoped(aconnect(url, tenant=tenant), owner))

    @classmethod
    def of(cls, store: ChatStore, asynchronous: AsyncChatStore | None) -> Faces:
        """Those of stores that are open already, and stay the caller's to close."""
        return cls(_source(store, store.owner), asynchronous)

    def call(self, operation: Callable[[AsyncChatStore], Coroutine[Any, Any, T]]) -> T:
        """Run `operation` to its end, in any thread, inside a running loop or not."""
        return run(operation(self._blocking))

    async def acall(self, operation: Callable[[AsyncChatStore], Coroutine[Any, Any, T]]) -> T:
        """Await `operation`; in a thread of its own where the store has a blocking face alone."""
        if self._asynchronous is None:
            return await asyncio.to_thread(self.call, operation)
        return await operation(self._asynchronous)

    def close(self) -> None:
        """Give back what blocking calls hold."""
        run(self._blocking.close())

    async def aclose(self) -> None:
        """Give back what both kinds of calls hold."""
        if self._asynchronous is not None:
            await self._asynchronous.close()
        self.close()


def with_options(url: str, options: dict[str, object]) -> str:
    """`url` with `options` added to its query."""
    if not options:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(options)}"


def _source(store: ChatStore, owner: str | None) -> AsyncChatStore:
    """The source of a blocking store, which may be stepped as the store itself steps it."""
    return AsyncChatStore(store.backend, tenant=store.tenant, owner=owner)


def _scoped(store: AsyncChatStore, owner: str | None) -> AsyncChatStore:
    return AsyncChatStore(store.backend, tenant=store.tenant, owner=owner)
