"""How a message is found: by its id, its key, its place or what is beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from chatstore import position
from chatstore.contract import Draft, InsertAt, ThreadKey
from chatstore.engines.log import cuts, layout
from chatstore.engines.log.claims import Claim
from chatstore.engines.log.head import Head
from chatstore.engines.log.port import Table
from chatstore.engines.log.records import Entry, Slot
from chatstore.engines.log.walking import Walk
from chatstore.errors import MessageExists, MessageNotFound
from chatstore.models import NAMED_BY_KEY

__all__ = ["Finder", "Found", "Gap", "position_of", "within"]


class Found(NamedTuple):
    """A message, the row that it is in, and its place in that row."""

    slot: Slot
    place: int

    @property
    def entry(self) -> Entry:
        """The message as it is kept."""
        return self.slot.entries[self.place]


class Gap(NamedTuple):
    """A place between messages: behind the position `low`, in front of a message; None for the end."""

    low: str
    following: Found | None


class Finder:
    """Finds messages in the threads of a table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def named(self, key: ThreadKey, head: Head, message_id: str, now: int) -> Found:
        """The message of that id or key. Raises MessageNotFound."""
        if message_id.startswith(NAMED_BY_KEY):
            return await self._keyed(key, head, message_id, now)
        at = position_of(message_id)
        row = None if at is None else await self._holding(head, at)
        found = None if row is None else within(row, message_id, now)
        if found is not None:
            return found
        if head.header is not None and head.header.scattered:
            async for slot in Walk(self._table, head).rows(None):
                found = within(slot, message_id, now)
                if found is not None:
                    return found
        raise MessageNotFound(key.id, message_id)

    async def _holding(self, head: Head, at: str) -> Slot | None:
        """The row that holds a position, if any does."""
        async for slot in Walk(self._table, head, newest=True, first=1).rows(at):
            if slot.position <= at:
                return slot
        return None

    async def _keyed(self, key: ThreadKey, head: Head, name: str, now: int) -> Found:
        """The message of a key: two trips at most, three where it was put between others."""
        wanted = name.removeprefix(NAMED_BY_KEY)
        if head.header is not None and head.header.claimed:
            at = layout.claim_place(head.pk, head.public_epoch, wanted)
            for row in await self._table.get([at]):
                for place in reversed(Claim.load(row).places):
                    claimed = await self.claimed(head, place, wanted, now)
                    if claimed is not None:
                        return claimed
            raise MessageNotFound(key.id, name)
        async for found in self.living(head, now, newest=True):
            if found.entry.key == wanted:
                return found
        raise MessageNotFound(key.id, name)

    async def claimed(self, head: Head, place: str, key: str, now: int) -> Found | None:
        """The message of a key that is in the row at `place`, or was put between others by it."""
        if int(place[: len(position.START)]) > head.tail:
            return None
        known = head.newest is not None and head.newest.position == place
        row = head.newest if known else await self._holding(head, place)
        found = None if row is None else _keyed_in(row, key, now)
        if row is None or found is not None:
            return found
        between = row.put_between
        into = None if between is None else await self._holding(head, between)
        return None if into is None else _keyed_in(into, key, now)

    async def require_new_keys(self, key: ThreadKey, head: Head, drafts: Sequence[Draft], low: str | None,
                               now: int) -> None:  # fmt: skip
        """Raise MessageExists where a message in front of `low` has the key of a draft.

        Reads the thread if there are keys. It rests on the thread as it is at `head`: whoever takes the slot
        behind that proves it.
        """
        keys = {draft.key for draft in drafts if draft.key is not None}
        if not keys:
            return
        async for found in self.living(head, now):
            entry = found.entry
            if entry.key in keys and (low is None or entry.position < low):
                raise MessageExists(key.id, entry.key or "", entry.id)

    async def living(self, head: Head, now: int, *, newest: bool = False) -> AsyncIterator[Found]:
        """Every message, from the oldest or from the newest."""
        async for slot in Walk(self._table, head, newest=newest).rows(None):
            places = range(len(slot.messages))
            for place in reversed(places) if newest else places:
                if not slot.entries[place].expired(now):
                    yield Found(slot, place)

    async def rows(self, head: Head) -> AsyncIterator[Slot]:
        """Every row of the history, as it is to be read."""
        async for slot in Walk(self._table, head).rows(None):
            yield slot

    async def at_index(self, head: Head, index: int, now: int) -> Found | None:
        """The message at an index, read from the nearer end."""
        living = head.totals.count - head.totals.gone
        if not head.totals.expiring:
            if not -living <= index < living:
                return None
            if index > living // 2:
                index -= living
            elif index < -(living // 2) - 1:
                index += living
        left = -index - 1 if index < 0 else index
        async for found in self.living(head, now, newest=index < 0):
            if not left:
                return found
            left -= 1
        return None

    async def gap(self, key: ThreadKey, head: Head, at: InsertAt, now: int) -> Gap:
        """Where to insert. Raises MessageNotFound."""
        following: Found | None
        if at.before is not None:
            following = await self.named(key, head, at.before, now)
        elif at.after is not None:
            following = await self._next(head, await self.named(key, head, at.after, now), now)
        elif at.index is not None and at.index < 0:
            following = await self.at_index(head, at.index, now) or await self.at_index(head, 0, now)
        else:
            following = await self.at_index(head, at.index or 0, now)
        if following is None:
            return Gap("", None)
        if following.place:
            return Gap(following.slot.entries[following.place - 1].position, following)
        async for slot in Walk(self._table, head, newest=True, first=2).rows(following.slot.position):
            if slot.position < following.slot.position:
                last = slot.messages[-1].position if slot.messages else ""
                low = max(slot.position, last)
                break
        else:
            low = position.START
        return Gap(cuts.floor(head.totals.cuts, following.entry.position, low), following)

    async def _next(self, head: Head, found: Found, now: int) -> Found | None:
        """The message behind another."""
        async for slot in Walk(self._table, head).rows(found.entry.position):
            for place, entry in enumerate(slot.messages):
                if entry.position > found.entry.position and not entry.expired(now):
                    return Found(slot, place)
        return None


def position_of(message_id: str) -> str | None:
    """The position that an id names if it is one of this store's; a restored message may be elsewhere."""
    at = message_id.partition("-")[0]
    return at if len(at) >= len(position.START) and at.isalnum() and at.isascii() else None


def within(slot: Slot, message_id: str, now: int) -> Found | None:
    """The message of that id in a row; None where it is not there."""
    for place, entry in enumerate(slot.messages):
        if entry.id == message_id and not entry.expired(now):
            return Found(slot, place)
    return None


def _keyed_in(slot: Slot, key: str, now: int) -> Found | None:
    for place, entry in enumerate(slot.messages):
        if entry.key == key and not entry.expired(now):
            return Found(slot, place)
    return None
