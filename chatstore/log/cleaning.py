"""Removing what is dead: expired threads and messages, sealed epochs, failed attempts, owners."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from chatstore.clocks import time_to_remove
from chatstore.contract import Clock, ThreadKey
from chatstore.errors import ChatStoreError, Unavailable
from chatstore.log import keys
from chatstore.log.deciding import Deciding
from chatstore.log.head import Head, look, settle
from chatstore.log.known import LONGEST
from chatstore.log.lists import Lists
from chatstore.log.port import Key, Table
from chatstore.log.reading import Reader
from chatstore.log.records import Header, Slot
from chatstore.log.texts import without_others
from chatstore.log.visiting import all_rows, survey, without_dead
from chatstore.log.writing import Answer, Decision, Turn, Writer, no_request
from chatstore.models import Erased, Swept, to_micros

__all__ = ["Cleaner"]


_MILLISECOND = 1000


class Cleaner:
    """Visits threads, and removes of them what is dead."""

    def __init__(
        self, table: Table, clock: Clock, writer: Writer, lists: Lists, reader: Reader, decide: Deciding
    ) -> None:
        self._table = table
        self._clock = clock
        self._writer = writer
        self._lists = lists
        self._reader = reader
        self._decide = decide

    async def sweep(self, limit: int) -> Swept:
        """Make the visits that are due, until about `limit` rows were removed.

        Raises at the end what the first visit raised that could not be made; it is made again in an hour.
        Raises ClockUncertain, and removes nothing, where the time is not certain.
        """
        now = await time_to_remove(self._clock, self._table.ping)
        swept = Swept(0, 0, 0, more=False)
        failed: ChatStoreError | None = None
        async for visit in self._lists.due(now):
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
                await self._lists.visit(visit.pk, now + keys.HOUR)
                await self._lists.visited(visit.row)
                continue
            # What a visit is for may be on its way: its writer noted it first.
            if visit.at in met or visit.at + LONGEST < now:
                await self._lists.visited(visit.row)
            swept = Swept(
                swept.threads + done.threads,
                swept.messages + done.messages,
                swept.requests + done.requests,
                more=False,
            )
        if failed is not None:
            raise failed
        return swept

    async def erase(self, tenant: str, owner: str) -> Erased:
        """Empty whatever holds something of an owner; what keeps late writers out stays, without content."""
        erased = Erased(0, 0, 0)
        for pointer in await self._lists.owned(tenant, owner):
            key = ThreadKey(tenant, pointer.thread_id)
            pk = keys.thread_partition(key)
            head = await look(self._table, pk)
            threads = messages = 0
            if _names(head.header, owner):
                messages = len([found async for found in self._reader.living(head, self._clock())])
                threads = int(await self._end(key, head))
            requests = await self._empty(pk, owner)
            self._writer.known.forget(pk)
            await self._lists.forget(tenant, pointer)
            erased = Erased(erased.threads + threads, erased.messages + messages, erased.requests + requests)
        return erased

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
            first = await self._table.query(present.pk, *keys.in_epoch(keys.ZERO), limit=1)
            if first.rows:
                await self._lists.visit(present.pk, turn.now + keys.HOUR)
                return Answer(None)
            return await self._decide.close(turn)

        await self._writer.mutate(key, None, plan, no_request)

    async def _visit(self, pk: str, now: int) -> tuple[Swept, set[int]]:
        """Remove what is dead of a thread, and plan the next visit; when what was met had died."""
        head = await look(self._table, pk)
        if not await settle(self._table, head):
            await self._lists.visit(pk, now + keys.HOUR)
            return Swept(0, 0, 0, more=False), set()
        threads = 0
        thread = None if head.header is None else head.header.thread
        key = ThreadKey(keys.tenant_of(pk), keys.thread_of(pk))
        expires = None if thread is None or thread.expires_at is None else to_micros(thread.expires_at)
        if expires is not None and expires <= now:
            threads = int(await self._end(key, head))
            head = await look(self._table, pk)
        remains = await survey(self._table, head, now)
        if expires is not None:
            remains.meet(now, expires)
        faded = 0
        for slot in remains.faded:
            bare = without_dead(slot, now)
            if await self._table.swap(bare.dump(pk), slot.version):
                faded += len(slot.messages) - len(bare.messages)
        for row in await self._table.get(list(remains.worn)):
            left = without_others(row, remains.worn[Key(pk, str(row["sk"]))])
            await self._table.swap(left, cast("int", row["v"]))
        await self._table.write([], remains.rows)
        for row in remains.shared:
            await self._table.remove(row)
        if remains.ended:
            await self._move_on(key, head)
        if remains.rows or remains.shared:
            self._writer.known.forget(pk)
        owner = None if thread is None else thread.owner
        for pointer in remains.pointers:
            if thread is not None and owner == pointer.owner:
                continue
            await self._lists.forget(key.tenant, pointer)
            if _names((await look(self._table, pk)).header, pointer.owner):
                # A new one of that name, between the look and the removal.
                await self._lists.point(key, pointer.owner, now)
        if remains.next is not None:
            await self._lists.visit(pk, remains.next)
        return Swept(threads, remains.messages + faded, remains.requests, more=False), remains.dead

    async def _empty(self, pk: str, owner: str) -> int:
        """Take all content out of an owner's rows of a thread; how many requests they bore."""
        head = await look(self._table, pk)
        others = head.header is not None and head.header.living
        pieces: dict[str, list[Key]] = {}
        slots: list[Slot] = []
        async for row in all_rows(self._table, pk):
            sk = str(row["sk"])
            if sk.startswith("B#"):
                pieces.setdefault(sk.split("#")[1], []).append(Key(pk, sk))
                continue
            slot = Slot.load(row)
            # Another's thread keeps what it refers to, also from the epochs that it has left.
            if not others or slot.totals.life != head.totals.life:
                slots.append(slot)
        # What is older than the present thread is not its. Texts go first: no bare slot leads to them.
        thread = None if head.header is None else head.header.thread
        since = self._clock() + keys.HOUR if thread is None else to_micros(thread.created_at)
        texts = {entry.blob.ref for slot in slots for entry in slot.entries if entry.blob is not None}
        texts |= {ref for ref in pieces if keys.made_at(ref) < since - _MILLISECOND}
        await self._table.write([], [key for ref in texts for key in pieces.get(ref, ())])
        for slot in slots:
            bare = Slot(
                slot.epoch, slot.position, slot.token, slot.at, replace(slot.totals, chain=""),
                version=slot.version + 1, seals=slot.seals, staged=slot.staged,
                header=slot.header if slot.seals and not _names(slot.header, owner) else None,
            )  # fmt: skip
            await self._table.swap(bare.dump(pk), slot.version)
        return sum(slot.request is not None for slot in slots)


def _names(header: Header | None, owner: str | None) -> bool:
    return header is not None and header.thread is not None and header.thread.owner == owner
