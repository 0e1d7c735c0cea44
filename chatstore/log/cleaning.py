"""Removing what is dead: expired threads and messages, sealed epochs, failed attempts, owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

from chatstore.contract import Clock, ThreadKey
from chatstore.log import keys
from chatstore.log.head import Head, look, settle
from chatstore.log.lists import Lists, pointed
from chatstore.log.port import Key, Row, Table
from chatstore.log.reading import Reader
from chatstore.log.records import Header, Slot, Totals
from chatstore.log.staging import stage
from chatstore.log.writing import Answer, Decision, Turn, Writer
from chatstore.models import Erased, Swept, Thread, to_micros

__all__ = ["KEPT", "Cleaner"]

KEPT = timedelta(hours=25) // timedelta(microseconds=1)
"""How long a sealed epoch stays: it is the memory of its requests, and keeps late writers out."""


class Cleaner:
    """Visits threads, and removes of them what is dead."""

    def __init__(self, table: Table, clock: Clock, writer: Writer, lists: Lists, reader: Reader) -> None:
        self._table = table
        self._clock = clock
        self._writer = writer
        self._lists = lists
        self._reader = reader

    async def sweep(self, limit: int) -> Swept:
        """Make the visits that are due, until about `limit` rows were removed."""
        now = self._clock()
        swept = Swept(0, 0, 0, more=False)
        async for visit in self._lists.due(now):
            if swept.threads + swept.messages + swept.requests >= limit:
                return replace(swept, more=True)
            done = await self._visit(visit.pk, now)
            if visit.leaves is not None:
                await self._lists.leave(visit.pk, visit.leaves)
            await self._lists.visited(visit.row)
            swept = Swept(
                swept.threads + done.threads,
                swept.messages + done.messages,
                swept.requests + done.requests,
                more=False,
            )
        return swept

    async def erase(self, tenant: str, owner: str) -> Erased:
        """Empty whatever holds something of an owner; what keeps late writers out stays, without content."""
        erased = Erased(0, 0, 0)
        for pointer in await self._lists.owned(tenant, owner):
            key = ThreadKey(tenant, pointer.thread_id)
            pk = keys.thread_partition(key)
            head = await look(self._table, pk)
            threads = messages = 0
            if (
                head.header is not None
                and head.header.thread is not None
                and head.header.thread.owner == owner
            ):
                messages = len([found async for found in self._reader.living(head, self._clock())])
                threads = int(await self._end(key, head))
            requests = await self._empty(pk, owner)
            self._writer.known.forget(pk)
            await self._lists.forget(tenant, pointer)
            erased = Erased(erased.threads + threads, erased.messages + messages, erased.requests + requests)
        return erased

    async def compact(self, key: ThreadKey) -> None:
        """Give a thread an epoch without the places that hold nothing; positions and ids stay."""

        async def plan(turn: Turn) -> Answer[None] | Decision[None]:
            head = turn.head
            header = head.header
            if header is None or not header.living:
                return Answer(None)
            slots = [slot async for slot in self._reader.rows(head) if slot.messages]
            epoch = keys.epoch_after(head.epoch, turn.now, turn.token)
            version = header.version + 1
            totals = replace(turn.totals, places=0, version=version)
            staged = [
                replace(slot, epoch=epoch, totals=totals, request=None, result=None, header=None, kept=0,
                        staged=True, version=0)
                for slot in slots
            ]  # fmt: skip
            await self._lists.visit(head.pk, turn.now + KEPT)
            rows = await stage(self._table, head.pk, staged)
            moved = replace(header, version=version, epoch=epoch, base=replace(totals))
            return Decision(turn.slot(turn.totals, header=moved, seals=True), None, staged=rows)

        await self._writer.mutate(key, None, plan, _no_request)

    async def _end(self, key: ThreadKey, head: Head) -> bool:
        """Delete a thread, expired or not, if it is still the one of `head`."""
        life = head.totals.life

        async def plan(turn: Turn) -> Answer[bool] | Decision[bool]:
            present = turn.head
            if present.header is None or not present.header.living or present.totals.life != life:
                return Answer(False)
            version = present.header.version + 1
            epoch = keys.epoch_after(present.epoch, turn.now, turn.token)
            header = Header(version, epoch, Totals(version=version, seen=turn.totals.seen))
            await self._lists.visit(present.pk, turn.now + KEPT, leaves=pointed(present))
            return Decision(turn.slot(turn.totals, header=header, seals=True), True)

        return await self._writer.mutate(key, None, plan, _no_request)

    async def _visit(self, pk: str, now: int) -> Swept:
        """Remove what is dead of a thread, and plan the next visit."""
        head = await look(self._table, pk)
        if not await settle(self._table, head):
            await self._lists.visit(pk, now + keys.HOUR)
            return Swept(0, 0, 0, more=False)
        threads = 0
        thread = None if head.header is None else head.header.thread
        due: list[int] = []
        if thread is not None and thread.expires_at is not None:
            if to_micros(thread.expires_at) <= now:
                threads = int(await self._end(_key(pk, thread), head))
                head = await look(self._table, pk)
            else:
                due.append(to_micros(thread.expires_at))
        dead: list[Key] = []
        messages = requests = 0
        blobs: dict[str, list[Key]] = {}
        used: set[str] = set()
        sealed_at: dict[str, int] = {}
        rows = [row async for row in self._rows(pk)]
        for row in rows:
            if keys.epoch_of(str(row["sk"])) is not None:
                slot = Slot.load(row)
                if slot.seals:
                    sealed_at[slot.epoch] = slot.at
        newest_at = head.newest.at if head.newest is not None else max(sealed_at.values(), default=0)
        for row in rows:
            key = Key(pk, str(row["sk"]))
            if key.sk.startswith("B#"):
                blobs.setdefault(key.sk.split("#")[1], []).append(key)
                continue
            slot = Slot.load(row)
            current = slot.epoch == head.epoch
            if current and head.header is not None and head.header.living:
                if slot.effect is not None:
                    slot = await self._bare(pk, slot, now, due)
                else:
                    messages += await self._expire(pk, slot, now, due)
                used |= {entry.blob.ref for entry in slot.entries if entry.blob is not None}
                continue
            until = KEPT + (newest_at if current else sealed_at.get(slot.epoch, keys.epoch_time(slot.epoch)))
            if until <= now:
                dead.append(key)
                messages += len(slot.messages)
                requests += slot.request is not None
            else:
                due.append(until)
                used |= {entry.blob.ref for entry in slot.entries if entry.blob is not None}
        for ref, pieces in blobs.items():
            if ref not in used and int(ref[:12], 16) * 1000 + KEPT <= now:
                dead += pieces
            elif ref not in used:
                due.append(int(ref[:12], 16) * 1000 + KEPT)
        # The header last: what is left of a thread without one would be taken for a new one's.
        if (
            head.header is not None
            and not head.header.living
            and not any(
                key.sk.startswith("E") for key in (Key(pk, str(row["sk"])) for row in rows) if key not in dead
            )
        ):
            dead.append(Key(pk, keys.HEADER))
        await self._table.write([], dead)
        if dead:
            self._writer.known.forget(pk)
        if due:
            await self._lists.visit(pk, min(due))
        return Swept(threads, messages, requests, more=False)

    async def _expire(self, pk: str, slot: Slot, now: int, due: list[int]) -> int:
        """Take the expired messages out of a row; they were not read any more."""
        left = tuple(entry for entry in slot.entries if not entry.expired(now))
        due += [entry.expires_at for entry in left if entry.expires_at is not None]
        gone = len(slot.entries) - len(left)
        if gone and await self._table.swap(
            replace(slot, entries=left, version=slot.version + 1).dump(pk), slot.version
        ):
            return gone
        return 0

    async def _bare(self, pk: str, slot: Slot, now: int, due: list[int]) -> Slot:
        """Take out of a slot what it did to another row, once it need not be repeated any more."""
        if slot.at + KEPT <= now:
            # It was applied before this visit began, at the latest.
            bare = replace(slot, entries=(), effect=None, result=None, version=slot.version + 1)
            return bare if await self._table.swap(bare.dump(pk), slot.version) else slot
        if any(entry.blob is not None or entry.expires_at is not None for entry in slot.entries):
            due.append(slot.at + KEPT)
        return slot

    async def _empty(self, pk: str, owner: str) -> int:
        """Take all content out of an owner's rows of a thread; how many requests they bore."""
        head = await look(self._table, pk)
        others = head.header is not None and head.header.living
        requests = 0
        dead = []
        async for row in self._rows(pk):
            sk = str(row["sk"])
            if sk.startswith("B#"):
                dead.append(Key(pk, sk))
                continue
            slot = Slot.load(row)
            if others and slot.epoch == head.epoch:
                continue
            requests += slot.request is not None
            bare = Slot(
                slot.epoch, slot.position, slot.token, slot.at, replace(slot.totals, chain=""),
                version=slot.version + 1, seals=slot.seals, staged=slot.staged,
                header=slot.header if slot.seals and not _names(slot.header, owner) else None,
            )  # fmt: skip
            await self._table.swap(bare.dump(pk), slot.version)
        if not others:
            await self._table.write([], dead)
        return requests

    async def _rows(self, pk: str) -> AsyncIterator[Row]:
        """All rows of a thread but its header."""
        after = None
        while True:
            found = await self._table.query(pk, "B", "E~", limit=500, after=after)
            for row in found.rows:
                yield row
            if not found.more or not found.rows:
                return
            after = str(found.rows[-1]["sk"])


def _names(header: Header | None, owner: str) -> bool:
    return header is not None and header.thread is not None and header.thread.owner == owner


def _key(pk: str, thread: Thread) -> ThreadKey:
    return ThreadKey(keys.tenant_of(pk), thread.id)


async def _no_request(slot: Slot) -> NoReturn:
    raise AssertionError(slot)
