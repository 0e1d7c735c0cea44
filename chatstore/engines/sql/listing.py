"""Listings of threads, within one transaction."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import NamedTuple, cast

from chatstore.codec import encode
from chatstore.conditions import EXAMINED_BYTES, listed
from chatstore.contract import Clock, Listing
from chatstore.engines.sql.port import Row, Transaction
from chatstore.engines.sql.rows import KINDS, LIVING, PROPERTIES, compact, thread_of
from chatstore.models import CHAT, Page, Thread, ThreadCursor, from_micros, to_micros

__all__ = ["EXAMINED", "Found", "Lists", "bounds_of", "indexed_by"]

EXAMINED, _NEEDLES = 1000, 8


class Found(NamedTuple):
    """A thread, and the key of its row."""

    key: int
    thread: Thread


class Lists:
    """Finds pages of rows of threads; one that has expired is not there."""

    def __init__(self, tx: Transaction, clock: Clock) -> None:
        self._tx = tx
        self._clock = clock

    async def count(self, tenant: str, owner: str | None, kind: str | None) -> int:
        """How many threads of that owner and kind there are."""
        counted = 0
        for indexed in indexed_by(kind):
            where, parameters = [indexed, "tenant = ?", LIVING], [tenant, self._clock()]
            if owner is not None:
                where.append("owner = ?")
                parameters.append(owner)
            if kind not in (None, CHAT):
                where.append("kind = ?")
                parameters.append(kind)
            row = await self._tx.one(f"SELECT count(*) FROM threads WHERE {' AND '.join(where)}", *parameters)
            counted += cast("Row", row)[0]
        return counted

    async def page(self, tenant: str, listing: Listing) -> Page[Found]:
        """A page of threads in the order of their activity."""
        filters = _filters(listing)
        rows, more = await self._rows(tenant, listing, filters)
        found: list[Found] = []
        held = 0
        for count, (key, _, _, *properties) in enumerate(rows, 1):
            if key is None:
                continue
            row = tuple(properties)
            if filters:
                row = await self._properties(key, row)
            thread = thread_of(row)
            if not listed(thread, listing):
                continue
            held += _size(row)
            if found and listing.max_bytes is not None and held > listing.max_bytes:
                return Page(tuple(found), next=_cursor(found[-1].thread))
            found.append(Found(key, thread))
            if len(found) == listing.limit and count < len(rows):
                return Page(tuple(found), next=_cursor(thread))
        end = ThreadCursor(from_micros(rows[-1][1]), rows[-1][2]).text() if more else None
        return Page(tuple(found), next=end)

    async def _properties(self, key: int, row: Row) -> Row:  # noqa: ARG002 - where it has them already
        """The properties of a row that was found by a filter."""
        return cast("Row", await self._tx.one(f"SELECT {PROPERTIES} FROM threads WHERE key = ?", key))

    async def _rows(
        self, tenant: str, listing: Listing, filters: Sequence[tuple[str, object]]
    ) -> tuple[Sequence[Row], bool]:
        """Key, activity and id of the rows for a page, then their properties; and whether there are more.

        With a filter the properties are left out, and so is the key where a row does not pass. So the
        database itself tells most rows apart, without their being read into objects.
        """
        columns, count = f"key, active_at, id, {PROPERTIES}", listing.limit
        most, size = listing.max_bytes or sys.maxsize, _size_listed
        if filters:
            passes = " AND ".join(sql for sql, _ in filters)
            columns = f"CASE WHEN {passes} THEN key END, active_at, id, length(metadata)"
            count, most, size = EXAMINED, EXAMINED_BYTES, _looked_through
        where, bounds = bounds_of(listing)
        where = ["tenant = ?", LIVING, *where]
        parts: list[str] = []
        parameters: list[object] = []
        for indexed in indexed_by(listing.kind):
            parts.append(f"SELECT {columns} FROM threads WHERE {' AND '.join([indexed, *where])}")
            parameters += [*(value for _, value in filters), tenant, self._clock(), *bounds]
        # Of two parts each comes in this order out of its index, and they are merged as they are read.
        order = "ASC" if listing.oldest_first else "DESC"
        rows = await self._tx.until(
            f"{' UNION ALL '.join(parts)} ORDER BY 2 {order}, 3 {order} LIMIT ?",
            *parameters,
            count + 1,
            most=most,
            size=size,
        )
        # The last row only shows that there is more.
        more = len(rows) > count or (len(rows) > 1 and sum(map(size, rows)) > most)
        return rows[:-1] if more else rows, more


def indexed_by(kind: str | None) -> Sequence[str]:
    """The conditions of the indexes that have the threads of a kind, or of every kind."""
    return KINDS if kind is None else KINDS[:1] if kind == CHAT else KINDS[1:]


def bounds_of(listing: Listing) -> tuple[list[str], list[object]]:
    """Which part of an index is listed: conditions, and their parameters."""
    where: list[str] = []
    parameters: list[object] = []
    if listing.owner is not None:
        where.append("owner = ?")
        parameters.append(listing.owner)
    if listing.active_since is not None:
        where.append("active_at >= ?")
        parameters.append(to_micros(listing.active_since))
    if listing.active_before is not None:
        where.append("active_at < ?")
        parameters.append(to_micros(listing.active_before))
    if listing.beyond is not None:
        where.append(f"(active_at, id) {'>' if listing.oldest_first else '<'} (?, ?)")
        parameters += [to_micros(listing.beyond.active_at), listing.beyond.id]
    return where, parameters


def _filters(listing: Listing) -> list[tuple[str, object]]:
    """What else has to hold, each with its parameter; a row that passes may still not be listed."""
    filters: list[tuple[str, object]] = []
    if listing.kind not in (None, CHAT):
        filters.append(("kind = ?", listing.kind))
    if listing.created_since is not None:
        filters.append(("created_at >= ?", to_micros(listing.created_since)))
    if listing.created_before is not None:
        filters.append(("created_at < ?", to_micros(listing.created_before)))
    if listing.topic_prefix:
        filters.append(("instr(topic, ?) = 1", listing.topic_prefix))
    if listing.forked_from is not None:
        filters.append(("instr(origin, ?) = 1", f"{compact([listing.forked_from])[:-1]},"))
    for key, value in itertools.islice(listing.metadata.items(), _NEEDLES):
        filters.append(("instr(metadata, ?) > 0", encode({key: value})[1:-1]))
    return filters


def _size(row: Row) -> int:
    """About how much JSON a thread's properties are; what is damaged counts as what it is."""
    _, _, topic, metadata, participants, *_ = row
    return sum(len(str(one or "").encode()) for one in (topic, metadata, participants))


def _size_listed(row: Row) -> int:
    return _size(row[3:])


def _looked_through(row: Row) -> int:
    size: int = row[3]
    return size


def _cursor(thread: Thread) -> str:
    return ThreadCursor(thread.active_at, thread.id).text()
