"""One way to call a store in both of its colours, so that each test is written once."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar, cast

from chatstore.contract import Backend
from chatstore.store import AsyncChatStore, ChatStore

__all__ = ["Colour", "drive"]

T = TypeVar("T")


class Colour(enum.Enum):
    """How a backend is opened and called."""

    BLOCKING = "blocking"
    ASYNC = "async"


@contextlib.contextmanager
def drive(backend: Backend, colour: Colour) -> Iterator[ChatStore]:
    """A store on `backend`, to be called as a blocking one in either colour, and closed at the end.

    In the asynchronous colour every call is a task on one event loop, so that code which really
    suspends really runs.
    """
    if colour is Colour.BLOCKING:
        with ChatStore(backend) as store:
            yield store
    else:
        with asyncio.Runner() as runner:
            source = AsyncChatStore(backend)
            try:
                yield cast("ChatStore", _Driven(source, runner))
            finally:
                runner.run(source.close())


class _Driven:
    """An `AsyncChatStore` whose methods return what they would have been awaited for."""

    def __init__(self, source: AsyncChatStore, runner: asyncio.Runner) -> None:
        self._source = source
        self._runner = runner

    def for_tenant(self, tenant: str) -> _Driven:
        return _Driven(self._source.for_tenant(tenant), self._runner)

    def for_owner(self, owner: str) -> _Driven:
        return _Driven(self._source.for_owner(owner), self._runner)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._source, name)
        if inspect.iscoroutinefunction(member):
            return self._calling(member)
        if inspect.isasyncgenfunction(member):
            return self._iterating(member)
        return member

    def _calling(self, method: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., T]:
        return lambda *args, **kwargs: self._runner.run(method(*args, **kwargs))

    def _iterating(self, method: Callable[..., AsyncIterator[T]]) -> Callable[..., Iterator[T]]:
        def iterate(*args: Any, **kwargs: Any) -> Iterator[T]:
            source = method(*args, **kwargs)
            try:
                while True:
                    try:
                        item = self._runner.run(_next(source))
                    except StopAsyncIteration:
                        return
                    yield item
            finally:
                self._runner.run(_close(source))

        return iterate


async def _next(source: AsyncIterator[T]) -> T:
    return await source.__anext__()


async def _close(source: AsyncIterator[T]) -> None:
    await cast("Any", source).aclose()
