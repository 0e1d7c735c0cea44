"""Which threads there are: by owner, and by the hour in which they were active.

These rows only point to threads; the thread's own rows say what is so. They are written before what they
point to: a writer that is killed leaves a pointer too many, and never one too few.

A thread's own log says when it was active, and that time never goes back, whatever a clock says. So a thread
moves from one hour of its tenant to a later one, never back, in steps that may end anywhere:

    the later hour's row is written, and what is left of hours before the last is removed
    the owner's row is brought from the one time to the other, if nobody brought it further
    the slot is taken that says so, and that names the hour which the thread has left

The owner's row says which of a thread's hours holds, and which it left. What else a killed writer or a late
call leaves in an hour is removed once that hour is over (`chatstore.engines.log.closing`). An hour that was
left may be over already. A writer may get no further than the owner's row, and nobody else knows of that
hour. So the row names the hour until the log does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chatstore.contract import Clock, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.head import expired, look
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.records import Header
from chatstore.engines.log.visits import NONE, Visits, Written, hour_of, key_of
from chatstore.errors import Unavailable
from chatstore.models import ThreadCursor, from_micros

__all__ = ["OVER", "Lists", "Pointer", "hours_of", "names", "owner_of", "thread_id_of"]

OVER = 2 * layout.HOUR
"""How long after its beginning an hour is over: clocks differ, and calls are late, by minutes at most."""

_TRIES = 10


class Pointer(NamedTuple):
    """A thread in a list, and when it was active. It may also be listed in the hours `left` that it left.

    `row` is what says so, in an owner's list.
    """

    active_at: int
    thread_id: str
    owner: str | None
    left: tuple[int, ...] = ()
    row: Row | None = None

    @property
    def place(self) -> ThreadCursor:
        """Where a listing that ends here goes on."""
        return ThreadCursor(from_micros(self.active_at), self.thread_id)


class Lists:
    """The rows outside of the threads' own partitions."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._written = Written(table)
        self.visits = Visits(table, clock, self._written)

    # Writing

    async def point(
        self, key: ThreadKey, owner: str | None, active_at: int, token: str, *, left: Sequence[int] = (),
        visit: int | None = None,
    ) -> None:  # fmt: skip
        """Before a thread is made: list it, and note when it is to be visited; one trip.

        `token` tells these rows from all others that point to a thread of that id. `left` are the hours in
        which one before it is listed still.
        """
        row, bucket = self._activity(key, owner, active_at, token)
        row = _naming(row, left)
        pk = layout.thread_partition(key)
        planned = NONE if visit is None else self.visits.plan(pk, visit)
        rows = [*planned.rows, bucket, row]
        await self._written.put(rows, once=[*planned.hours, *_in_tenant(key.tenant, active_at)])
        self.visits.remember(pk, planned)

    async def point_again(self, key: ThreadKey, owner: str | None, active_at: int, token: str) -> None:
        """After a thread of long ago is made: write again what is not there of the rows that list it."""
        rows = [*self._activity(key, owner, active_at, token), *_in_tenant(key.tenant, active_at)]
        there = {key_of(row) for row in await self._table.get([key_of(row) for row in rows])}
        missing = [row for row in rows if key_of(row) not in there]
        if missing:
            await self._table.write(missing)

    async def move(
        self, key: ThreadKey, owner: str | None, active_at: int, token: str, before: Pointer
    ) -> tuple[int, ...] | None:
        """Before a thread is active in another minute: list it so. Gives the hours that it leaves.

        Takes one trip, and in another hour one more. If the thread was erased meanwhile, nothing is listed,
        and None is given. Raises Unavailable where too many list it at once.
        """
        row, bucket = self._activity(key, owner, active_at, token)
        hour, left = hour_of(active_at), set(before.left)
        if hour != hour_of(before.active_at):
            # Those were left an hour ago and more: nobody looks for the thread there.
            gone = [layout.active_place(key.tenant, one, key.id, owner) for one in before.left if one != hour]
            await self._written.put([bucket], once=_in_tenant(key.tenant, active_at), gone=gone)
            left = {hour_of(before.active_at)}
        expected, former = before.active_at, {hour_of(before.active_at)}
        for _ in range(_TRIES):
            # Not always the log's: a writer may have got as far as this row, and not to its slot.
            named = (left | former) - {hour}
            if await self._table.swap(_naming(row, named), expected):
                left = named
                break
            there = await self._table.get([key_of(row)])
            if not there:
                await self._table.remove(bucket)
                return None
            expected, former = int(there[0]["v"]), hours_of(there[0])
            if expected >= active_at:
                break
        else:
            raise Unavailable(f"thread {key.id!r} has too many writers that list it at once")
        return tuple(sorted(left - {hour}))

    def present(self, tenants: Iterable[str]) -> list[Row]:
        """The rows that lead to those tenants' lists of the present hour."""
        now = self._clock()
        return [row for tenant in sorted(tenants) for row in _in_tenant(tenant, now)]

    async def list_again(self, key: ThreadKey, one: Row, owner: str | None) -> Row | None:
        """List what is left of a thread in the present hour. The row that does, unless there is one already.

        `one` is the row in the owner's list. Takes one trip, and one more where nobody was listed there yet.
        An hour that is over by then may be looked through already: then it is listed in the next one.
        """
        former: Row | None = None
        while True:
            now = self._clock()
            _, bucket = self._activity(key, owner, now, str(one.get("s", "")))
            await self._written.put([], once=_in_tenant(key.tenant, now))
            put = await self._table.swap(bucket, None)
            if former is not None:
                await self._table.remove(former)
            if self._clock() < hour_of(now) * layout.HOUR + OVER:
                return bucket if put else None
            former = bucket if put else None

    async def former(self, key: ThreadKey, owner: str | None, active_at: int) -> tuple[int, ...]:
        """Before a thread is made where there was one: the hours in which that is listed still; one trip."""
        rows = await self._table.get([layout.owner_place(key.tenant, key.id, owner)])
        return tuple(sorted({hour for row in rows for hour in hours_of(row)} - {hour_of(active_at)}))

    @staticmethod
    def _activity(key: ThreadKey, owner: str | None, active_at: int, token: str) -> tuple[Row, Row]:
        """A thread's row in its owner's list, and its row in the hour's."""
        row: Row = {**layout.owner_place(key.tenant, key.id, owner)._asdict(), "v": active_at, "s": token}
        if not str(row["sk"]).startswith("#"):
            row["id"] = key.id
        place = layout.active_place(key.tenant, hour_of(active_at), key.id, owner)
        bucket: Row = {**place._asdict(), "v": active_at, "s": token, "id": key.id}
        if owner is not None:
            bucket["o"] = owner
        return row, bucket

    # Reading

    async def headers(self, listed: Sequence[tuple[str, int]]) -> dict[str, Header | None]:
        """The headers of threads, by partition; each is listed as active at that time."""
        # The latest for each, where it was several owners' thread one after another.
        wanted = dict(sorted(listed))
        rows = await self._table.get([Key(pk, layout.HEADER) for pk in wanted]) if wanted else []
        headers: dict[str, Header | None] = {str(row["pk"]): Header.load(row) for row in rows}
        for pk, active_at in wanted.items():
            header = headers.get(pk)
            thread = None if header is None else header.thread
            gone = thread is None or expired(thread, self._clock())
            if header is None or (gone and header.base.active_at < active_at):
                # A thread may have been begun since that was written, and its own may not be written yet.
                headers[pk] = (await look(self._table, pk)).header
        return headers

    async def owners_rows(self, tenant: str, rows: Sequence[Row]) -> list[Row | None]:
        """For each row of an hour the one of the same thread in its owner's list."""
        places = [layout.owner_place(tenant, str(row["id"]), owner_of(row)) for row in rows]
        found = {key_of(row): row for row in await self._table.get(places)} if places else {}
        return [found.get(place) for place in places]

    async def put_right(self, tenant: str, row: Row, one: Row | None) -> int:
        """When the thread of an hour's row was active. The owner's row `one` says earlier, or is not there.

        Most often a writer is on its way, or was killed. Where the thread itself says that it was active in
        this hour, a call that arrived late has put the owner's row back in time. Then that row is brought
        forward again.
        """
        key = ThreadKey(tenant, str(row["id"]))
        head = await look(self._table, layout.thread_partition(key))
        active_at = head.totals.active_at
        if not names(head.header, owner_of(row)) or hour_of(active_at) != hour_of(int(row["v"])):
            return 0
        forward, _ = self._activity(key, owner_of(row), active_at, str(row.get("s", "")))
        if one is not None:
            forward = _naming(forward, hours_of(one) - {hour_of(int(one["v"])), hour_of(active_at)})
            # First: once the owner's row says otherwise, nothing leads to the row of that hour any more.
            earlier = layout.active_place(tenant, hour_of(int(one["v"])), key.id, owner_of(row))
            await self._table.write([], [earlier])
        with contextlib.suppress(Unavailable):
            await self._lead(row, forward, None if one is None else int(one["v"]))
        return active_at

    async def lead_back(self, tenant: str, row: Row) -> None:
        """Put the thread of an hour's row into its owner's list, where it is not."""
        key = ThreadKey(tenant, str(row["id"]))
        again, _ = self._activity(key, owner_of(row), int(row["v"]), str(row.get("s", "")))
        await self._lead(row, again, None)

    async def _lead(self, row: Row, one: Row, expected: int | None) -> None:
        """Put `one` into an owner's list for the thread of an hour's `row`.

        An erasure removes the hour's row before it looks for the owner's for the last time. So if the hour's
        is there after this, an erasure finds what was put. If it is gone, this takes it back.
        """
        if await self._table.swap(one, expected) and not await self._table.get([key_of(row)]):
            await self._table.remove(one)

    async def clear(self, tenant: str, hour: int, left: Sequence[Row], *, empty: bool) -> None:
        """Remove rows of an hour that is over, and the hour if it is `empty` then."""
        for row in left:
            await self._table.remove(row)
        if empty:
            await self._table.write([], [Key(layout.active_hours(tenant), layout.hour_name(hour))])

    async def owned(self, tenant: str, owner: str | None) -> list[Row]:
        """The rows of an owner's list."""
        return [row async for row in self._table.all(layout.owner_partition(tenant, owner), " ", layout.LAST)]


