"""Removing what is left of an owner: all of it, or what is left of one who had a thread's id long ago.

A listing's row leads to a thread, so it goes last, and only as it was read. Whoever writes for the owner
meanwhile writes that row first. Then it is another row, and the erasure looks again.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping

from chatstore.engines.fenced import layout
from chatstore.engines.fenced.counting import Count
from chatstore.engines.fenced.header import GRACE, LISTINGS, MINUTE, Known, State
from chatstore.engines.fenced.port import Entity, Op, Overtaken
from chatstore.engines.fenced.purging import Purger
from chatstore.engines.fenced.telling import FORK
from chatstore.errors import Unavailable
from chatstore.models import Erased

__all__ = ["Eraser"]

_ROUNDS = 5
_TRIES = 20


class Eraser(Purger):
    """Removes whatever a listing leads to."""

    async def take_back(self, partition: str, refused: Mapping[str, str | None]) -> None:
        """Remove what refused tries wrote ahead: an erasure may have looked for it before it came.

        A sweep would, but later. `refused` says of each try by name which history it was planned for.
        Pieces need no condition: the one group that could name them asks for a header which is past. Should
        that group have been applied after all, its rows name them. Names may be another writer's by now, so
        they go with a write of the header, and only where a try's history has ended. Raises Overtaken where
        others write.
        """
        known = await self._reader.known(partition)
        strays = [row async for row in self.strays(partition, known.state) if row.row[0] in "pq"]
        mine = [row.row for row in strays if row.row[0] == "p" and layout.chunk_owner(row.row)[1] in refused]
        await self._table.submit_all(partition, [Op("delete", row, {}) for row in mine])
        now = known.state
        present = None if now is None or now.deleted is not None else now.epoch
        if all(planned is not None and planned == present for planned in refused.values()):
            return
        names = [row for row in strays if row.row[0] == "q"]
        while names:
            state = known.state or await self.bury(partition, None)
            known, _ = await self.discard(partition, known, state, names[: self.group], set())
            names = names[self.group :]

    async def erase(self, tenant: str, owner: str | None) -> Erased:
        """Remove an owner's threads, or the tenant's, and what is left of earlier ones, at once.

        Each thread goes by itself: what was removed before an error stays removed. What is begun meanwhile
        stays, but for forks: they may be copies of what was erased since. So listings are gone through again
        until no fork is found. Raises Unavailable where others kept writing to a thread, or forking some.
        """
        count = Count()
        for again in range(_ROUNDS):
            left = False
            async for row in self._table.scan(layout.listings(tenant, owner), bodies=False):
                # A fork that is listed and not yet there is refused then.
                if not again or FORK in row.properties:
                    left = True
                    await self._erased_at_last(row, count)
            if not left:
                return Erased(count.threads, count.messages, count.requests)
        raise Unavailable("threads kept being forked while they were erased: erase again")

    async def _erased_at_last(self, row: Entity, count: Count) -> None:
        count.living = set()
        for _ in range(_TRIES):
            if await self._erased(row.partition, row.row, count):
                return
        raise Unavailable("others kept writing to a thread while it was erased: erase again")

    async def forget(self, partition: str, known: Known) -> Known:
        """Take the older half off a header's listings, and remove what they lead to. Raises Overtaken."""
        state = known.state or State("")
        kept, old = state.listings[: LISTINGS // 2], state.listings[LISTINGS // 2 :]
        rows = [(listing, await self._table.get(listing, partition)) for listing in old]
        for number, listing in enumerate(old):
            # Whoever is killed in here leaves rows that no header names.
            await self.schedule(partition, self._now + GRACE + number, listing)
        # Whoever was about to rely on a row must look again.
        known = await self._empty(partition, known, state._replace(listings=kept), old, Count())
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
        await self._empty(partition, known, after, {listing}, Count())
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
            await self._empty(partition, known, after, {listing}, count, owned=owned)
            await self._table.submit(listing, [Op("delete", partition, {}, row.etag)])
        except Overtaken:
            return False
        return True

    async def _empty(
        self,
        partition: str,
        known: Known,
        after: State,
        listings: Collection[str],
        count: Count,
        *,
        owned: bool = False,
    ) -> Known:
        """Write the header that is to come `after`, and remove with it all that it does not name.

        That includes the results of requests of whom `listings` are, and what writers are about to name:
        they write it anew. What does not fit goes in groups of its own. Messages count where the thread was
        `owned`. The header as it is then; raises Overtaken.
        """
        living = {*(count.living or ()), *([known.state.epoch] if owned and known.state else ())}
        groups = 0
        async for rows in _groups(self.strays(partition, after, listings=listings), self.group):
            known, messages = await self.discard(partition, known, after, rows, living)
            if groups == 0:
                count.living = living
                count.threads += owned
            groups += 1
            count.messages += messages
            count.requests += sum(row.row.startswith("r") for row in rows)
        return known


async def _groups(rows: AsyncIterator[Entity], most: int) -> AsyncIterator[list[Entity]]:
    """`rows` in groups, of which there is one at least: it is for the header alone if there are none."""
    group: list[Entity] = []
    first = True
    async for row in rows:
        group.append(row)
        if len(group) == most:
            yield group
            group, first = [], False
    if group or first:
        yield group
