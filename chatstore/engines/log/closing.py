"""What lists hold of threads that are gone or elsewhere: it is found here, and removed.

A thread's log names the hours in which the thread is listed, and what ends a thread names where it was. That
leaves the rows of writers that were killed before they took a slot, and of calls that arrived late. They are
found when their hour is over. Nothing more is written to it then, so each of its rows is looked at once.

A row is removed as what it was when it was read, and it was read before its thread was looked at. Who begins
the thread again writes rows of its own first; those are others, and stay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial

from chatstore.contract import Clock, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.head import Head, look
from chatstore.engines.log.lists import OVER, Lists, hours_of, names, owner_of, thread_id_of
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.records import Header
from chatstore.engines.log.visiting import all_rows, slot_of
from chatstore.engines.log.visits import hour_of, key_of

__all__ = ["Closer"]

_TOGETHER = 100
_EXAMINED = 1000
"""How many rows a step looks at before it leaves the rest to the next."""


class Closer:
    """Looks through the hours that are over, and takes threads off the lists."""

    def __init__(self, table: Table, clock: Clock, lists: Lists) -> None:
        self._table = table
        self._clock = clock
        self._lists = lists
        self._left: list[tuple[str, str]] = []

    async def step(self) -> bool:
        """Look through hours that are over, and that nobody has; whether there is more to do.

        The tenants come in a circle that begins at any of them. So none is left out each time that time is
        short.
        """
        now = self._clock()
        first = layout.digest(str(now))
        # Several may be on their way at once: each goes on by itself from where one of them ended last.
        left = list(self._left) or [(first, layout.LAST), (" ", first)]
        examined = 0
        while left and examined < _EXAMINED:
            low, high = left.pop(0)
            found = await self._table.query(layout.TENANTS, low, high, limit=_TOGETHER)
            tenants = [str(row["id"]) for row in found.rows]
            for row, tenant, closed in zip(found.rows, tenants, await self._closed(tenants), strict=True):
                if examined >= _EXAMINED:
                    left.insert(0, (low, high))
                    break
                examined += 1 + await self._close(tenant, closed, now)
                low = str(row["sk"]) + "\0"
            else:
                if found.more:
                    left.insert(0, (low, high))
        self._left = left
        return bool(left)

    async def _closed(self, tenants: Sequence[str]) -> list[Row | None]:
        """For each tenant the row that says which hours were looked through."""
        places = [Key(layout.active_hours(tenant), layout.CLOSED) for tenant in tenants]
        found = {row["pk"]: row for row in await self._table.get(places)} if places else {}
        return [found.get(place.pk) for place in places]

    async def _close(self, tenant: str, closed: Row | None, now: int) -> int:
        """Look through a tenant's hours that are over; how many rows that were."""
        version = None if closed is None else int(closed["v"])
        low = layout.FIRST_HOUR if version is None else layout.hour_name(version + 1)
        last, examined = hour_of(now - OVER), 0
        async for row in self._table.all(layout.active_hours(tenant), low, layout.hour_name(last)):
            examined += 1 + await self._look_through(tenant, int(str(row["sk"])))
        if examined:
            row = {"pk": layout.active_hours(tenant), "sk": layout.CLOSED, "v": last}
            await self._table.swap(row, version)
        return examined

    async def _look_through(self, tenant: str, hour: int) -> int:
        rows = [row async for row in self._table.all(layout.active_bucket(tenant, hour), " ", layout.LAST)]
        kept = 0
        for start in range(0, len(rows), _TOGETHER):
            kept += await self._kept(tenant, hour, rows[start : start + _TOGETHER])
        await self._lists.clear(tenant, hour, (), empty=not kept)
        return len(rows)

    async def _kept(self, tenant: str, hour: int, rows: Sequence[Row]) -> int:
        """Remove those rows of an hour that point to no thread, or to one that is listed elsewhere.

        What is left of a thread for a day stays listed, so that an erasure finds it.
        """
        owners = await self._lists.owners_rows(tenant, rows)
        headers = await self._lists.headers([(_partition(tenant, row), int(row["v"])) for row in rows])
        looks = [
            partial(self._stays, tenant, hour, row, one, headers[_partition(tenant, row)])
            for row, one in zip(rows, owners, strict=True)
        ]
        return sum(await self._table.together(looks))

    async def _stays(self, tenant: str, hour: int, row: Row, one: Row | None, header: Header | None) -> bool:
        """Whether a row of an hour does, by its owner's row `one` and its thread's header. If not it goes."""
        thread = None if header is None else header.thread
        listed = -1 if one is None else hour_of(int(one["v"]))
        if thread is None or thread.owner != owner_of(row):
            pk = _partition(tenant, row)
            if await _hold(all_rows(self._table, pk), owner_of(row)):
                if one is None:
                    await self._lists.lead_back(tenant, row)
                if one is None or listed == hour:
                    return True
            elif listed <= hour:
                # Before the last row goes that leads to what the owner's writers have staged.
                await self._discard(pk)
                if one is not None:
                    # This row leads here again, should this be interrupted: it goes last.
                    hours = hours_of(one) - {hour}
                    for other in await self.listed(tenant, str(row["id"]), owner_of(row), hours):
                        await self._table.remove(other)
                    await self._table.remove(one)
        elif listed == hour or (
            listed < hour and hour_of(await self._lists.put_right(tenant, row, one)) == hour
        ):
            return True
        await self._table.remove(row)
        return False

    async def _discard(self, pk: str) -> None:
        """Remove rows that were written for a slot an hour ago and more, and that no slot brought to light.

        A plan is given up after ten minutes, so nobody decides on them now. The state is looked at after all
        was read: what was decided meanwhile is found to be so.
        """
        before = self._clock() - layout.HOUR
        staged: list[tuple[str, Key, set[str]]] = []
        rows: list[Row] = []
        named: set[str] = set()
        used: set[str] = set()
        async for row in all_rows(self._table, pk):
            slot = slot_of(row)
            if slot is None:
                rows.append({**row, "b": b""})
            elif slot.staged:
                staged.append((slot.epoch, key_of(row), slot.refs))
            else:
                used |= slot.refs
                if slot.seals and slot.header is not None:
                    named.add(slot.header.epoch)
        head = await look(self._table, pk)
        named.add(head.epoch)
        dead: list[Key] = []
        for epoch, key, refs in staged:
            if epoch not in named and layout.made_at(epoch) < before:
                dead.append(key)
            else:
                used |= refs
        dead += [key_of(row) for row in rows if _is_unused(row, used, head, before)]
        if dead:
            await self._table.write([], dead)

    async def traces(self, tenant: str, owner: str | None) -> dict[str, list[Row]]:
        """All rows that list an owner's threads, by thread: of the owner's list and of hours not yet over."""
        found: dict[str, list[Row]] = {}
        for row in await self._lists.owned(tenant, owner):
            found.setdefault(thread_id_of(row), []).append(row)
        [closed] = await self._closed([tenant])
        low = layout.FIRST_HOUR if closed is None else layout.hour_name(int(closed["v"]) + 1)
        async for hour in self._table.all(layout.active_hours(tenant), low, layout.LAST):
            bucket = layout.active_bucket(tenant, int(str(hour["sk"])))
            async for row in self._table.all(bucket, " ", layout.LAST):
                if owner_of(row) == owner:
                    found.setdefault(str(row["id"]), []).append(row)
        return found

    async def owners(self, tenant: str) -> set[str | None]:
        """Whose threads a tenant's hours list; None for nobody's."""
        found: set[str | None] = {None}
        async for hour in self._table.all(layout.active_hours(tenant), layout.FIRST_HOUR, layout.LAST):
            bucket = layout.active_bucket(tenant, int(str(hour["sk"])))
            found |= {owner_of(row) async for row in self._table.all(bucket, " ", layout.LAST)}
        return found

    async def listed(self, tenant: str, thread_id: str, owner: str | None, hours: set[int]) -> list[Row]:
        """The rows that list an owner's thread in those hours."""
        return await self._table.get(
            [layout.active_place(tenant, hour, thread_id, owner) for hour in sorted(hours)]
        )


async def _hold(rows: AsyncIterator[Row], owner: str | None) -> bool:
    """Whether some are of a thread of that owner, living or not."""
    async for row in rows:
        slot = slot_of(row)
        if slot is None:
            continue
        if names(slot.header, owner) or (slot.pointer is not None and slot.pointer[2] == owner):
            return True
    return False


def _is_unused(row: Row, used: Collection[str], head: Head, before: int) -> bool:
    """Whether it is a text that is not `used`, or a claim of another history, and was written before then."""
    ref, history = layout.text_of(str(row["sk"])), layout.claim_of(str(row["sk"]))
    if ref is not None:
        return ref not in used and layout.made_at(ref) < before
    return history not in (None, head.public_epoch) and layout.made_at(str(row["s"])) < before


def _partition(tenant: str, row: Row) -> str:
    return layout.thread_partition(ThreadKey(tenant, str(row["id"])))
