"""What operations cost: counted where calls leave, put on the operation's result, told to who watches."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast

from chatstore.models import Cost

__all__ = ["Watch", "conflicted", "metered", "retried", "spent"]

T = TypeVar("T")
P = ParamSpec("P")

_tally: ContextVar[list[Cost] | None] = ContextVar("chatstore-tally", default=None)


class Watch:
    """What is asked of the storage within it, here and in tasks and threads that work for it.

    Operations that fail count as well. Threads may tell it at the same time.
    """

    __slots__ = ("_before", "_lock", "conflicts", "retries", "units")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.units: dict[str, float] = {}
        """What is billed, by the vendor's name of the unit."""
        self.retries = 0
        """How many calls were made again, because the storage did not answer or turned them away."""
        self.conflicts = 0
        """How many writes came too late, after somebody else's, and were planned anew."""

    def __enter__(self) -> Watch:
        self._before = _watch.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _watch.reset(self._before)

    def add(self, units: Mapping[str, float], retries: int = 0, conflicts: int = 0) -> None:
        """Add what was asked."""
        with self._lock:
            for name, number in units.items():
                self.units[name] = self.units.get(name, 0) + number
            self.retries += retries
            self.conflicts += conflicts


_watch: ContextVar[Watch | None] = ContextVar("chatstore-watch", default=None)


def spent(price_list: str, units: Mapping[str, float], trips: int = 1) -> None:
    """Add to what the operation that is under way costs."""
    tally, watch = _tally.get(), _watch.get()
    if tally is not None:
        tally.append(Cost(price_list, units, trips))
    if watch is not None:
        watch.add(units)


def retried() -> None:
    """Tell who watches that a call is made again, because the storage did not answer or turned it away."""
    watch = _watch.get()
    if watch is not None:
        watch.add({}, retries=1)


def conflicted() -> None:
    """Tell who watches that a write came too late, after somebody else's, and is planned anew."""
    watch = _watch.get()
    if watch is not None:
        watch.add({}, conflicts=1)


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
        cost = tally[0] if len(tally) == 1 else functools.reduce(Cost.__add__, tally)
        return cast("T", _costing(result, cost))

    return measure


def _costing(result: Any, cost: Cost) -> Any:
    """The result with its cost."""
    if result.cost is not None:
        return replace(result, cost=cost)
    # Nobody else has seen it yet, and a copy takes longer than all that is counted here.
    object.__setattr__(result, "cost", cost)
    return result
