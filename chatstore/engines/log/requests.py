"""Finding the slot that a request wrote before, so that a repetition gets its first result.

Every mutation takes a slot, and the slot bears its request's id. `seen` never falls from slot to slot and is
no less than the time of the slot's own request. So a search goes back from the newest slot, over sealed
epochs too. It ends at the first slot whose `seen` lies before the request's time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from chatstore.contract import Request, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.head import Head
from chatstore.engines.log.known import Known
from chatstore.engines.log.port import Table
from chatstore.engines.log.records import Slot
from chatstore.errors import RequestMismatch
from chatstore.ids import time_of
from chatstore.models import to_micros
from chatstore.wire import micros_of

__all__ = ["OPAQUE_WINDOW", "Asked", "asked", "search"]

OPAQUE_WINDOW = timedelta(minutes=10)
"""How long an id that carries no time is remembered at least."""

_PAGE = 20


class Asked(NamedTuple):
    """A request as slots carry it, and the time before which no slot can carry it."""

    id: str
    digest: str
    time: int
    text: str

    def written_by(self, slot: Slot) -> bool:
        """Whether this request wrote `slot`. Raises RequestMismatch if another of its id did."""
        if slot.request is None or slot.request[0] != self.id:
            return False
        if slot.request[1] != self.digest:
            raise RequestMismatch(self.text)
        return True

    def among(self, known: Known) -> tuple[Slot | None, bool]:
        """The slot among those that are known, and whether it is certain that there is no other."""
        found = _written(known.slots, self)
        return found, found is not None or self.time > known.since


def asked(key: ThreadKey, request: Request | None, now: int) -> Asked | None:
    """`request` as slots of the thread carry it: each owner's requests are apart."""
    if request is None:
        return None
    sent = request.sent_at or time_of(request.id)
    time = now - micros_of(OPAQUE_WINDOW) if sent is None else to_micros(sent)
    owner = "" if key.owner is None else hashlib.sha256(key.owner.encode()).hexdigest()[:16]
    return Asked(f"{owner} {request.id}", request.digest, time, request.id)


async def search(table: Table, head: Head, asked: Asked | None, now: int) -> tuple[Slot | None, Known]:
    """The slot that the request wrote, and what is known after looking for it."""
    own = () if head.newest is None else (head.newest,)
    found = None if asked is None else _written(own, asked)
    if asked is None or found is not None or head.totals.seen < asked.time:
        return found, Known(head, own, head.totals.seen, now)
    slots: list[Slot] = []
    since = -1
    async for row in table.all(head.pk, "E", layout.HEADER, newest=True, page=_PAGE):
        if row["sk"] == layout.HEADER:
            continue
        slot = Slot.load(row)
        if slot.staged or slot.closes or len(slot.position) > 10 or slot.epoch > head.epoch:
            continue
        slots.append(slot)
        if slot.totals.seen < asked.time:
            since = slot.totals.seen
            break
    return _written(slots, asked), Known(head, tuple(reversed(slots)), since, now)


def _written(slots: Sequence[Slot], asked: Asked) -> Slot | None:
    """The first of `slots`, the newest in front, that the request wrote."""
    return next((slot for slot in slots if asked.written_by(slot)), None)
