"""What operations cost: counted where calls leave, put on the operation's result, told to who watches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast

from chatstore.models import Cost

__all__ = ["Watch", "conflicted", "metered", "retried", "spent"]

T = TypeVar("T")
P = ParamSpec("P")

_tally: ContextVar[list[Cost] | None] = ContextVar("chatstore-tally", default=None)
_RETRY, _CONFLICT = "retry", "conflict"


class Watch:
    """What is asked of the storage within it, here and in tasks and threads that work for it.

    Operations that fail count as well. Threads may tell it at the same time.
    """

    __slots__ = ("_before", "_costs", "_repeated")

    def __init__(self) -> None:
        self._costs: list[Cost] = []
        self._repeated: list[str] = []

    def __enter__(self) -> Watch:
        self._before = _watch.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _watch.reset(self._before)

    @property
    def units(self) -> dict[str, float]:
        """What is billed, by the vendor's name of the unit."""
        units: dict[str, float] = {}
        for cost in self._costs:
            for name, number in cost.units.items():
                units[name] = units.get(name, 0) + number
        return units

    @property
    def retries(self) -> int:
        """How many calls were made again, because the storage did not answer or turned them away."""
        return self._repeated.count(_RETRY)

    @property
    def conflicts(self) -> int:
        """How many writes came too late, after somebody else's, and were planned anew."""
        return self._repeated.count(_CONFLICT)


_watch: ContextVar[Watch | None] = ContextVar("chatstore-watch", default=None)


def spent(price_list: str, units: Mapping[str, float], trips: int = 1) -> None:
    """Add to what the operation that is under way costs."""
    cost = Cost(price_list, units, trips)
    tally, watch = _tally.get(), _watch.get()
    if tally is not None:
        tally.append(cost)
    if watch is not None:
        watch._costs.append(cost)


def retried() -> None:
    """Tell who watches that a call is made again, because the storage did not answer or turned it away."""
    _again(_RETRY)


def conflicted() -> None:
    """Tell who watches that a write came too late, after somebody else's, and is planned anew."""
    _again(_CONFLICT)


def _again(why: str) -> None:
    watch = _watch.get()
    if watch is not None:
        watch._repeated.append(why)


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
