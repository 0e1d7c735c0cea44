"""Taking keys: their claims name the next slot before it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

from chatstore import position
from chatstore.contract import Draft
from chatstore.engines.log import layout
from chatstore.engines.log.claims import Claim, of_slots
from chatstore.engines.log.planning import Outdated, Turn
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import Header, Slot
from chatstore.engines.log.staging import stage
from chatstore.errors import MessageExists

__all__ = ["Claimer"]

_TRIES = 5


class Claimer:
    """Takes keys for messages that are about to be decided."""

    def __init__(self, table: Table, reader: Reader) -> None:
        self._table = table
        self._reader = reader

    async def take(self, turn: Turn, drafts: Sequence[Draft], low: str | None = None) -> None:
        """Have the claims of the drafts' keys name the next slot, which cuts all from `low` on.

        Raises MessageExists where a message in front of that has such a key. A key that is new costs a write,
        and all of them one trip. Where its claim is there, it costs a read and a write more. In a history
        from before there were claims, all of it is read.
        """
        keys = [draft.key for draft in drafts if draft.key is not None]
        if not cast("Header", turn.head.header).claimed:
            await self._reader.require_new_keys(turn.key, turn.head, drafts, low, turn.now)
        elif keys:
            await self._table.together([partial(self._take, turn, key, low) for key in keys])

    async def stage(self, turn: Turn, slot: Slot) -> None:
        """Write the claims of the history that `slot` begins, whose name is its own: none is in the way."""
        rows = of_slots(turn.head.pk, cast("Header", slot.header), [slot])
        await stage(self._table, turn, (), rows)

    async def _take(self, turn: Turn, key: str, low: str | None) -> None:
        place = layout.claim_place(turn.head.pk, turn.head.public_epoch, key)
        slot, attempt = position.nth(turn.head.tail + 1), layout.attempt(turn.now, turn.token)
        there = await self._table.put_new(Claim((slot,), attempt).dump(place))
        for _ in range(_TRIES):
            if there is None:
                return
            claim = Claim.load(there)
            if claim.number > turn.head.tail + 1:
                # Whoever wrote it saw more of the thread.
                raise Outdated
            stays = await self._staying(turn, claim, key, low)
            if claim.places[-1] == slot:
                # Somebody else aims at the same slot with this key. One of the two gets it, or neither.
                return
            if await self._table.swap(Claim((*stays, slot), attempt).dump(place), cast("int", there["v"])):
                return
            there = await self._again(place, Claim((slot,), attempt))
        raise Outdated

    async def _staying(self, turn: Turn, claim: Claim, key: str, low: str | None) -> tuple[str, ...]:
        """The place that a claim goes on naming: of the message that is there until the slot cuts it.

        Should another writer get the slot, that message is still there. Raises MessageExists where it stays.
        """
        for place in reversed(claim.places):
            found = await self._reader.claimed(turn.head, place, key, turn.now)
            if found is None:
                continue
            if low is None or found.entry.position < low:
                raise MessageExists(turn.key.id, key, found.entry.id)
            return (place,)
        return ()

    async def _again(self, place: Key, own: Claim) -> Row | None:
        found = await self._table.get([place])
        return found[0] if found else await self._table.put_new(own.dump(place))
