"""What a process remembers of the threads that it wrote to, so that the next append needs no read.

It is only ever a guess: a slot is put where there is none, so a guess that is no longer true is
found out by the store. It is dropped after ten minutes, long before a slot can be freed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from chatstore.engines.log.head import Head
from chatstore.engines.log.records import Slot
from chatstore.recent import Recent
from chatstore.wire import micros_of

__all__ = ["LONGEST", "MOST_THREADS", "Known", "Threads"]

MOST_THREADS = 4096
_MOST_REQUESTS = 64
LONGEST = micros_of(timedelta(minutes=10))


class Known(NamedTuple):
    """A thread's head, and the slots behind it that carry requests: all of a time after `since`."""

    head: Head
    slots: tuple[Slot, ...]
    since: int
    at: int

    def then(self, head: Head, slot: Slot) -> Known:
        """After `slot` was written, which left `head`."""
        slots = (*self.slots, slot)
        if len(slots) <= _MOST_REQUESTS:
            return self._replace(head=head, slots=slots)
        return self._replace(head=head, slots=slots[1:], since=max(self.since, slots[0].totals.seen))


class Threads:
    """What is known, by partition; the oldest goes first."""

    def __init__(self) -> None:
        self._known: Recent[str, Known] = Recent(MOST_THREADS)

    def get(self, pk: str, now: int) -> Known | None:
        """What is known of a thread and young enough."""
        known = self._known.get(pk)
        return known if known is not None and abs(now - known.at) < LONGEST else None

    def put(self, pk: str, known: Known) -> None:
        """Remember."""
        self._known.put(pk, known)

    def forget(self, pk: str) -> None:
        """Forget what may no longer be so."""
        self._known.pop(pk)
