"""Removing what is left of threads, in an order in which whoever is killed hides nothing.

An erasure finds a thread's rows by its owner's list, and a sweep finds that list's row by the slots that end
a thread. If only the list's row went, or only those slots, the rest would not be found. So each step is
acknowledged before the next one begins. Calls of one step are made side by side, because none leads to
another:

    the slots, but for those that name lists; the rows of hours; and a row of the present hour is put
    the slots that name lists
    the owner's row; and the slot is put that closes the epoch
    the row of the present hour, in which erasures and sweeps look both; and the header
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias, cast

from chatstore.contract import Clock, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.head import Head, look, require_awake
from chatstore.engines.log.lists import Lists, Pointer, hours_of, names
from chatstore.engines.log.planning import Answer, Decision, Turn, no_request
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.requests import search
from chatstore.engines.log.visiting import Remains
from chatstore.engines.log.visits import hour_of, key_of
from chatstore.engines.log.writing import Writer

__all__ = ["Discarder", "Met"]

_Call: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]

_HELD_UP = "a sweep was held up for long: sweep again"


class Met(NamedTuple):
    """A thread that was looked at: what is dead of it, when that was, and when it is to be visited next.

    `expired` says that it has to end first. `busy` that it moved on while it was looked at.
    """

    head: Head
    remains: Remains
    began: int
    next: int | None
    expired: bool = False
    busy: bool = False

    @property
    def key(self) -> ThreadKey:
        """The thread."""
        return ThreadKey(layout.tenant_of(self.head.pk), layout.thread_of(self.head.pk))

    @property
    def closes(self) -> str | None:
        """The epoch that this visit closes, where nothing but that slot is left for the next one."""
        head, remains = self.head, self.remains
        return head.epoch if remains.ended and head.newest is None and remains.next is None else None


class _Listing(NamedTuple):
    """What lists a thread that is gone: rows of hours, and those of owners' lists, which go behind slots."""

    hours: Sequence[Row]
    owners: Mapping[str | None, Row]


