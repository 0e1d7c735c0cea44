"""Threads, listed by an index that an append seldom changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from chatstore.conditions import EXAMINED_BYTES
from chatstore.contract import Listing
from chatstore.engines.sql import Row
from chatstore.engines.sql.listing import EXAMINED, Lists, bounds_of, indexed_by
from chatstore.engines.sql.rows import LIVING, PROPERTIES
from chatstore.models import to_micros

__all__ = ["ListedThreads"]

_SIZE = "coalesce(octet_length(topic), 0) + octet_length(metadata) + octet_length(participants)"
_SPARE = 16
"""So many rows may look as if they passed a filter and not do so, before a page ends early for them."""


class ListedThreads(Lists):
    """Finds a page's rows by `active_in`, and sorts those of the same one by time and id.

    All of a page is one statement, with a filter too.
    """

    async def _rows(
        self, tenant: str, listing: Listing, filters: Sequence[tuple[str, object]]
    ) -> tuple[Sequence[Row], bool]:
        order = "ASC" if listing.oldest_first else "DESC"
        by = f"active_in {order}, active_at {order}, id {order}"
        count = EXAMINED if filters else listing.limit
        where, bounds = _bounds(listing)
        passes = " AND ".join(f"({sql})" for sql, _ in filters) or "true"
        parts: list[str] = []
        parameters: list[object] = []
        for indexed in indexed_by(listing.kind):
            parts.append(
                f"(SELECT key, {PROPERTIES}, active_in, coalesce({passes}, false) AS passes FROM threads "
                f"WHERE {' AND '.join([indexed, 'tenant = ?', LIVING, *where])} "
                f"ORDER BY {by} LIMIT {int(count) + 1})"
            )
            parameters += [*(value for _, value in filters), tenant, self._clock(), *bounds]
        window = f"OVER (ORDER BY {by} ROWS UNBOUNDED PRECEDING)"
        properties = PROPERTIES if not filters else _only_if_passing()
        earlier = f"held - CASE WHEN passes THEN {_SIZE} ELSE 0 END"
        rows = await self._tx.all(
            f"SELECT CASE WHEN passes THEN key END, active_at, id, {properties}, "
            "nth > 1 AND (nth > ? OR looked > ? OR passed > ? OR (held > ? AND passed > 1)) "
            "FROM (SELECT *, "
            f"row_number() {window} AS nth, "
            f"sum(octet_length(metadata)) {window} AS looked, "
            f"sum(CAST(passes AS int)) {window} AS passed, "
            f"sum(CASE WHEN passes THEN {_SIZE} ELSE 0 END) {window} AS held "
            f"FROM ({' UNION ALL '.join(parts)}) part ORDER BY {by} LIMIT {int(count) + 1}) found "
            "WHERE nth <= 2 OR (looked - octet_length(metadata) <= ? "
            "AND passed - CAST(passes AS int) <= ? "
            f"AND ({earlier} <= ? OR passed - CAST(passes AS int) <= 1)) "
            f"ORDER BY active_in {order}, found.active_at {order}, found.id {order}",
            *(most := _most(listing, count, filtered=bool(filters))),
            *parameters,
            *most[1:],
        )
        # The last row only shows that there is more.
        more = bool(rows and rows[-1][-1])
        listed = [row[:-1] for row in rows]
        return listed[:-1] if more else listed, more

    async def _properties(self, key: int, row: Row) -> Row:  # noqa: ARG002 - they were read with the others
        return row


def _only_if_passing() -> str:
    return ", ".join(f"CASE WHEN passes THEN {name} END" for name in PROPERTIES.split(", "))


def _most(listing: Listing, count: int, *, filtered: bool) -> tuple[int, int, int, int]:
    """How many rows a page looks at, how much metadata of them, how many it has, and of what size."""
    return (
        count,
        EXAMINED_BYTES if filtered else sys.maxsize,
        listing.limit + (_SPARE if filtered else 0),
        listing.max_bytes or sys.maxsize,
    )


def _bounds(listing: Listing) -> tuple[list[str], list[object]]:
    """The engine's conditions, and their like for the index."""
    where, parameters = bounds_of(listing)
    for bound, sign in ((listing.active_since, ">="), (listing.active_before, "<=")):
        if bound is not None:
            where.append(f"active_in {sign} ?")
            parameters.append(to_micros(bound) >> 26)
    if listing.beyond is not None:
        where.append(f"active_in {'>=' if listing.oldest_first else '<='} ?")
        parameters.append(to_micros(listing.beyond.active_at) >> 26)
    return where, parameters
