"""Forks: a history copied to a new thread, while its source stays as it is."""

from __future__ import annotations

from dataclasses import replace

from chatstore import position, records
from chatstore.callers import Bulk
from chatstore.conditions import forked, require_log
from chatstore.contract import Cut, ThreadKey, ThreadPatch, Unset
from chatstore.engines.log import layout
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.head import Head, look
from chatstore.engines.log.making import born
from chatstore.engines.log.planning import Decision, Outdated, Turn
from chatstore.engines.log.port import Key, Table
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import Entry
from chatstore.errors import CorruptData, MessageNotFound, ThreadExists
from chatstore.models import Origin, Thread

__all__ = ["Forker"]


class Forker:
    """Plans forks."""

    def __init__(self, table: Table, reader: Reader, decide: Deciding) -> None:
        self._table = table
        self._reader = reader
        self._decide = decide

    async def plan(
        self,
        turn: Turn,
        source: ThreadKey,
        cut: Cut | None,
        patch: ThreadPatch | None,
        owner: str | Unset | None,
        if_match: str | None,
        bulk: Bulk,
    ) -> Decision[Thread]:
        """A copy of `source`, decided only if nothing was decided there since it was looked at.

        Reads the source whole, and tells `bulk` how much that is. Raises ThreadNotFound, MessageNotFound,
        Conflict and ThreadExists. Raises Outdated where the source has moved on meanwhile, and CorruptData.
        """
        origin = await look(self._table, layout.thread_partition(source))
        present = origin.existing(source, turn.now)
        require_log(if_match, origin.etag)
        try:
            entries = await self._copied(source, origin, cut, turn.now, bulk)
        except (MessageNotFound, CorruptData):
            if (await look(self._table, origin.pk)).is_at(origin):
                raise
            raise Outdated from None
        if turn.head.thread(turn.key._replace(owner=None), turn.now) is not None:
            raise ThreadExists(turn.key.id)
        last = Origin(source.id, entries[-1].id if entries else None)
        thread = forked(present, turn.key.id, last, patch, owner, turn.now)
        thread = replace(thread, etag=turn.token, active_at=born(turn))
        free = Key(origin.pk, layout.slot_row(origin.epoch, position.nth(origin.tail + 1)))
        decision = await self._decide.copy(turn, thread, entries, free)
        return decision._replace(slot=decision.slot._replace(result=records.dump(thread)), result=thread)

    async def _copied(
        self, source: ThreadKey, origin: Head, cut: Cut | None, now: int, bulk: Bulk
    ) -> list[Entry]:
        """The messages of the source up to a cut, with their texts. Raises MessageNotFound."""
        end, behind = None, True
        if cut is not None:
            found = await self._reader.named(source, origin, cut.message, now)
            end, behind = found.entry.position, cut.behind
        entries: list[Entry] = []
        async for entry in self._reader.whole(origin, now):
            if end is not None and (entry.position > end or (entry.position == end and not behind)):
                break
            await bulk.add(len(entry.text))
            entries.append(entry._replace(blob=None))
        return entries
