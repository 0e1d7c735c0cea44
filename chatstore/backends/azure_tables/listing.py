"""Listings: which threads there are, from rows that name them and headers that say what holds."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from chatstore.backends.azure_tables import keys
from chatstore.backends.azure_tables.erasing import Eraser
from chatstore.backends.azure_tables.header import GRACE, parse_properties, snapshot
from chatstore.backends.azure_tables.port import Entity, Overtaken
from chatstore.backends.azure_tables.reading import Moved, Reader
from chatstore.backends.azure_tables.table import Table
from chatstore.conditions import EXAMINED_BYTES, has_metadata, properties_bytes
from chatstore.contract import Clock, Listing
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


class _Unnamed(Exception):
    """A row of a listing that no header names, nor will."""


class Lister:
    """Lists threads by rows written before the headers; one that no header bears out counts for nothing."""

    def __init__(self, table: Table, reader: Reader) -> None:
        self._table = table
        self._reader = reader

    async def page(self, tenant: str, listing: Listing, clock: Clock) -> Page[Thread]:
        """A page, newest activity first; reads every row, and a header for each thread that it gives out."""
        where = keys.listings(tenant) if listing.owner is None else keys.listing(tenant, listing.owner)
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
        last, held, looked_through = None, 0, 0
        for count, row in enumerate(rows[:_EXAMINED], 1):
            thread = await self._listed(row, clock)
            if thread is None:
                continue
            size = properties_bytes(thread)
            here = ThreadCursor(from_micros(row.active), row.id).text()
            if has_metadata(thread.metadata, listing.metadata):
                held += size
                full = found and listing.max_bytes is not None and held > listing.max_bytes
                if len(found) == listing.limit or full:
                    return Page(tuple(found), next=last)
                found.append(thread)
                last = here
            looked_through += size if listing.metadata else 0
            if count < len(rows) and (count == _EXAMINED or looked_through > EXAMINED_BYTES):
                return Page(tuple(found), next=here)
        return Page(tuple(found))

    async def _listed(self, row: _Row, clock: Clock) -> Thread | None:
        """The thread that a row names, None where there is none."""
        try:
            return await self._thread(row, clock)
        except _Unnamed:
            # Its writer was killed, or gave up, before a header named the listing.
            with contextlib.suppress(Overtaken, StorageError):
                await Eraser(self._table, self._reader, clock()).unlist(row.listing, row.partition)
            return None

    async def tenants(self, after: str | None, limit: int) -> Page[str]:
        """Names of tenants, in the order of their rows, all of which are read behind `after`."""
        rows = None if after is None else (f"{keys.tenant_row(after)}!", "~")
        found = [entity async for entity in self._table.scan(keys.TENANTS, rows, bodies=False)]
        found.sort(key=lambda entity: entity.row)
        names = tuple(str(entity.properties["i"]) for entity in found[:limit])
        return Page(names, next=names[-1] if len(found) > limit else None)

    async def _thread(self, row: _Row, clock: Clock) -> Thread | None:
        for _ in range(_TRIES):
            known = await self._reader.known(row.partition)
            state = known.state
            named = state is not None and row.listing in state.listings
            if not named and row.active + GRACE < clock():
                raise _Unnamed
            if state is None or not state.lives(clock()) or state.listings[0] != row.listing:
                return None
            header = Entity(row.partition, keys.HEADER, known.properties, known.etag or "")
            try:
                id, properties = parse_properties(await self._reader.text(header), state.owner)
            except Moved:
                continue
            return snapshot(state, id, properties)
        raise Unavailable(f"thread {row.id!r} kept changing while it was listed")
