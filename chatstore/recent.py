"""What a process remembers of much that it saw: the last of it, and never more than a set number."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Recent"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, at most `most` of them: one more takes the place of the one that was put longest ago.

    Several threads may use it at the same time. What was put may be gone at any time, so it can only spare
    work, and never decide anything.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """The value of a key, None where there is none."""
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Give a key a value, as the latest."""
        self._values.pop(key, None)
        self._values[key] = value
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def pop(self, key: K) -> V | None:
        """The value of a key, which is forgotten; None where there is none."""
        return self._values.pop(key, None)

    def items(self) -> list[tuple[K, V]]:
        """All that is remembered, the latest last."""
        return list(self._values.items())
