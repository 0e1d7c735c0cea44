"""Cuts what is to be written into as few pieces as a storage takes, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["batches"]

T = TypeVar("T")


def batches(items: Iterable[T], size: Callable[[T], int], *, most: int, size_most: int) -> Iterator[list[T]]:
    """Runs of at most `most` items and of `size_most` in all; an item that is larger is alone."""
    batch: list[T] = []
    held = 0
    for item in items:
        more = size(item)
        if batch and (len(batch) == most or held + more > size_most):
            yield batch
            batch, held = [], 0
        batch.append(item)
        held += more
    if batch:
        yield batch
