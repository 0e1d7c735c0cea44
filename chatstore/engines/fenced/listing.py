"""Listings: which threads there are, from rows that name them and headers that say what holds."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import NamedTuple

from chatstore.conditions import EXAMINED_BYTES, listed, properties_bytes
from chatstore.contract import Clock, Listing
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.erasing import Eraser
from chatstore.engines.fenced.header import GRACE, State, thread_of
from chatstore.engines.fenced.port import Overtaken
from chatstore.engines.fenced.reading import Moved, Reader
from chatstore.engines.fenced.table import Table
from chatstore.errors import StorageError, Unavailable
from chatstore.models import Page, Thread, ThreadCursor, from_micros, to_micros
from chatstore.words import preview_of

__all__ = ["Lister"]

_EXAMINED = 1000
_TRIES = 8
_WHOLE = 1000
_NEVER = 10**17


class _Row(NamedTuple):
    active: int
    id: str
    listing: str
    partition: str


class Lister:
    """Lists threads by rows written before the headers; one that no header bears out counts for nothing."""

    def __init__(self, table: Table, reader: Reader) -> None:
        self._table = table
        self._reader = reader

    async def page(self, tenant: str, listing: Listing, clock: Clock) -> Page[Thread]:
        """A page in the order of activity; reads every row, and a header for each thread that it gives out.

        With `preview` each thread is read whole, too.
        """
        rows = await self._rows(tenant, listing)
        wanted = listing._replace(active_since=None, active_before=None)
        filtered = _filters(listing)
        found: list[Thread] = []
        last, held, looked_through = None, 0, 0
        for count, row in enumerate(rows[:_EXAMINED], 1):
            thread = await self._thread(row, clock, preview=listing.preview)
            if thread is None:
                continue
            size = properties_bytes(thread)
            here = ThreadCursor(from_micros(row.active), row.id).text()
            if listed(thread, wanted):
                held += size
                full = found and listing.max_bytes is not None and held > listing.max_bytes
                if len(found) == listing.limit or full:
                    return Page(tuple(found), next=last)
                found.append(thread)
                last = here
            looked_through += size if filtered else 0
            if count < len(rows) and (count == _EXAMINED or looked_through > EXAMINED_BYTES):
                return Page(tuple(found), next=here)
        return Page(tuple(found))

    async def _rows(self, tenant: str, listing: Listing) -> list[_Row]:
        """The rows of threads that a page may show, in its order."""
        where: str | tuple[str, str] = layout.listings(tenant, listing.owner)
        if listing.owner is not None and listing.kind is not None:
            where = layout.listing(tenant, listing.owner, listing.kind)
        since = 0 if listing.active_since is None else to_micros(listing.active_since)
        until = _NEVER if listing.active_before is None else to_micros(listing.active_before)
        rows: list[_Row] = []
        async for entity in self._table.scan(where, bodies=False):
            if "a" not in entity.properties:
                continue
            row = _Row(
                int(str(entity.properties["a"])), str(entity.properties["i"]), entity.partition, entity.row
            )
            shown = listing.kind is None or layout.lists_kind(row.listing, listing.kind)
            if shown and since <= row.active < until and _beyond(row, listing):
                rows.append(row)
        return sorted(rows, reverse=not listing.oldest_first)

    async def tenants(self, after: str | None, limit: int) -> Page[str]:
        """Names of tenants, in the order of their rows, all of which are read behind `after`."""
        rows = None if after is None else (f"{layout.tenant_row(after)}!", "~")
        found = [entity async for entity in self._table.scan(layout.TENANTS, rows, bodies=False)]
        found.sort(key=lambda entity: entity.row)
        names = tuple(str(entity.properties["i"]) for entity in found[:limit])
        return Page(names, next=names[-1] if len(found) > limit else None)

    async def _thread(self, row: _Row, clock: Clock, *, preview: bool) -> Thread | None:
        for _ in range(_TRIES):
            known = await self._reader.known(row.partition)
            state = known.state
            named = state is not None and row.listing in state.listings
            if not named and row.active + GRACE < clock():
                # Its writer was killed before a header named the listing, or could not take it back. A row
                # of another time stays as it is: put elsewhere between two pages, it would be in both.
                with contextlib.suppress(Overtaken, StorageError):
                    await Eraser(self._table, self._reader, clock()).settle(row.listing, row.partition)
            now = clock()
            if state is None or not state.lives(now) or state.listings[0] != row.listing:
                return None
            try:
                thread = thread_of(state, await self._reader.properties(row.partition, known))
                return await self._previewed(row.partition, state, thread, now) if preview else thread
            except Moved:
                continue
        raise Unavailable(f"thread {row.id!r} kept changing while it was listed")

    async def _previewed(self, partition: str, state: State, thread: Thread, now: int) -> Thread:
        count, newest = 0, None
        walk = self._reader.walk(partition, state, newest=True, count=_WHOLE)
        async for segment in walk:
            living = [one for one in segment.messages if one.lives(now)]
            if living and newest is None:
                newest = living[-1]
            count += len(living)
        await self._reader.unchanged(partition, state)
        return replace(
            thread, message_count=count, preview=None if newest is None else preview_of(newest.text)
        )


def _beyond(row: _Row, listing: Listing) -> bool:
    """Whether a row lies behind where the last page ended."""
    if listing.beyond is None:
        return True
    edge, here = (to_micros(listing.beyond.active_at), listing.beyond.id), row[:2]
    return here > edge if listing.oldest_first else here < edge


def _filters(listing: Listing) -> bool:
    """Whether a page may pass over threads whose properties it has looked at."""
    given = listing.topic_prefix, listing.forked_from, listing.created_since, listing.created_before
    return bool(listing.metadata) or any(one is not None for one in given)
