"""Threads, listed by an index that an append seldom changes."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

from chatstore.codec import encode
from chatstore.conditions import EXAMINED_BYTES
from chatstore.contract import Listing
from chatstore.engines.sql import Row
from chatstore.engines.sql.threads import LIVING, Threads
from chatstore.models import to_micros

__all__ = ["ListedThreads"]

_PROPERTIES = "id, owner, topic, metadata, participants, created_at, active_at, expires_at, revision"
_SIZE = "coalesce(octet_length(topic), 0) + octet_length(metadata) + octet_length(participants)"
_WINDOW = "OVER (ORDER BY active_in DESC, active_at DESC, id DESC ROWS UNBOUNDED PRECEDING)"
_EXAMINED, _NEEDLES = 1000, 8


class ListedThreads(Threads):
    """Finds the page's rows by `active_in`, and sorts those of the same one by time and id."""

    async def _listed(self, tenant: str, listing: Listing) -> tuple[Sequence[Row], bool]:
        where, parameters = ["tenant = ?", LIVING], [tenant, self._clock()]
        if listing.owner is not None:
            where.append("owner = ?")
            parameters.append(listing.owner)
        if listing.active_since is not None:
            since = to_micros(listing.active_since)
            where.append("active_in >= ? AND active_at >= ?")
            parameters += [since >> 26, since]
        if listing.before is not None:
            before = to_micros(listing.before.active_at)
            where.append("active_in <= ? AND (active_at, id) < (?, ?)")
            parameters += [before >> 26, before, listing.before.id]
        chosen, size, count, most = "key", _SIZE, listing.limit, listing.max_bytes or sys.maxsize
        properties = _PROPERTIES
        if listing.metadata:
            some = itertools.islice(listing.metadata.items(), _NEEDLES)
            needles = [encode({key: value})[1:-1] for key, value in some]
            matches = " AND ".join("strpos(metadata, ?) > 0" for _ in needles)
            chosen, properties = f"CASE WHEN {matches} THEN key END AS key", "id, active_at"
            size, count, most = "octet_length(metadata)", _EXAMINED, EXAMINED_BYTES
            parameters = [*needles, *parameters]
        rows = await self._tx.all(
            f"SELECT key, active_at AS at, id AS name, {properties}, "
            "number_ > 1 AND held_ > CAST(? AS bigint) "
            f"FROM (SELECT {chosen}, {_PROPERTIES}, row_number() {_WINDOW} AS number_, "
            f"sum({size}) {_WINDOW} AS held_, {size} AS size_ "
            f"FROM threads WHERE {' AND '.join(where)} "
            f"ORDER BY active_in DESC, active_at DESC, id DESC LIMIT {int(count) + 1}) found "
            "WHERE number_ <= 2 OR held_ - size_ <= CAST(? AS bigint) ORDER BY at DESC, name DESC",
            most,
            *parameters,
            most,
        )
        # The last row only shows that there is more.
        more = len(rows) > count or bool(rows and rows[-1][-1])
        listed = [row[:-1] for row in rows]
        return listed[:-1] if more else listed, more
