"""Which threads there are: by owner, by the hour in which they were active, by the hour to visit them.

These rows only point to threads; the thread's own rows say what is so. They are written before
what they point to, so that a writer that is killed leaves a pointer too many and never one too few.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from chatstore.conditions import has_metadata
from chatstore.contract import Clock, Listing, ThreadKey
from chatstore.errors import Unavailable
from chatstore.log import keys
from chatstore.log.head import look
from chatstore.log.known import LONGEST
from chatstore.log.port import Key, Row, Table
from chatstore.log.records import Header
from chatstore.models import Page, Thread, ThreadCursor, from_micros, to_micros

__all__ = ["Lists", "Pointer", "Visit"]

_REMEMBERED = 10_000
_LAST = "\U0010ffff"
_EXAMINED, _TOGETHER = 1000, 100
"""How many pointers a page looks at, and at how many threads together at most."""

_PER_HOUR = 5
"""What it takes to find an hour's pointers, as if it were so many."""


class Pointer(NamedTuple):
    """A thread in a list, and when it was active."""

    active_at: int
    thread_id: str
    owner: str | None

    @property
    def place(self) -> ThreadCursor:
        """Where a listing that ends here goes on."""
        return ThreadCursor(from_micros(self.active_at), self.thread_id)


class Visit(NamedTuple):
    """A thread's partition that is to be visited, when, and the row that says so."""

    row: Key
    at: int
    pk: str


