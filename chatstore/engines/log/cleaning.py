"""Removing what is dead: expired threads and messages, sealed epochs, failed attempts."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import cast

from chatstore.clocks import time_to_remove
from chatstore.contract import Clock, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.closing import Closer
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.head import Head, look, settle
from chatstore.engines.log.known import LONGEST
from chatstore.engines.log.lists import Lists
from chatstore.engines.log.planning import Answer, Decision, Turn, no_request
from chatstore.engines.log.port import Key, Table
from chatstore.engines.log.texts import without_others
from chatstore.engines.log.visiting import survey, without_dead
from chatstore.engines.log.writing import Writer
from chatstore.errors import ChatStoreError, Unavailable
from chatstore.models import Swept, to_micros

__all__ = ["Cleaner"]


_ROUNDS = 5
_TRIES = 5


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
        """Make the visits that are due, until about `limit` rows were removed.

        Raises at the end what the first visit raised that could not be made; it is made again in an hour.
        Raises ClockUncertain, and removes nothing, where the time is not certain.
        """
        now = await time_to_remove(self._clock, self._table.ping)
        swept = Swept(0, 0, 0, more=False)
        failed: ChatStoreError | None = None
        async for visit in self._lists.visits.due(now):
            if swept.threads + swept.messages + swept.requests >= limit:
                swept = replace(swept, more=True)
                break
            try:
                done, met = await self._visit(visit.pk, now)
            except Unavailable:
                raise
            except ChatStoreError as error:
                # The others do not wait for a thread that cannot be visited.
                failed = failed or error
                await self._lists.visits.note(visit.pk, now + layout.HOUR)
                await self._lists.visits.made(visit.row)
                continue
            # What a visit is for may be on its way: its writer noted it first.
            if visit.at in met or visit.at + LONGEST < now:
                await self._lists.visits.made(visit.row)
            swept = Swept(
                swept.threads + done.threads,
                swept.messages + done.messages,
                swept.requests + done.requests,
                more=False,
            )
        if failed is not None:
            raise failed
        if swept.more:
            return swept
        await self._writer.fairness.forget(now)
        return replace(swept, more=await self._closer.step())

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
            living = present.header is not None and present.header.living
            if living or (present.epoch, present.tail) != (head.epoch, head.tail):
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
        faded = 0
        for slot in remains.faded:
            if self._clock() - began > layout.HOUR:
                # Who slept for a day may meet another thread's rows under these names.
                raise Unavailable("a sweep was held up for long: sweep again")
            bare = without_dead(slot, now)
            if await self._table.swap(bare.dump(pk), slot.version):
                faded += len(slot.messages) - len(bare.messages)
        for row in await self._table.get(list(remains.worn)):
            left = without_others(row, remains.worn[Key(pk, str(row["sk"]))])
            await self._table.swap(left, cast("int", row["v"]))
        await self._table.write([], remains.rows)
        # The texts go first, while an erasure finds them; then what names the lists, once they are done with.
        header = [row for row in remains.shared if row["sk"] == layout.HEADER]
        for row in remains.shared:
            if row not in header:
                await self._table.remove(row)
        besides = {str(row["sk"]) for row in remains.ends}
        listed = [await self._closer.forget(key.tenant, pointer, besides) for pointer in remains.pointers]
        for row in [*remains.ends, *chain.from_iterable(listed), *header]:
            await self._table.remove(row)
        if remains.ended:
            await self._move_on(key, head)
        if remains.rows or remains.ends or remains.shared:
            self._writer.known.forget(pk)
        if remains.next is not None:
            await self._lists.visits.note(pk, remains.next)
        return Swept(threads, remains.messages + faded, remains.requests, more=False), remains.dead
