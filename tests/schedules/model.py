"""Judges schedules by a model: some order of the operations, done one at a time, must explain all results."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.schedules.explorer import Done

__all__ = ["Modelled", "State", "explained"]

State: TypeAlias = Hashable
"""What the model is in."""


@dataclass(frozen=True)
class Modelled:
    """One call: what it does to the store, and what it does to the model.

    `step` gives the model's state afterwards and the result that must have been seen.
    """

    name: str
    call: Callable[[Any], Coroutine[Any, Any, Any]]
    step: Callable[[Any], tuple[State, Any]]

    def __call__(self, backend: Any) -> Coroutine[Any, Any, Any]:
        return self.call(backend)


def explained(operations: Sequence[Done[Modelled]], state: State) -> bool:
    """Whether the operations can have happened one after another, each within its time.

    One that never came to a result may have happened, at any time after it began, or not at all.
    """
    everything = frozenset(range(len(operations)))
    over = frozenset(number for number in everything if operations[number].over)
    seen: set[tuple[frozenset[int], State]] = set()
    todo = [(frozenset[int](), state)]
    while todo:
        placed, now = todo.pop()
        if over <= placed:
            return True
        if (placed, now) in seen:
            continue
        seen.add((placed, now))
        for number in everything - placed:
            one = operations[number]
            if not one.after <= placed:
                continue
            then, result = one.operation.step(now)
            if not one.over or result == one.result:
                todo.append((placed | {number}, then))
    return False
