"""Token windows: the newest messages that fit a model's context, read back only as far as needed.

A window is made of pages that are read elsewhere; nothing here touches a storage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from chatstore.models import Message
from chatstore.tools import Calls, uses_tools

__all__ = ["PINNED_AT_MOST", "Counter", "WindowBuilder", "count_tokens"]

Counter: TypeAlias = Callable[[Message], int]
"""Says how many tokens a message takes."""

PINNED_AT_MOST = 20
"""How many leading messages a window may pin."""

_MARKS = '"tokens"', '"usage"'
_OWN_COUNT = ("completion_tokens", "output_tokens")


def count_tokens(message: Message) -> tuple[int, bool]:
    """A message's size in tokens, and whether it was estimated.

    A message's own count is its field ``tokens``, or the generated tokens of its ``usage``. The estimate is
    a token for every four bytes of its JSON, rounded up.
    """
    # Most messages say nothing of it, and need not be decoded to know.
    data = message.to_dict() if any(name in message.text for name in _MARKS) else {}
    own = data.get("tokens")
    usage = data.get("usage")
    if own is None and isinstance(usage, dict):
        own = next((usage[name] for name in _OWN_COUNT if name in usage), None)
    if type(own) is int and own >= 0:
        return own, False
    return -(-len(message.text.encode()) // 4), True


_BESIDE_BYTES = 200
"""What `max_bytes` counts for all that is written beside a message: a window may hold many short ones."""


class WindowBuilder:
    """Takes the pinned messages, then pages from the newest backwards, until the tokens are used up."""

    def __init__(
        self, max_tokens: int, counter: Counter | None, keep: Iterable[str], max_bytes: int | None = None
    ) -> None:
        self._left = max_tokens
        self._bytes_left = math.inf if max_bytes is None else max_bytes
        self._max_tokens = max_tokens
        self._counter = counter
        self._keep = frozenset(keep)
        self._pinned: list[Message] = []
        self._newest: list[Message] = []
        self._estimated = False
        self.full = False

    @property
    def tokens(self) -> int:
        """How many tokens the messages taken so far need."""
        return self._max_tokens - self._left

    @property
    def taken(self) -> list[Message]:
        """The messages taken so far, in no order."""
        return [*self._pinned, *self._newest]

    @property
    def counter(self) -> str:
        """How they were counted, as `chatstore.models.Window` says it."""
        if self._counter is not None:
            return "caller"
        return "estimate" if self._estimated else "messages"

    def pin(self, first: Sequence[Message]) -> None:
        """Take the leading run of kept roles from the thread's `first` messages, while it fits."""
        for message in first[:PINNED_AT_MOST]:
            data = message.to_dict()
            # Calls and results are left to the window itself, which keeps them together.
            if data["role"] not in self._keep or uses_tools(data) or not self._take(message):
                return
            self._pinned.append(message)

    def extend(self, page: Sequence[Message]) -> None:
        """Take from a page's end to its beginning what fits; `full` says that something did not."""
        pinned_up_to = self._pinned[-1].position if self._pinned else None
        for message in reversed(page):
            if pinned_up_to is not None and (message.position or "") <= pinned_up_to:
                return
            if not self._take(message):
                self.full = True
                return
            self._newest.append(message)

    def finish(self) -> tuple[Message, ...]:
        """The window, oldest first. Where it was cut, results of calls outside of it are left out."""
        self._newest.reverse()
        if self.full:
            self._drop_dangling()
        return (*self._pinned, *self._newest)

    def _take(self, message: Message) -> bool:
        tokens, size = self._count(message), len(message.text.encode()) + _BESIDE_BYTES
        # As in a page, the first message is taken at any size.
        if tokens > self._left or (size > self._bytes_left and (self._pinned or self._newest)):
            return False
        self._left -= tokens
        self._bytes_left -= size
        return True

    def _count(self, message: Message) -> int:
        if self._counter is not None:
            return self._counter(message)
        tokens, estimated = count_tokens(message)
        self._estimated |= estimated
        return tokens

    def _drop_dangling(self) -> None:
        known = Calls()
        kept: list[Message] = []
        for message in self._newest:
            if known.take(message.to_dict()):
                kept.append(message)
            else:
                self._left += self._count(message)
        self._newest = kept
