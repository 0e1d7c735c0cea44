"""What operations cost: counted where calls leave, and put on the operation's result."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast

from chatstore.models import Cost

__all__ = ["metered", "spent"]

T = TypeVar("T")
P = ParamSpec("P")

_tally: ContextVar[list[Cost] | None] = ContextVar("chatstore-tally", default=None)


def spent(price_list: str, units: Mapping[str, float], trips: int = 1) -> None:
    """Add to what the operation that is under way costs."""
    tally = _tally.get()
    if tally is not None:
        tally.append(Cost(price_list, units, trips))


def metered(operation: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Put the cost of a backend's operation on its result, where it made calls that count."""

    @functools.wraps(operation)
    async def measure(*args: P.args, **given: P.kwargs) -> T:
        tally: list[Cost] = []
        before = _tally.set(tally)
        try:
            result = await operation(*args, **given)
        finally:
            _tally.reset(before)
        if result is None or not tally:
            return result
        cost = functools.reduce(Cost.__add__, tally)
        return cast("T", replace(cast("Any", result), cost=cost))

    return measure