def _naming(row: Row, left: Iterable[int]) -> Row:
    """A row of an owner's list that names hours which the thread, or one before it, has left."""
    hours = " ".join(map(str, sorted(left)))
    return {**row, "f": hours} if hours else row


def hours_of(row: Row) -> set[int]:
    """The hours that a row of an owner's list names: its thread's own, and those of threads before it."""
    return {hour_of(int(row["v"])), *map(int, str(row.get("f", "")).split())}


def owner_of(row: Row) -> str | None:
    """The owner of the thread that an hour's row points to."""
    return str(row["o"]) if "o" in row else None


def names(header: Header | None, owner: str | None) -> bool:
    """Whether a header is that of a thread of that owner, expired or not."""
    return header is not None and header.thread is not None and header.thread.owner == owner


def _in_tenant(tenant: str, active_at: int) -> list[Row]:
    """The row of an hour in its tenant's, and the tenant's in the list of tenants."""
    hour = layout.hour_name(hour_of(active_at))
    return [
        {"pk": layout.active_hours(tenant), "sk": hour},
        {"pk": layout.TENANTS, "sk": layout.digest(tenant), "id": tenant},
    ]


def thread_id_of(row: Row) -> str:
    """The id of the thread that a row of an owner's list points to."""
    return str(row.get("id", str(row["sk"])[1:]))
