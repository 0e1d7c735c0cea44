"""Listings: pages of threads by activity, from the rows that point to threads and the headers of these."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from chatstore.conditions import EXAMINED_BYTES, fitting, listed, properties_bytes
from chatstore.contract import Clock, Listing, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.head import expired
from chatstore.engines.log.lists import OVER, Lists, Pointer, owner_of, thread_id_of
from chatstore.engines.log.port import Row, Table
from chatstore.engines.log.visits import hour_of
from chatstore.errors import Unavailable
from chatstore.models import Page, Thread, ThreadCursor, from_micros, to_micros

__all__ = ["Lister"]

_EXAMINED, _TOGETHER = 1000, 100
"""How many pointers a page looks at, and at how many threads together at most."""

_PER_HOUR = 5
"""What it takes to find an hour's pointers, as if it were so many."""


class Lister:
    """Finds the threads that a listing asks for, and removes pointers that lead nowhere as it meets them."""

    def __init__(self, table: Table, clock: Clock, lists: Lists) -> None:
        self._table = table
        self._clock = clock
        self._lists = lists

    async def page(self, tenant: str, listing: Listing) -> Page[Thread]:
        """Threads by activity: an owner's pointers are read whole, a tenant's by the hour."""
        found: list[Thread] = []
        some: list[Pointer] = []
        examined = looks = size = 0
        async for one in self._pointers(tenant, listing):
            if isinstance(one, ThreadCursor):
                examined += _PER_HOUR
                end = one
            else:
                if _is_past(one.active_at, listing):
                    break
                end = one.place
                if listing.beyond is None or _is_beyond(end, listing.beyond, listing):
                    some.append(one)
            # What is missing, and more each time, where most of what is listed is not wanted.
            together = min((listing.limit + 1 - len(found)) << looks, _TOGETHER)
            if len(some) < together and examined + len(some) < _EXAMINED:
                continue
            examined += len(some)
            size += await self._add(found, tenant, some, listing)
            looks += bool(some)
            some = []
            if len(found) > listing.limit or fitting(found, listing.max_bytes) < len(found):
                break
            if examined >= _EXAMINED or size > EXAMINED_BYTES:
                return Page(tuple(found), next=_cursor(end))
        await self._add(found, tenant, some, listing)
        page = tuple(found[: listing.limit])
        page = page[: fitting(page, listing.max_bytes)]
        return Page(page, next=_cursor(page[-1]) if len(found) > len(page) else None)

    async def _add(self, found: list[Thread], tenant: str, pointers: list[Pointer], listing: Listing) -> int:
        """Add those of the threads that are wanted to `found`; how much was looked through to tell."""
        living = await self._living(tenant, pointers)
        found += [thread for thread in living if listed(thread, listing)]
        return sum(map(properties_bytes, living)) if listing.metadata else 0

    async def _living(self, tenant: str, pointers: list[Pointer]) -> list[Thread]:
        """Those of the threads that are there."""
        named = [(layout.thread_partition(ThreadKey(tenant, one.thread_id)), one) for one in pointers]
        headers = await self._lists.headers([(pk, pointer.active_at) for pk, pointer in named])
        now = self._clock()
        threads = []
        for pk, pointer in named:
            header = headers[pk]
            thread = None if header is None else header.thread
            if header is None and pointer.row is not None and pointer.active_at + OVER < now:
                # It points to nothing: an erasure was interrupted, or a creation.
                with contextlib.suppress(Unavailable):
                    await self._table.remove(pointer.row)
            if thread is None or thread.owner != pointer.owner or expired(thread, now):
                continue
            threads.append(replace(thread, active_at=from_micros(pointer.active_at)))
        return threads

    async def _pointers(self, tenant: str, listing: Listing) -> AsyncIterator[Pointer | ThreadCursor]:
        """An owner's pointers, or a tenant's, and behind those of an hour the place where it began."""
        if listing.owner is not None:
            rows = await self._lists.owned(tenant, listing.owner)
            pointers = [Pointer(int(row["v"]), thread_id_of(row), listing.owner, row=row) for row in rows]
            for pointer in sorted(pointers, key=_activity, reverse=not listing.oldest_first):
                yield pointer
            return
        async for hour_row in self._table.all(
            layout.active_hours(tenant), *_hours(listing), newest=not listing.oldest_first
        ):
            hour = int(str(hour_row["sk"]))
            bucket = layout.active_bucket(tenant, hour)
            rows = [row async for row in self._table.all(bucket, " ", layout.LAST)]
            exact: list[Pointer] = []
            left: list[Row] = []
            for row, one in zip(rows, await self._lists.owners_rows(tenant, rows), strict=True):
                if one is not None and hour_of(int(one["v"])) > hour:
                    left.append(row)
                    continue
                active_at = int(one["v"]) if one is not None else 0
                if hour_of(active_at) != hour:
                    active_at = await self._lists.put_right(tenant, row, one)
                if hour_of(active_at) == hour:
                    exact.append(Pointer(active_at, str(row["id"]), owner_of(row)))
            if hour * layout.HOUR + OVER < self._clock():
                # Nobody writes to it any more: the next list passes it by.
                with contextlib.suppress(Unavailable):
                    await self._lists.clear(tenant, hour, left, empty=len(left) == len(rows))
            for pointer in sorted(exact, key=_activity, reverse=not listing.oldest_first):
                yield pointer
            yield ThreadCursor(from_micros((hour + listing.oldest_first) * layout.HOUR), "")

    async def tenants(self, after: str | None, limit: int) -> Page[str]:
        """Tenants that have or had threads, in the order of their digests."""
        low = " " if after is None else layout.digest(after) + "\0"
        found = await self._table.query(layout.TENANTS, low, layout.LAST, limit=limit)
        names = tuple(str(row["id"]) for row in found.rows)
        return Page(names, next=names[-1] if found.more and names else None)


def _hours(listing: Listing) -> tuple[str, str]:
    """The first and the last hour that a page may show something of."""
    if listing.beyond is None:
        return layout.FIRST_HOUR, layout.LAST
    edge = layout.hour_name(hour_of(to_micros(listing.beyond.active_at)))
    return (edge, layout.LAST) if listing.oldest_first else (layout.FIRST_HOUR, edge)


def _is_past(active_at: int, listing: Listing) -> bool:
    """Whether nothing that follows in a listing was active in its range."""
    if listing.oldest_first:
        return listing.active_before is not None and active_at >= to_micros(listing.active_before)
    return listing.active_since is not None and active_at < to_micros(listing.active_since)


def _is_beyond(place: ThreadCursor, edge: ThreadCursor, listing: Listing) -> bool:
    return place > edge if listing.oldest_first else place < edge


def _cursor(at: Thread | ThreadCursor) -> str:
    return ThreadCursor(at.active_at, at.id).text()


def _activity(pointer: Pointer) -> tuple[int, str]:
    return pointer.active_at, pointer.thread_id
