"""Threads, listed by an index that an append seldom changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from chatstore.conditions import EXAMINED_BYTES
from chatstore.contract import Clock, Listing
from chatstore.engines.sql import Row, Transaction
from chatstore.engines.sql.listing import EXAMINED, Found, Lists, bounds_of, indexed_by
from chatstore.engines.sql.rows import LIVING, PROPERTIES
from chatstore.models import Thread, to_micros
from chatstore.words import preview_of

__all__ = ["ListedThreads"]

_SIZE = "coalesce(octet_length(topic), 0) + octet_length(metadata) + octet_length(participants)"
_COLUMNS = 3 + len(PROPERTIES.split(", "))
_OF_IT = f"FROM messages WHERE thread = found.key AND {LIVING}"
_PREVIEWS = (
    ", passes AND cuts IS NULL AS whole, "
    f"CASE WHEN passes AND cuts IS NULL THEN (SELECT count(*) {_OF_IT}) END, "
    f"CASE WHEN passes AND cuts IS NULL THEN (SELECT text {_OF_IT} ORDER BY position DESC LIMIT 1) END"
)
_SPARE = 16
"""So many rows may look as if they passed a filter and not do so, before a page ends early for them."""


class ListedThreads(Lists):
    """Finds a page's rows by `active_in`, and sorts those of the same one by time and id.

    All of a page is one statement, with a filter and with previews too.
    """

    def __init__(self, tx: Transaction, clock: Clock) -> None:
        super().__init__(tx, clock)
        self.previews: dict[int, tuple[int, str | None]] = {}
        """Of a page with previews: how many messages a thread has, and the text of the newest."""

    def previewed(self, found: Found) -> Thread | None:
        """A thread of the page with its preview; None where what was cut from it is still to be removed."""
        if found.key not in self.previews:
            return None
        count, text = self.previews[found.key]
        return replace(found.thread, message_count=count, preview=None if text is None else preview_of(text))

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
                f"(SELECT key, {PROPERTIES}, cuts, active_in, coalesce({passes}, false) AS passes "
                f"FROM threads WHERE {' AND '.join([indexed, 'tenant = ?', LIVING, *where])} "
                f"ORDER BY {by} LIMIT {int(count) + 1})"
            )
            parameters += [*(value for _, value in filters), tenant, self._clock(), *bounds]
        window = f"OVER (ORDER BY {by} ROWS UNBOUNDED PRECEDING)"
        properties = PROPERTIES if not filters else _only_if_passing()
        seen = self._clock()
        previews, looked = _PREVIEWS if listing.preview else "", (seen, seen) if listing.preview else ()
        earlier = f"held - CASE WHEN passes THEN {_SIZE} ELSE 0 END"
        rows = await self._tx.all(
            f"SELECT CASE WHEN passes THEN key END, active_at, id, {properties}{previews}, "
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
            *looked,
            *(most := _most(listing, count, filtered=bool(filters))),
            *parameters,
            *most[1:],
        )
        # The last row only shows that there is more.
        more = bool(rows and rows[-1][-1])
        if listing.preview:
            self.previews = {row[0]: row[-3:-1] for row in rows if row[-4]}
        listed = [row[:_COLUMNS] for row in rows]
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
