"""Removing what is dead: expired threads and messages, sealed epochs, failed attempts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from chatstore.clocks import time_to_remove
from chatstore.contract import Clock, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.closing import Closer
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.head import Head, require_awake, settle
from chatstore.engines.log.known import LONGEST
from chatstore.engines.log.lists import Lists
from chatstore.engines.log.planning import Answer, Decision, Turn, no_request
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.requests import search
from chatstore.engines.log.texts import without_others
from chatstore.engines.log.visiting import (
    KEPT,
    Remains,
    all_rows,
    read_whole,
    survey,
)
from chatstore.engines.log.visits import Visit
from chatstore.engines.log.writing import Writer
from chatstore.errors import ChatStoreError, Unavailable
from chatstore.models import Swept, Thread, to_micros

__all__ = ["Cleaner"]

T = TypeVar("T")

_Call: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]

_TOGETHER = 25
"""How many visits are made together: as many as one call notes, and one takes off the list."""


class _Met(NamedTuple):
    """A thread that was looked at: what is dead of it, when that was, and when it is to be visited next.

    `expired` says that it has to end first. `busy` that it moved on while it was looked at.
    """

    head: Head
    remains: Remains
    began: int
    next: int | None
    expired: bool = False
    busy: bool = False


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
            made = await self._make(visits, now)
            await self._lists.visits.take_off(
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

    async def _make(self, visits: Sequence[Visit], now: int) -> list[_Made]:
        """Make visits to different threads; others do not wait for one that cannot be made.

        The next visits are noted before anything is done, all in one call.
        """
        looks = [partial(_tried, partial(self._look_at, visit.pk, now)) for visit in visits]
        met = await self._table.together(looks)
        following = {one.head.pk: one.next for one in met if isinstance(one, _Met) and one.next is not None}
        await self._lists.visits.schedule_all(following)
        cleans = [partial(_tried, partial(self._clean, one, now)) for one in met]
        made: list[_Made] = []
        for visit, one, swept in zip(visits, met, await self._table.together(cleans), strict=True):
            if isinstance(one, ChatStoreError) or isinstance(swept, ChatStoreError):
                await self._lists.visits.schedule(visit.pk, now + layout.HOUR)
                failed = swept if isinstance(swept, ChatStoreError) else None
                made.append(_Made(Swept(0, 0, 0, more=False), over=True, failed=failed))
            else:
                # What a visit is for may be on its way: its writer noted it first.
                over = visit.at in one.remains.dead or visit.at + LONGEST < now
                made.append(_Made(swept, over))
        return made

    async def _end(self, key: ThreadKey, head: Head) -> bool:
        """Delete a thread that has expired, if it is still the one of `head` and was not renewed since."""
        life = head.totals.life
        expires = None if head.header is None or head.header.thread is None else head.header.thread.expires_at

        async def plan(turn: Turn) -> Answer[bool] | Decision[bool]:
            present = turn.head
            if present.header is None or not present.header.living or present.totals.life != life:
                return Answer(False)
            if cast("Thread", present.header.thread).expires_at != expires:
                return Answer(False)
            return (await self._decide.next_epoch(turn, None, (), None))._replace(result=True)

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
                # Whoever wrote a note there meanwhile counts on the visits: the next is noted already.
                return Answer(None)
            if present.newest is not None:
                return await self._decide.next_epoch(turn, None, (), None)
            first = await self._table.query(present.pk, *layout.in_epoch(layout.ZERO), limit=1)
            if first.rows:
                await self._lists.visits.schedule(present.pk, turn.now + layout.HOUR)
                return Answer(None)
            return await self._decide.close(turn)

        await self._writer.mutate(key, None, plan, no_request)

    async def _visit(self, pk: str, now: int) -> Swept:
        """Remove what is dead of a thread, and plan the next visit."""
        met = await self._look_at(pk, now)
        if met.next is not None:
            await self._lists.visits.schedule(pk, met.next)
        return await self._clean(met, now)

    async def _look_at(self, pk: str, now: int) -> _Met:
        """What is dead of a thread, and when it is to be visited again; what waited there is applied."""
        began = self._clock()
        head, rows = await read_whole(self._table, pk)
        if not await settle(self._table, head):
            return _Met(head, Remains(), began, now + layout.HOUR, busy=True)
        if head.newest is not None and head.newest.effect is not None:
            # It may have been applied just now.
            rows = all_rows(self._table, pk)
        remains = await survey(rows, head, now)
        thread = None if head.header is None else head.header.thread
        expires = None if thread is None or thread.expires_at is None else to_micros(thread.expires_at)
        expired = expires is not None and remains.meet(now, expires)
        nexts = [remains.next, now + KEPT if expired else None, now + layout.HOUR if remains.ended else None]
        head = head._replace(settled=True, stored=None if head.header is None else head.header.version)
        return _Met(head, remains, began, min(filter(None, nexts), default=None), expired)

    async def _clean(self, met: _Met | ChatStoreError, now: int) -> Swept:
        """Remove what is dead of a thread that was looked at; its next visit is noted already."""
        if isinstance(met, ChatStoreError):
            raise met
        pk, remains = met.head.pk, met.remains
        if met.busy:
            return Swept(0, 0, 0, more=False)
        key = ThreadKey(layout.tenant_of(pk), layout.thread_of(pk))
        if met.expired:
            await self._know(met)
            if not await self._end(key, met.head):
                # Somebody has begun another one since.
                return await self._visit(pk, now)
            # They go with their epoch.
            remains.faded.clear()
        faded = await self._fade(met)
        await self._discard(key, met, now)
        if remains.rows or remains.ends or remains.shared:
            self._writer.known.forget(pk)
        return Swept(int(met.expired), remains.messages + faded, remains.requests, more=False)

    async def _know(self, met: _Met) -> None:
        """Let the next slot be aimed at without another look: it is taken only where nobody was faster."""
        _, known = await search(self._table, met.head, None, met.began)
        self._writer.known.put(met.head.pk, known)

    async def _fade(self, met: _Met) -> int:
        """Take what is dead out of rows that stay; how many messages that was."""
        faded, pk, remains = 0, met.head.pk, met.remains
        for bare in remains.faded:
            require_awake(self._clock() - met.began, "a sweep was held up for long: sweep again")
            # An edit that was decided before is for the same edition, and finds its message in its place.
            if await self._table.swap(bare.row.dump(pk), bare.row.version - 1):
                faded += bare.messages
        for row in await self._table.get(list(remains.worn)):
            left = without_others(row, remains.worn[Key(pk, str(row["sk"]))])
            await self._table.swap(left, cast("int", row["v"]))
        return faded

    async def _discard(self, key: ThreadKey, met: _Met, now: int) -> None:
        """Remove rows of which nothing is in use, and leave the epoch of what has ended.

        The texts go first, while an erasure finds them; then what names the lists, once they are done with;
        and the header last. Rows of one of these groups are removed side by side: none leads to another.
        """
        remains = met.remains
        header = [row for row in remains.shared if row["sk"] == layout.HEADER]
        await self._table.write([], remains.rows)
        calls: list[_Call] = [
            partial(self._closer.listing, key.tenant, pointer) for pointer in remains.pointers
        ]
        calls += [partial(self._table.remove, row) for row in remains.shared if row not in header]
        listings = await self._table.together(calls)
        besides = {str(row["sk"]) for row in remains.ends}
        last: list[_Call] = []
        for pointer, listing in zip(remains.pointers, listings, strict=False):
            behind = await self._closer.forget(key.tenant, pointer, listing, besides)
            last.append(partial(self._remove, behind))
        removed_ends = await self._table.together([partial(self._table.remove, row) for row in remains.ends])
        if not all(removed_ends):
            # Somebody changed one meanwhile, as an erasure does: what leads to it has to stay.
            await self._lists.visits.schedule(met.head.pk, now + layout.HOUR)
            return
        if remains.ended:
            await self._know(met)
            last.append(partial(self._move_on, key, met.head))
        await self._table.together(last)
        await self._remove(header)

    async def _remove(self, rows: Sequence[Row]) -> None:
        """Remove rows one after another."""
        for row in rows:
            await self._table.remove(row)


async def _tried(call: Callable[[], Coroutine[Any, Any, T]]) -> T | ChatStoreError:
    """What a call gives or fails with; raises only Unavailable."""
    try:
        return await call()
    except Unavailable:
        raise
    except ChatStoreError as error:
        return error


def _rows(swept: Swept) -> int:
    return swept.threads + swept.messages + swept.requests
