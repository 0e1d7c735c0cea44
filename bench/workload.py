"""The work that is measured: one thread of a given length among others, and a message to add."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable
from typing import TypeVar

LENGTHS = (100, 1_000, 100_000)
OTHERS = 99
LAST = 20
THREAD = "the thread"
ROUNDS = 7

Name = TypeVar("Name", bound=Hashable)


def message(number: int) -> dict[str, str]:
    """About 200 bytes, the size of a short turn."""
    return {"role": "user" if number % 2 == 0 else "assistant", "content": f"{number:06d} {'words ' * 25}"}


def microseconds(operation: Callable[[], object], times: int) -> float:
    """How long `operation` takes on average over `times` calls."""
    began = time.perf_counter()
    for _ in range(times):
        operation()
    return (time.perf_counter() - began) / times * 1e6


def side_by_side(
    operations: dict[Name, Callable[[], object]], times: int, rounds: int = ROUNDS
) -> dict[Name, float]:
    """The median over `rounds`, in each of which every operation takes its turn."""
    for operation in operations.values():
        microseconds(operation, max(times // 10, 1))
    found: dict[Name, list[float]] = {name: [] for name in operations}
    for _ in range(rounds):
        for name, operation in operations.items():
            found[name].append(microseconds(operation, times))
    return {name: statistics.median(values) for name, values in found.items()}
