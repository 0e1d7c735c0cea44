"""Work that would keep the event loop for too long, done beside it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from chatstore.contract import SHORT_CHARACTERS
from chatstore.fair_threads import FairThreads

__all__ = ["beside", "by_length"]

T = TypeVar("T")

_threads = FairThreads(2, "chatstore-beside")
"""A few at a time: 4 MB of JSON can take a second."""


async def beside(caller: Hashable, call: Callable[[], T]) -> T:
    """What `call` gives, done in a thread; callers take turns."""
    return await _threads.run(caller, call)


async def by_length(caller: Hashable, text: str, call: Callable[[], T]) -> T:
    """What `call` makes of a message's `text`: at once of a short one, in a thread of a long one."""
    return call() if len(text) <= SHORT_CHARACTERS else await beside(caller, call)
