"""Removing what is left of an owner: all of it, or what is left of one who had a thread's id long ago.

A listing's row leads to a thread, so it goes last, and only as it was read. Whoever writes for the owner
meanwhile writes that row first. Then it is another row, and the erasure looks again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from chatstore.engines.fenced import layout
from chatstore.engines.fenced.counting import Count
from chatstore.engines.fenced.header import GRACE, LISTINGS, MINUTE, Known, State
from chatstore.engines.fenced.port import Entity, Op, Overtaken
from chatstore.engines.fenced.purging import Purger
from chatstore.errors import Unavailable
from chatstore.models import Erased

__all__ = ["Eraser"]

_TRIES = 20
_GROUP = 100


class Eraser(Purger):
    """Removes whatever a listing leads to."""

    async def erase(self, tenant: str, owner: str | None) -> Erased:
        """Remove an owner's threads, or the tenant's, and what is left of earlier ones, at once."""
        listed = layout.listings(tenant) if owner is None else layout.listing(tenant, owner)
        count = Count()
        async for row in self._table.scan(listed, bodies=False):
            count.living = set()
            for _ in range(_TRIES):
                if await self._erased(row.partition, row.row, count):
                    break
            else:
                raise Unavailable("others kept writing to a thread while it was erased: erase again")
        return Erased(count.threads, count.messages, count.requests)

    async def forget(self, partition: str, known: Known) -> Known:
        """Take the older half off a header's listings, and remove what they lead to. Raises Overtaken."""
        state = known.state or State("")
        kept, old = state.listings[: LISTINGS // 2], state.listings[LISTINGS // 2 :]
        rows = [(listing, await self._table.get(listing, partition)) for listing in old]
        for number, listing in enumerate(old):
            # Whoever is killed in here leaves rows that no header names.
            await self.note(partition, self._now + GRACE + number, listing)
        # Whoever was about to rely on a row must look again.
        known = await self.commit(partition, known, state._replace(listings=kept))
        known = await self._empty(partition, known, old, Count())
        for listing, row in rows:
            if row is not None:
                # Who has touched it since is about to name its listing again.
                with contextlib.suppress(Overtaken):
                    await self._table.submit(listing, [Op("delete", row.row, {}, row.etag)])
        return known

    async def settle(self, listing: str, partition: str) -> None:
        """Have a row of a listing say no more than the header does, whose writer was refused, or killed.

        A row that no header names is removed; one that tells of another minute's activity is put right.
        Raises Overtaken where somebody writes there.
        """
        row = await self._table.get(listing, partition)
        if row is None:
            return
        known = await self._reader.known(partition)
        state = known.state
        if state is not None and listing in state.listings:
            await self._put_right(row, known, state)
            return
        after = state or await self.bury(partition, None)
        # Whoever was about to rely on the row must look again. An erasure that is as far as this ends here.
        known = await self.commit(partition, known, after)
        await self._empty(partition, known, {listing}, Count())
        await self._table.submit(listing, [Op("delete", partition, {}, row.etag)])

    async def _put_right(self, row: Entity, known: Known, state: State) -> None:
        told = row.properties.get("a")
        if told is None or state.deleted is not None or row.partition != state.listings[0]:
            return  # it is not shown
        if int(str(told)) // MINUTE == state.active // MINUTE:
            return
        # Whoever has told the row, and not yet changed the header, must tell it again.
        await self.commit(row.row, known, state)
        right = Op("merge", row.row, {"a": f"{state.active:017d}"}, row.etag)
        await self._table.submit(row.partition, [right])

    async def _erased(self, listing: str, partition: str, count: Count) -> bool:
        """Erase what a row of a listing names; False where somebody wrote there meanwhile."""
        row = await self._table.get(listing, partition)
        if row is None:
            return True
        try:
            known = await self._reader.known(partition)
            state = known.state
            owned = state is not None and state.deleted is None and state.listings[0] == listing
            if state is None or owned:
                after = await self.bury(partition, state)
            else:
                after = state
            after = after._replace(listings=tuple(one for one in after.listings if one != listing))
            known = await self.commit(partition, known, after)
            if state is not None and owned:
                count.threads += 1
                count.living = {*(count.living or ()), state.generation}
            await self._empty(partition, known, {listing}, count)
            await self._table.submit(listing, [Op("delete", partition, {}, row.etag)])
        except Overtaken:
            return False
        return True

    async def _empty(self, partition: str, known: Known, listings: Collection[str], count: Count) -> Known:
        """Remove the results of requests of whom `listings` are, and all that the header does not name.

        That includes what writers are about to name. They write it anew.
        """
        own = [
            one
            async for one in self._table.scan(partition, layout.RECORDS, bodies=False)
            if one.properties.get("o") in listings
        ]
        for start in range(0, len(own), _GROUP):
            some = own[start : start + _GROUP]
            # As they were read: another result may have come in the place of one.
            await self._table.submit(partition, [Op("delete", one.row, {}, one.etag) for one in some])
            count.requests += len(some)
        return await self.purge(partition, known, count)