class Lists:
    """The rows outside of the threads' own partitions."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._written: dict[Key, None] = {}
        self._visits: dict[str, int] = {}

    # Writing

    async def point(
        self, key: ThreadKey, owner: str | None, active_at: int, *, visit: int | None = None
    ) -> None:
        """Before a thread is made: list it, and note when it is to be visited; one trip."""
        row, bucket, hour = self._activity(key, owner, active_at)
        pk = keys.thread_partition(key)
        visits, hours = ([], []) if visit is None else self._visit(pk, visit)
        await self._put([row, bucket, *visits], once=[hour, *hours])
        self._remember([bucket])
        self._plan(pk, visits)

    async def touch(self, key: ThreadKey, owner: str | None, active_at: int, before: int) -> None:
        """After messages were added in another minute: note it; a trip, and in another hour one more."""
        row, bucket, hour = self._activity(key, owner, active_at)
        # Whoever was to list it for this hour may have been killed: only what was written here is there.
        await self._put([row], once=[bucket, hour])
        if _hour(before) != _hour(active_at):
            # Not before, nor together, because a batch may be done in part.
            old = Key(keys.active_bucket(key.tenant, _hour(before)), _named(key.id, owner))
            await self._table.write([], [old])

    async def visit(self, pk: str, at: int) -> None:
        """Note that a thread is to be visited once `at` has passed."""
        visits, hours = self._visit(pk, at)
        await self._put(visits, once=hours)
        self._plan(pk, visits)

    async def forget(self, tenant: str, pointer: Pointer) -> None:
        """Remove a thread from the lists, and none that came after it under its id."""
        rows = [
            Key(keys.owner_partition(tenant, pointer.owner), keys.owner_row(pointer.thread_id)),
            Key(
                keys.active_bucket(tenant, _hour(pointer.active_at)),
                _named(pointer.thread_id, pointer.owner),
            ),
        ]
        for row in await self._table.get(rows):
            if int(row["v"]) <= pointer.active_at:
                # On condition: a deletion that arrives late would take a later thread's away.
                await self._table.remove(row)

    def _activity(self, key: ThreadKey, owner: str | None, active_at: int) -> tuple[Row, Row, Row]:
        """A thread's row in its owner's list, its row in the hour's, and the hour's in the tenant's."""
        row: Row = {
            "pk": keys.owner_partition(key.tenant, owner),
            "sk": keys.owner_row(key.id),
            "v": active_at,
        }
        if not str(row["sk"]).startswith("#"):
            row["id"] = key.id
        hour = _hour(active_at)
        bucket: Row = {
            "pk": keys.active_bucket(key.tenant, hour),
            "sk": _named(key.id, owner),
            "v": active_at,
            "id": key.id,
        }
        if owner is not None:
            bucket["o"] = owner
        return row, bucket, {"pk": keys.active_hours(key.tenant), "sk": hour}

    def _visit(self, pk: str, at: int) -> tuple[list[Row], list[Row]]:
        """The visit's row, and its hour's in the list of visits; nothing where another comes first."""
        planned = self._visits.get(pk, 0)
        if self._clock() + LONGEST < planned <= at:
            # Whoever makes that visit plans the next, also one whose clock is ahead.
            return [], []
        hour = _hour(at)
        row: Row = {"pk": keys.visit_bucket(hour), "sk": f"{at:017d}#{keys.digest(pk)}", "of": pk}
        return [row], [{"pk": keys.VISITS, "sk": hour}]

    def _plan(self, pk: str, visits: Sequence[Row]) -> None:
        for row in visits:
            self._visits[pk] = _due(row)
        _shorten(self._visits)

    async def _put(self, rows: Sequence[Row], *, once: Sequence[Row]) -> None:
        """Write `rows`, and of `once` those that this process has not yet written."""
        new = [row for row in once if _key(row) not in self._written]
        if rows or new:
            await self._table.write([*rows, *new])
        self._remember(new)

    def _remember(self, rows: Sequence[Row]) -> None:
        self._written.update(dict.fromkeys(map(_key, rows)))
        _shorten(self._written)

    # Reading

    async def page(self, tenant: str, listing: Listing) -> Page[Thread]:
        """Threads, newest activity first: an owner's pointers are read whole, a tenant's by the hour."""
        found: list[Thread] = []
        some: list[Pointer] = []
        examined = looks = 0
        async for one in self._pointers(tenant, listing):
            if isinstance(one, ThreadCursor):
                examined += _PER_HOUR
                end = one
            else:
                if listing.active_since is not None and one.active_at < to_micros(listing.active_since):
                    break
                end = one.place
                if listing.before is None or end < listing.before:
                    some.append(one)
            # What is missing, and more each time, where most of what is listed is not wanted.
            together = min((listing.limit + 1 - len(found)) << looks, _TOGETHER)
            if len(some) < together and examined + len(some) < _EXAMINED:
                continue
            examined += len(some)
            found += await self._living(tenant, some, listing)
            looks += bool(some)
            some = []
            if len(found) > listing.limit:
                break
            if examined >= _EXAMINED:
                return Page(tuple(found), next=_cursor(end))
        found += await self._living(tenant, some, listing)
        page = tuple(found[: listing.limit])
        return Page(page, next=_cursor(page[-1]) if len(found) > len(page) else None)

    async def _living(self, tenant: str, pointers: list[Pointer], listing: Listing) -> list[Thread]:
        """Those of the threads that are there and wanted."""
        named = [(keys.thread_partition(ThreadKey(tenant, one.thread_id)), one) for one in pointers]
        rows = await self._table.get([Key(pk, keys.HEADER) for pk in dict(named)]) if named else []
        headers = {str(row["pk"]): Header.load(row) for row in rows}
        now = self._clock()
        threads = []
        for pk, pointer in named:
            # A header that is missing may have been decided and not be applied.
            header = headers[pk] if pk in headers else (await look(self._table, pk)).header
            thread = None if header is None else header.thread
            if thread is None or thread.owner != pointer.owner or _over(thread, now):
                continue
            if has_metadata(thread.metadata, listing.metadata):
                threads.append(replace(thread, active_at=from_micros(pointer.active_at)))
        return threads

    async def _pointers(self, tenant: str, listing: Listing) -> AsyncIterator[Pointer | ThreadCursor]:
        """An owner's pointers, or a tenant's, and behind those of an hour the place where it began."""
        if listing.owner is not None:
            for pointer in await self.owned(tenant, listing.owner):
                yield pointer
            return
        latest = _LAST if listing.before is None else _hour(to_micros(listing.before.active_at))
        async for hour_row in self._table.all(keys.active_hours(tenant), " ", latest, newest=True):
            hour = str(hour_row["sk"])
            rows = [row async for row in self._table.all(keys.active_bucket(tenant, hour), " ", _LAST)]
            here = [Pointer(int(row["v"]), str(row["id"]), _owner(row)) for row in rows]
            exact = await self._exact(tenant, hour, here)
            if hour < _hour(self._clock() - keys.HOUR):
                # Over for long enough that nobody writes to it any more: the next one passes it by.
                kept = {(one.thread_id, one.owner) for one in exact}
                gone = [_key(row) for row in rows if (row["id"], _owner(row)) not in kept]
                await self._remove(gone if exact else [*gone, Key(keys.active_hours(tenant), hour)])
            for pointer in sorted(exact, key=_activity, reverse=True):
                yield pointer
            yield ThreadCursor(from_micros(int(hour) * keys.HOUR), "")

    async def _exact(self, tenant: str, hour: str, here: list[Pointer]) -> list[Pointer]:
        """Those of an hour's pointers that hold, as their owners' lists say."""
        rows = [Key(keys.owner_partition(tenant, one.owner), keys.owner_row(one.thread_id)) for one in here]
        current = {_key(row): int(row["v"]) for row in await self._table.get(rows)}
        exact: list[Pointer] = []
        later: list[tuple[Pointer, set[Key]]] = []
        for one, row in zip(here, rows, strict=True):
            if row not in current:
                continue
            held = one._replace(active_at=max(one.active_at, current[row]))
            if _hour(current[row]) < hour:
                await self._bring_back(tenant, one, current[row])
            if _hour(held.active_at) == hour:
                exact.append(held)
            elif _hour(held.active_at) > hour:
                key = ThreadKey(tenant, one.thread_id)
                _, *listed = self._activity(key, one.owner, held.active_at)
                later.append((held, set(map(_key, listed))))
        # One that is on its way to a later hour, or whose writer was killed, is still to be found here.
        asked = set[Key]().union(*(listed for _, listed in later))
        present = {_key(row) for row in await self._table.get(sorted(asked))} if asked else set()
        end = (int(hour) + 1) * keys.HOUR - 1
        return exact + [held._replace(active_at=end) for held, listed in later if not listed <= present]

    async def _bring_back(self, tenant: str, pointer: Pointer, behind: int) -> None:
        """Undo what a write did that arrived late: it put back a time of an hour that the thread has left."""
        row, *_ = self._activity(ThreadKey(tenant, pointer.thread_id), pointer.owner, pointer.active_at)
        with contextlib.suppress(Unavailable):
            await self._table.swap(row, behind)

    async def _remove(self, gone: list[Key]) -> None:
        # A list that is read is read, whether or not there is time to clear up.
        with contextlib.suppress(Unavailable):
            if gone:
                await self._table.write([], gone)

    async def owned(self, tenant: str, owner: str | None) -> list[Pointer]:
        """An owner's pointers, newest activity first."""
        pk = keys.owner_partition(tenant, owner)
        rows = [row async for row in self._table.all(pk, " ", _LAST)]
        pointers = [Pointer(int(row["v"]), str(row.get("id", str(row["sk"])[1:])), owner) for row in rows]
        return sorted(pointers, key=_activity, reverse=True)

    async def due(self, now: int) -> AsyncIterator[Visit]:
        """Visits that are due, the oldest first."""
        async for hour_row in self._table.all(keys.VISITS, " ", _hour(now)):
            hour = str(hour_row["sk"])
            async for row in self._table.all(keys.visit_bucket(hour), " ", f"{now:017d}~"):
                yield Visit(_key(row), _due(row), str(row["of"]))
            if hour < _hour(now - keys.HOUR):
                # Over for long enough that nobody writes to it any more.
                await self._table.write([], [Key(keys.VISITS, hour)])

    async def visited(self, visit: Key) -> None:
        """Take a visit off the list."""
        await self._table.write([], [visit])


def _key(row: Row) -> Key:
    return Key(str(row["pk"]), str(row["sk"]))


def _due(visit: Row) -> int:
    return int(str(visit["sk"]).partition("#")[0])


def _hour(micros: int) -> str:
    return f"{micros // keys.HOUR:08d}"


def _named(thread_id: str, owner: str | None) -> str:
    return keys.digest(f"{'' if owner is None else '+' + owner}\0{thread_id}")


def _owner(row: Row) -> str | None:
    return str(row["o"]) if "o" in row else None


def _over(thread: Thread, now: int) -> bool:
    return thread.expires_at is not None and to_micros(thread.expires_at) <= now


def _cursor(at: Thread | ThreadCursor) -> str:
    return ThreadCursor(at.active_at, at.id).text()


def _shorten(known: dict[Any, Any]) -> None:
    while len(known) > _REMEMBERED:
        known.pop(next(iter(known)), None)


def _activity(pointer: Pointer) -> tuple[int, str]:
    return pointer.active_at, pointer.thread_id