class Discarder:
    """Removes the rows of which nothing is in use, and leaves the epoch of what has ended."""

    def __init__(self, table: Table, clock: Clock, writer: Writer, lists: Lists, decide: Deciding) -> None:
        self._table = table
        self._clock = clock
        self._writer = writer
        self._lists = lists
        self._decide = decide

    async def listing(self, met: Iterable[Met]) -> dict[Key, Row]:
        """The rows that list what has ended of threads; a trip for every hundred, and most often no other."""
        ended = [(one.key, pointer) for one in met for pointer in one.remains.pointers]
        places = dict.fromkeys(place for key, pointer in ended for place in _places(key, pointer))
        listing = await self._get(places)
        # Activity of which no slot tells, as of a writer that was killed.
        more = {
            layout.active_place(key.tenant, hour, key.id, pointer.owner): None
            for key, pointer in ended
            for hour in _hours(key, pointer, listing)
        }
        return listing | await self._get([place for place in more if place not in places])

    async def _get(self, places: Iterable[Key]) -> dict[Key, Row]:
        wanted = list(places)
        return {key_of(row): row for row in await self._table.get(wanted)} if wanted else {}

    async def discard(self, met: Met, listing: Mapping[Key, Row]) -> None:
        """Remove what is dead of a thread; the texts go first, while an erasure finds them, the header last.

        `listing` has what lists it, and was read after the thread. Raises Unavailable where this took long.
        """
        remains, remove = met.remains, self._table.remove
        await self._table.write([], remains.rows)
        header = [row for row in remains.shared if row["sk"] == layout.HEADER]
        slots = [row for row in remains.shared if row not in header]
        listed = await self._listed(met, listing)
        if listed is None:
            await self._put_off(met, _Listing([], {}), {})
            return
        calls: list[_Call] = [partial(remove, row) for row in (*slots, *listed.hours)]
        calls += [
            partial(self._lists.list_again, met.key, one, owner) for owner, one in listed.owners.items()
        ]
        done = await self._table.together(calls)
        again = dict(zip(listed.owners, done[len(done) - len(listed.owners) :], strict=True))
        # The rows of the present hour are relied on from here: that hour is not to be over before the end.
        require_awake(2 * (self._clock() - met.began), _HELD_UP)
        gone = all(done[: len(slots)])
        if not gone and (remains.ends or remains.ended):
            await self._put_off(met, listed, again)
            return
        if not all(await self._table.together([partial(remove, row) for row in remains.ends])):
            await self._put_off(met, listed, again)
            return
        last: list[_Call] = [
            partial(self._remove, [one, again[owner]]) for owner, one in listed.owners.items()
        ]
        if remains.ended:
            await self.know(met)
            last.append(partial(self._move_on, met.key, met.head))
        await self._table.together(last)
        await self._remove(header)

    async def _put_off(self, met: Met, listed: _Listing, again: Mapping[str | None, Row | None]) -> None:
        """Leave the rest to a visit in an hour: somebody changed a row meanwhile, as an erasure does.

        What leads to it has to stay. A row of the present hour leads to the owner's row, so it goes only
        where that has gone: an erasure that removes it later looks for such rows after that.
        """
        await self._lists.visits.schedule(met.head.pk, self._clock() + layout.HOUR)
        there = await self._get(key_of(one) for one in listed.owners.values())
        rows = [again[owner] for owner, one in listed.owners.items() if key_of(one) not in there]
        await self._remove(rows)

    async def _remove(self, rows: Sequence[Row | None]) -> None:
        """Remove rows one after another."""
        for row in rows:
            if row is not None:
                await self._table.remove(row)

    async def _listed(self, met: Met, listing: Mapping[Key, Row]) -> _Listing | None:
        """Which rows list what has ended, and neither what is left of others nor who came after it.

        None where somebody may have come after it since it was looked at.
        """
        key, remains, head = met.key, met.remains, met.head
        mine = [
            row
            for pointer in remains.pointers
            for place in _places(key, pointer, listing)
            if (row := listing.get(place)) is not None
        ]
        others = any(str(row.get("s")) not in remains.tokens for row in mine)
        # Of a writer that got no slot, or of one who began another thread after this one was looked at.
        if others and _version(await look(self._table, head.pk)) != _version(head) + met.expired:
            return None
        # What was just written points to a thread that is about to be made.
        old = self._clock() - layout.HOUR
        hours: list[Row] = []
        owners: dict[str | None, Row] = {}
        for pointer in remains.pointers:
            one = listing.get(layout.owner_place(key.tenant, key.id, pointer.owner))
            kept: set[int] = set()
            if names(head.header, pointer.owner):
                kept = {hour_of(head.totals.active_at)} | _listed_in(one)
            elif pointer.owner in remains.owners:
                kept = _listed_in(one) or {hour_of(pointer.active_at), *pointer.left}
            elif one is not None and int(one["v"]) < old:
                owners[pointer.owner] = one
            hours += [
                row
                for place in _places(key, pointer, listing)[1:]
                if (row := listing.get(place)) is not None
                and int(row["v"]) < old
                and hour_of(int(row["v"])) not in kept
            ]
        return _Listing(hours, owners)

    async def know(self, met: Met) -> None:
        """Let the next slot be aimed at without another look: it is taken only where nobody was faster."""
        _, known = await search(self._table, met.head, None, met.began)
        self._writer.known.put(met.head.pk, known)

    async def _move_on(self, key: ThreadKey, head: Head) -> None:
        """Seal the epoch of what is no thread, so that whoever comes has another place to begin at.

        An epoch that bears only what is dead is followed by an empty one. An empty one is followed by the
        epoch in which all threads begin. That one is empty, because all that was found in it is removed, and
        it is sealed till then. The header goes with that. When the seal goes, an hour later, nobody knows any
        more of the epoch that it sealed.
        """

        async def plan(turn: Turn) -> Answer[None] | Decision[None]:
            present = turn.head
            if not present.is_at(head):
                # Somebody has begun a thread, or wrote a note there: the next visit is noted already.
                return Answer(None)
            if present.newest is not None:
                return cast("Decision[None]", await self._decide.next_epoch(turn, None, (), None))
            return cast("Decision[None]", await self._decide.close(turn))

        await self._writer.mutate(key, None, plan, no_request)


def _version(head: Head) -> int:
    """How often the properties of threads of that id have changed, the sweep's own end of one included."""
    return 0 if head.header is None else head.header.version


def _listed_in(one: Row | None) -> set[int]:
    return set() if one is None else {hour_of(int(one["v"]))}


def _hours(key: ThreadKey, pointer: Pointer, listing: Mapping[Key, Row]) -> list[int]:
    """The hours in which a thread may be listed that has ended."""
    one = listing.get(layout.owner_place(key.tenant, key.id, pointer.owner))
    named = set() if one is None else hours_of(one)
    return sorted({hour_of(pointer.active_at), *pointer.left, *named})


def _places(key: ThreadKey, pointer: Pointer, listing: Mapping[Key, Row] | None = None) -> list[Key]:
    """The rows that may list a thread which has ended: that of its owner's list, and those of hours."""
    hours = _hours(key, pointer, {} if listing is None else listing)
    return [
        layout.owner_place(key.tenant, key.id, pointer.owner),
        *(layout.active_place(key.tenant, hour, key.id, pointer.owner) for hour in hours),
    ]
