"""Removing what is dead: expired threads and messages, sealed epochs, failed attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import NamedTuple, cast

from chatstore.clocks import time_to_remove
from chatstore.contract import Clock, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.closing import Closer
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.head import Head, look, settle
from chatstore.engines.log.known import LONGEST
from chatstore.engines.log.lists import Lists
from chatstore.engines.log.planning import Answer, Decision, Turn, no_request
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.texts import without_others
from chatstore.engines.log.visiting import KEPT, Remains, require_awake, survey, without_dead
from chatstore.engines.log.visits import Visit
from chatstore.engines.log.writing import Writer
from chatstore.errors import ChatStoreError, Unavailable
from chatstore.models import Swept, to_micros

__all__ = ["Cleaner"]

_TOGETHER = 8
"""How many visits are made side by side."""


class _Made(NamedTuple):
    """What a visit removed, whether it is off the list, and what it failed with."""

    swept: Swept
    over: bool
    failed: ChatStoreError | None = None


class Cleaner:
    """Visits threads, and removes of them what is dead."""

    def __init__(
        self,
        table: Table,
        clock: Clock,
        writer: Writer,
        lists: Lists,
        closer: Closer,
        decide: Deciding,
    ) -> None:
        self._table = table
        self._clock = clock
        self._writer = writer
        self._lists = lists
        self._closer = closer
        self._decide = decide

    async def sweep(self, limit: int) -> Swept:
        """Make the visits that are due, a few side by side, until they and what they removed come to `limit`.

        Raises at the end what the first visit raised that could not be made; it is made again in an hour.
        Raises ClockUncertain, and removes nothing, where the time is not certain.
        """
        now = await time_to_remove(self._clock, self._table.ping)
        swept = Swept(0, 0, 0, more=False)
        failed: ChatStoreError | None = None
        work = 0
        async for visits in self._lists.visits.due(now, min(limit, _TOGETHER)):
            if work >= limit:
                swept = replace(swept, more=True)
                break
            made = await self._table.together([partial(self._make, visit, now) for visit in visits])
            await self._lists.visits.made(
                [visit.row for visit, one in zip(visits, made, strict=True) if one.over]
            )
            for one in made:
                failed = failed or one.failed
                swept += one.swept
            # A visit that finds nothing is work, too: a step of many such visits has an end.
            work = work + len(visits) + sum(_rows(one.swept) for one in made)
        if failed is not None:
            raise failed
        if swept.more:
            return swept
        await self._writer.fairness.forget(now)
        return replace(swept, more=await self._closer.step())

    async def _make(self, visit: Visit, now: int) -> _Made:
        """Make one visit. Raises only Unavailable: others do not wait for one that cannot be made."""
        try:
            done, met = await self._visit(visit.pk, now)
        except Unavailable:
            raise
        except ChatStoreError as error:
            await self._lists.visits.note(visit.pk, now + layout.HOUR)
            return _Made(Swept(0, 0, 0, more=False), over=True, failed=error)
        # What a visit is for may be on its way: its writer noted it first.
        return _Made(done, over=visit.at in met or visit.at + LONGEST < now)

    async def _end(self, key: ThreadKey, head: Head) -> bool:
        """Delete a thread, expired or not, if it is still the one of `head`."""
        life = head.totals.life

        async def plan(turn: Turn) -> Answer[bool] | Decision[bool]:
            present = turn.head
            if present.header is None or not present.header.living or present.totals.life != life:
                return Answer(False)
            return (await self._decide.flip(turn, None, (), None))._replace(result=True)

        return await self._writer.mutate(key, None, plan, no_request)

    async def _move_on(self, key: ThreadKey, head: Head) -> None:
        """Seal the epoch of what is no thread, so that whoever comes has another place to begin at.

        One that bears only what is dead is followed by an empty one, and an empty one by the epoch in which
        all threads begin. When the seal goes, an hour later, nobody knows any more of the epoch that it
        sealed, and the header says what its absence says.
        """

        async def plan(turn: Turn) -> Answer[None] | Decision[None]:
            present = turn.head
            if present.header is not None and present.header.living:
                return Answer(None)
            if (present.epoch, present.tail) != (head.epoch, head.tail):
                # Whoever wrote a note there meanwhile counts on the visit that is being made.
                await self._lists.visits.note(present.pk, turn.now + KEPT)
                return Answer(None)
            if present.newest is not None:
                return await self._decide.flip(turn, None, (), None)
            first = await self._table.query(present.pk, *layout.in_epoch(layout.ZERO), limit=1)
            if first.rows:
                await self._lists.visits.note(present.pk, turn.now + layout.HOUR)
                return Answer(None)
            return await self._decide.close(turn)

        await self._writer.mutate(key, None, plan, no_request)

    async def _visit(self, pk: str, now: int) -> tuple[Swept, set[int]]:
        """Remove what is dead of a thread, and plan the next visit; when what was met had died."""
        began = self._clock()
        head = await look(self._table, pk)
        if not await settle(self._table, head):
            await self._lists.visits.note(pk, now + layout.HOUR)
            return Swept(0, 0, 0, more=False), set()
        threads = 0
        thread = None if head.header is None else head.header.thread
        key = ThreadKey(layout.tenant_of(pk), layout.thread_of(pk))
        expires = None if thread is None or thread.expires_at is None else to_micros(thread.expires_at)
        if expires is not None and expires <= now:
            threads = int(await self._end(key, head))
            head = await look(self._table, pk)
        remains = await survey(self._table, head, now)
        if expires is not None:
            remains.meet(now, expires)
        faded = await self._fade(pk, remains, now, began)
        await self._discard(key.tenant, remains)
        if remains.ended:
            await self._move_on(key, head)
        if remains.rows or remains.ends or remains.shared:
            self._writer.known.forget(pk)
        if remains.next is not None:
            await self._lists.visits.note(pk, remains.next)
        return Swept(threads, remains.messages + faded, remains.requests, more=False), remains.dead

    async def _fade(self, pk: str, remains: Remains, now: int, began: int) -> int:
        """Take what is dead out of rows that stay; how many messages that was."""
        faded = 0
        for slot in remains.faded:
            require_awake(self._clock() - began, "a sweep was held up for long: sweep again")
            bare = without_dead(slot, now)
            if await self._table.swap(bare.dump(pk), slot.version):
                faded += len(slot.messages) - len(bare.messages)
        for row in await self._table.get(list(remains.worn)):
            left = without_others(row, remains.worn[Key(pk, str(row["sk"]))])
            await self._table.swap(left, cast("int", row["v"]))
        return faded

    async def _discard(self, tenant: str, remains: Remains) -> None:
        """Remove rows of which nothing is in use.

        The texts go first, while an erasure finds them; then what names the lists, once they are done with;
        and the header last. Rows of one of these groups are removed side by side: none leads to another.
        """
        header = [row for row in remains.shared if row["sk"] == layout.HEADER]
        await self._table.write([], remains.rows)
        await self._remove([row for row in remains.shared if row not in header])
        besides = {str(row["sk"]) for row in remains.ends}
        listed = [await self._closer.forget(tenant, pointer, besides) for pointer in remains.pointers]
        await self._remove(remains.ends)
        await self._remove(list(chain.from_iterable(listed)))
        await self._remove(header)

    async def _remove(self, rows: Sequence[Row]) -> None:
        await self._table.together([partial(self._table.remove, row) for row in rows])


def _rows(swept: Swept) -> int:
    return swept.threads + swept.messages + swept.requests
