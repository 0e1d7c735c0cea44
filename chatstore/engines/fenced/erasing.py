"""Removing what is left of an owner: all of it, or what is left of one who had a thread's id long ago."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from chatstore.engines.fenced import layout
from chatstore.engines.fenced.counting import Count
from chatstore.engines.fenced.header import LISTINGS, Known, State, buried
from chatstore.engines.fenced.payload import pieces
from chatstore.engines.fenced.port import Op, Overtaken
from chatstore.engines.fenced.purging import Purger
from chatstore.engines.fenced.sweeping import KEPT
from chatstore.errors import Unavailable
from chatstore.models import Erased

__all__ = ["Eraser"]

_TRIES = 20


class Eraser(Purger):
    """Removes whatever a listing leads to."""

    async def erase(self, tenant: str, owner: str | None) -> Erased:
        """Remove an owner's threads, or the tenant's, and what is left of earlier ones, at once."""
        listed = layout.listings(tenant) if owner is None else layout.listing(tenant, owner)
        count = Count()
        async for row in self._table.scan(listed, bodies=False):
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
        # Whoever was about to rely on a row must look again.
        known = await self.commit(partition, known, state._replace(listings=kept))
        await self._empty(partition, state, old, Count())
        for listing, row in rows:
            if row is not None:
                # Who has touched it since is about to name its listing again.
                with contextlib.suppress(Overtaken):
                    await self._table.submit(listing, [Op("delete", row.row, {}, row.etag)])
        return known

    async def unlist(self, listing: str, partition: str) -> None:
        """Remove a row of a listing that no header names: what was to do so was overtaken, or killed.

        Does nothing where a header names the listing by now. Raises Overtaken where somebody writes there.
        """
        row = await self._table.get(listing, partition)
        known = await self._reader.known(partition)
        after = known.state
        if row is None or (after is not None and listing in after.listings):
            return
        if after is None:
            after = await self._buried(partition, None)
        # Whoever was about to rely on the row must look again. An erasure that is as far as this ends here.
        await self.commit(partition, known, after)
        await self._empty(partition, after, {listing}, Count())
        await self._table.submit(listing, [Op("delete", partition, {}, row.etag)])

    async def _erased(self, listing: str, partition: str, count: Count) -> bool:
        """Erase what a row of a listing names; False where somebody wrote there meanwhile."""
        row = await self._table.get(listing, partition)
        if row is None:
            return True
        try:
            known = await self._reader.known(partition)
            state, named = known.state, known.properties
            owned = state is not None and state.deleted is None and state.listings[0] == listing
            if state is None or owned:
                after = await self._buried(partition, state)
            else:
                after = state
            after = after._replace(listings=tuple(one for one in after.listings if one != listing))
            known = await self.commit(partition, known, after)
            count.threads += owned
            count.living = state.generation if state is not None and owned else ""
            if owned:
                await self.delete(partition, pieces(layout.HEADER, named))
            await self._empty(partition, after, {listing}, count)
            await self._table.submit(listing, [Op("delete", partition, {}, row.etag)])
        except Overtaken:
            return False
        return True

    async def _buried(self, partition: str, state: State | None) -> State:
        """What is to stay of a thread for a while, with a note by which a sweep removes it."""
        after = buried(state, self._now)
        if after.due is not None:
            return after
        await self.note(partition, self._now + KEPT)
        return after._replace(due=self._now + KEPT)

    async def _empty(self, partition: str, state: State, listings: Collection[str], count: Count) -> None:
        """Remove the results of requests of whom `listings` are, and every history but the present one."""
        own = [
            one
            async for one in self._table.scan(partition, layout.RECORDS, bodies=False)
            if one.properties.get("o") in listings
        ]
        parts = [piece for one in own for piece in pieces(one.row, one.properties)]
        await self.delete(partition, [*(one.row for one in own), *parts])
        count.requests += len(own)
        await self.purge(partition, state, count)
