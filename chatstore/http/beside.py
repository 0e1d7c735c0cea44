"""Work that would keep the event loop for too long, done beside it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from chatstore.fair_threads import FairThreads

__all__ = ["beside"]

T = TypeVar("T")

_threads = FairThreads(2, "chatstore-beside")
"""A few at a time: 4 MB of JSON can take a second."""


async def beside(caller: Hashable, call: Callable[[], T]) -> T:
    """What `call` gives, done in a thread; callers take turns."""
    return await _threads.run(caller, call)
