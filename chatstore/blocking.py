"""Runs a coroutine that never suspends, so that one asynchronous source serves blocking callers.

A backend opened for blocking use awaits only things that finish at once. Stepping such a
coroutine a single time therefore runs it to its end: no event loop, no thread, nothing that could
be bound to either. A coroutine that does suspend is a bug in the backend, and is reported as one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

__all__ = ["iterate", "run"]

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what `coroutine` returns; raise what it raises.

    Raises RuntimeError if it suspends, which a backend opened for blocking use never does.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine suspended where it was stepped without an event loop")


def iterate(source: AsyncIterator[T]) -> Iterator[T]:
    """Yield what `source` yields, a step at a time, and close it when the caller stops early."""
    try:
        while True:
            try:
                item = run(_next(source))
            except StopAsyncIteration:
                return
            yield item
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            run(close())


async def _next(source: AsyncIterator[T]) -> T:
    return await source.__anext__()
