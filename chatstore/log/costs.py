"""What an operation cost: added up by the table, call by call, and put on the operation's result."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, TypeVar

from chatstore.models import Cost

__all__ = ["metered", "spent"]

T = TypeVar("T")

_tally: ContextVar[list[Cost] | None] = ContextVar("chatstore-cost", default=None)


def spent(backend: str, units: Mapping[str, float]) -> None:
    """Add a round trip to the operation that is under way."""
    tally = _tally.get()
    if tally is not None:
        tally.append(Cost(backend, dict(units), 1))


async def metered(operation: Awaitable[T]) -> T:
    """The operation's result, with what it cost where its table reports that."""
    tally: list[Cost] = []
    token = _tally.set(tally)
    try:
        result: Any = await operation
    finally:
        _tally.reset(token)
    if not tally or result is None:
        return result  # type: ignore[no-any-return]
    total = tally[0]
    for cost in tally[1:]:
        total = total + cost
    return replace(result, cost=total)  # type: ignore[no-any-return]
