"""Where a history is cut, and what the sums say after it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, cast

from chatstore import position
from chatstore.contract import Cut, InsertAt
from chatstore.engines.log import cuts
from chatstore.engines.log.finding import Found
from chatstore.engines.log.planning import Turn
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import Totals

__all__ = ["Place", "place_of"]


class Place(NamedTuple):
    """Where to cut: from the position `low` on. `left` messages stay; None where that is not known."""

    low: str
    left: int | None

    def totals(self, turn: Turn, totals: Totals) -> Totals:
        """The sums once all from here on is cut. They count a message more, so that appends notice it."""
        count = totals.count + 1
        ranges = cuts.added(totals.cuts, self.low, turn.head.tail + 1)
        return replace(
            totals,
            count=count,
            edits=totals.edits + 1,
            gone=totals.gone + 1 if self.left is None else count - self.left,
            expiring=totals.expiring or self.left is None,
            cuts=ranges,
        )


async def place_of(reader: Reader, turn: Turn, cut: Cut) -> Place:
    """Where to cut. Raises MessageNotFound. Two trips at most, three where the message goes itself."""
    if cut.behind:
        found = await reader.named(turn.key, turn.head, cut.message, turn.now)
        return Place(cuts.behind(found.entry.position), _left(turn, found, found.place + 1))
    gap = await reader.gap(turn.key, turn.head, InsertAt(before=cut.message), turn.now)
    following = cast("Found", gap.following)
    return Place(cuts.behind(gap.low), _left(turn, following, following.place))


def _left(turn: Turn, found: Found, places: int) -> int | None:
    """How many messages there are up to a place in a row: its sums tell, unless edits came later."""
    slot, totals = found.slot, turn.head.totals
    known = slot.totals.edits == totals.edits and not totals.expiring
    if not known or slot.staged or len(slot.position) > len(position.START):
        return None
    return slot.totals.count - slot.totals.gone - (len(slot.entries) - places)
