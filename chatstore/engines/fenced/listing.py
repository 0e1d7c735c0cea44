"""Listings: which threads there are, from rows that name them and headers that say what holds."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from chatstore.conditions import has_metadata
from chatstore.contract import Clock, Listing
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.erasing import Eraser
from chatstore.engines.fenced.header import GRACE, parse_properties, snapshot
from chatstore.engines.fenced.port import Entity, Overtaken
from chatstore.engines.fenced.reading import Moved, Reader
from chatstore.engines.fenced.table import Table
from chatstore.errors import StorageError, Unavailable
from chatstore.models import Page, Thread, ThreadCursor, from_micros, to_micros

__all__ = ["Lister"]

_EXAMINED = 1000
_TRIES = 8


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
        """A page, newest activity first; reads every row, and a header for each thread that it gives out."""
        where = layout.listings(tenant) if listing.owner is None else layout.listing(tenant, listing.owner)
        since = 0 if listing.active_since is None else to_micros(listing.active_since)
        rows = [
            _Row(int(str(entity.properties["a"])), str(entity.properties["i"]), entity.partition, entity.row)
            async for entity in self._table.scan(where, bodies=False)
            if "a" in entity.properties
        ]
        if listing.before is not None:
            edge = to_micros(listing.before.active_at), listing.before.id
            rows = [row for row in rows if row[:2] < edge]
        rows = sorted((row for row in rows if row.active >= since), reverse=True)
        found: list[Thread] = []
        last = None
        for row in rows[:_EXAMINED]:
            thread = await self._thread(row, clock)
            if thread is None or not has_metadata(thread.metadata, listing.metadata):
                continue
            if len(found) == listing.limit:
                return Page(tuple(found), next=last)
            found.append(thread)
            last = ThreadCursor(from_micros(row.active), row.id).text()
        if len(rows) > _EXAMINED:
            row = rows[_EXAMINED - 1]
            return Page(tuple(found), next=ThreadCursor(from_micros(row.active), row.id).text())
        return Page(tuple(found))

    async def tenants(self, after: str | None, limit: int) -> Page[str]:
        """Names of tenants, in the order of their rows, all of which are read behind `after`."""
        rows = None if after is None else (f"{layout.tenant_row(after)}!", "~")
        found = [entity async for entity in self._table.scan(layout.TENANTS, rows, bodies=False)]
        found.sort(key=lambda entity: entity.row)
        names = tuple(str(entity.properties["i"]) for entity in found[:limit])
        return Page(names, next=names[-1] if len(found) > limit else None)

    async def _thread(self, row: _Row, clock: Clock) -> Thread | None:
        for _ in range(_TRIES):
            known = await self._reader.known(row.partition)
            state = known.state
            named = state is not None and row.listing in state.listings
            if not named and row.active + GRACE < clock():
                # Its writer was killed before a header named the listing, or could not take it back. A row
                # of another time stays as it is: put elsewhere between two pages, it would be in both.
                with contextlib.suppress(Overtaken, StorageError):
                    await Eraser(self._table, self._reader, clock()).settle(row.listing, row.partition)
            if state is None or not state.lives(clock()) or state.listings[0] != row.listing:
                return None
            header = Entity(row.partition, layout.HEADER, known.properties, known.etag or "")
            try:
                id, properties = parse_properties(await self._reader.text(header), state.owner)
            except Moved:
                continue
            return snapshot(state, id, properties)
        raise Unavailable(f"thread {row.id!r} kept changing while it was listed")
