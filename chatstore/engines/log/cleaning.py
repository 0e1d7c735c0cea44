"""Removing what is dead: expired threads and messages, sealed epochs, failed attempts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

from chatstore.clocks import time_to_remove
from chatstore.contract import Clock, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.closing import Closer
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.discarding import Discarder, Met
from chatstore.engines.log.head import Head, require_awake, settle
from chatstore.engines.log.known import LONGEST
from chatstore.engines.log.lists import Lists
from chatstore.engines.log.planning import Answer, Decision, Turn, no_request
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.records import Header, Slot
from chatstore.engines.log.texts import without_others
from chatstore.engines.log.visiting import (
    KEPT,
    Remains,
    all_rows,
    read_whole,
    survey,
)
from chatstore.engines.log.visits import Visit, key_of
from chatstore.engines.log.writing import Writer
from chatstore.errors import ChatStoreError, Unavailable
from chatstore.models import Swept, Thread, to_micros

__all__ = ["Cleaner"]

T = TypeVar("T")

_TOGETHER = 25
"""How many visits are made together: as many as one call notes, and one takes off the list."""


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
        self._discarder = Discarder(table, clock, writer, lists, decide)

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
            closed = await self._unseal([visit for visit in visits if visit.closed is not None], now)
            others = [visit for visit in visits if visit not in closed]
            made = await self._make(others, now)
            await self._lists.visits.take_off(
                [visit.row for visit in closed]
                + [visit.row for visit, one in zip(others, made, strict=True) if one.over]
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

    async def _unseal(self, visits: Sequence[Visit], now: int) -> list[Visit]:
        """Remove the seals of epochs that were closed long ago; which of the `visits` found one.

        The others find something else there. Takes two trips, or none, for all.
        """
        seals = {visit: Key(visit.pk, layout.first_slot(visit.closed or "")) for visit in visits}
        headers = [Key(visit.pk, layout.HEADER) for visit in visits]
        rows = await self._table.get([*headers, *seals.values()]) if visits else []
        found = {key_of(row): row for row in rows}
        closed = []
        for visit, header in zip(visits, headers, strict=True):
            seal = found.get(seals[visit])
            # While the header is there it may lead to what was sealed.
            if header not in found and seal is not None and _is_over(seal, now):
                closed.append(visit)
        if closed:
            await self._table.write([], [seals[visit] for visit in closed])
        return closed

    async def _make(self, visits: Sequence[Visit], now: int) -> list[_Made]:
        """Make visits to different threads; others do not wait for one that cannot be made.

        The next visits are noted before anything is done, all in one call. Beside it, another reads what
        lists the threads that have ended.
        """
        looks = [partial(_tried, partial(self._look_at, visit.pk, now)) for visit in visits]
        met = await self._table.together(looks)
        listing = await self._prepare([one for one in met if isinstance(one, Met)])
        cleans = [partial(_tried, partial(self._clean, one, now, listing)) for one in met]
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

    async def _prepare(self, met: Sequence[Met]) -> dict[Key, Row]:
        """Note the next visits, and read what lists the threads of which an end is to be removed."""
        following = {one.head.pk: one.next for one in met if one.next is not None}
        closed = {one.head.pk: one.closes for one in met if one.closes is not None}
        again = {one.key.tenant for one in met if one.remains.pointers}
        calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            partial(self._lists.visits.schedule_all, following, closed, self._lists.present(again)),
            partial(self._discarder.listing, met),
        ]
        return cast("dict[Key, Row]", (await self._table.together(calls))[1])

    async def _end(self, key: ThreadKey, head: Head) -> bool:
        """Delete a thread that has expired, as `head` has it, if it was not renewed since."""
        expires = cast("Thread", cast("Header", head.header).thread).expires_at

        async def plan(turn: Turn) -> Answer[bool] | Decision[bool]:
            thread = None if turn.head.header is None else turn.head.header.thread
            # One that was begun since, with the same expiry, has expired as well.
            if thread is None or thread.expires_at != expires:
                return Answer(False)
            return (await self._decide.next_epoch(turn, None, (), None))._replace(result=True)

        return await self._writer.mutate(key, None, plan, no_request)

    async def _visit(self, pk: str, now: int) -> Swept:
        """Remove what is dead of a thread, and plan the next visit."""
        met = await self._look_at(pk, now)
        return await self._clean(met, now, await self._prepare([met]))

    async def _look_at(self, pk: str, now: int) -> Met:
        """What is dead of a thread, and when it is to be visited again; what waited there is applied."""
        began = self._clock()
        head, rows = await read_whole(self._table, pk)
        if not await settle(self._table, head):
            return Met(head, Remains(), began, now + layout.HOUR, busy=True)
        if head.stored is not None and head.applied.stored is None:
            # The header has gone this moment: what it led to stays sealed for those who have read it.
            return Met(head, Remains(), began, now + layout.HOUR, busy=True)
        if head.newest is not None and head.newest.effect is not None:
            # It may have been applied just now.
            rows = all_rows(self._table, pk)
        remains = await survey(rows, head, now)
        thread = None if head.header is None else head.header.thread
        expires = None if thread is None or thread.expires_at is None else to_micros(thread.expires_at)
        expired = expires is not None and remains.meet(now, expires)
        nexts = [remains.next, now + KEPT if expired else None, now + layout.HOUR if remains.ended else None]
        return Met(head.applied, remains, began, min(filter(None, nexts), default=None), expired)

    async def _clean(self, met: Met | ChatStoreError, now: int, listing: Mapping[Key, Row]) -> Swept:
        """Remove what is dead of a thread that was looked at; its next visit is noted already."""
        if isinstance(met, ChatStoreError):
            raise met
        pk, remains = met.head.pk, met.remains
        if met.busy:
            return Swept(0, 0, 0, more=False)
        if met.expired:
            await self._discarder.know(met)
            if not await self._end(met.key, met.head):
                # Somebody has begun another one since.
                return await self._visit(pk, now)
            # They go with their epoch.
            remains.faded.clear()
        faded = await self._fade(met)
        await self._discarder.discard(met, listing)
        if remains.rows or remains.ends or remains.shared:
            self._writer.known.forget(pk)
        return Swept(int(met.expired), remains.messages + faded, remains.requests, more=False)

    async def _fade(self, met: Met) -> int:
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


async def _tried(call: Callable[[], Coroutine[Any, Any, T]]) -> T | ChatStoreError:
    """What a call gives or fails with; raises only Unavailable."""
    try:
        return await call()
    except Unavailable:
        raise
    except ChatStoreError as error:
        return error


def _is_over(row: Row, now: int) -> bool:
    """Whether a row is a seal that led back to where all threads begin, an hour ago and more."""
    try:
        slot = Slot.load(row)
    except ChatStoreError:
        # Whoever looks at the whole thread says so.
        return False
    return slot.closes and slot.at + layout.HOUR <= now


def _rows(swept: Swept) -> int:
    return swept.threads + swept.messages + swept.requests
