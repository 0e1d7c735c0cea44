"""Changing a thread: one group with the header under If-Match, and what must be there before it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, NamedTuple, TypeVar, cast

from chatstore import records
from chatstore.conditions import require_window
from chatstore.contract import Clock, Draft, Request, ThreadKey
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.erasing import Eraser
from chatstore.engines.fenced.header import GRACE, LISTINGS, Known, State, buried
from chatstore.engines.fenced.payload import INLINE, pack
from chatstore.engines.fenced.port import Entity, Op, Overtaken
from chatstore.engines.fenced.reading import Moved, Reader, Seen
from chatstore.engines.fenced.segments import Segment, expiry_text
from chatstore.engines.fenced.table import Table
from chatstore.errors import ChatStoreError, RequestMismatch, StorageError, Unavailable

__all__ = ["Change", "Plan", "View", "Writer", "recents"]

R = TypeVar("R", bound=records.Result)

_TRIES = 60
_LONGEST_PAUSE = 0.5
_INLINE_PROPERTIES = 128 * 1024
_SMALL = 8 * 1024
_NAMED = 10_000


class View(NamedTuple):
    """A thread as one try of an operation sees it: `state` is None where there is none for the caller."""

    key: ThreadKey
    partition: str
    known: Known
    now: int

    @property
    def state(self) -> State | None:
        """The header, if there is a thread that the caller may see."""
        found = self.known.state
        if found is None or not found.lives(self.now) or self.key.owner not in (None, found.owner):
            return None
        return found


class Change(NamedTuple, Generic[R]):
    """What an operation makes of a thread: its result, and the header and rows as they become.

    Without a `state` nothing changes. `properties` are given only where they change; `due` is when the sweep
    should look at the thread, if not for a message that expires.
    """

    result: R
    state: State | None = None
    properties: str | None = None
    put: Sequence[Segment] = ()
    drop: Sequence[str] = ()
    due: int | None = None


Plan = Callable[[View], Awaitable[Change[R]]]


class Writer:
    """Plans a change from the header as it is known, and applies it only to that header."""

    def __init__(self, table: Table, reader: Reader, seen: Seen, clock: Clock, window: timedelta) -> None:
        self._table = table
        self._reader = reader
        self._seen = seen
        self._clock = clock
        self._window = window
        self._named: set[str] = set()

    async def mutate(
        self,
        key: ThreadKey,
        request: Request | None,
        drafts: Sequence[Draft],
        plan: Plan[R],
        *,
        warm: bool = True,
    ) -> R:
        """Apply what `plan` makes of the thread, once; or give the first result of `request` again.

        With `warm`, the first try goes by the header as it was seen last, if it was.
        """
        partition = layout.partition(key.tenant, key.id)
        told: list[str] = []
        try:
            result = await self._mutate(partition, key, request, drafts, plan, told, warm=warm)
        except Exception:
            await self._unlist(partition, told)
            raise
        await self._unlist(partition, told)
        return result

    async def _unlist(self, partition: str, told: Sequence[str]) -> None:
        """Take back what listings were told and no header came to name. Who lists does so if this fails."""
        for listing in told:
            self._seen.drop(partition)
            with contextlib.suppress(Overtaken, StorageError):
                await Eraser(self._table, self._reader, self._clock()).unlist(listing, partition)

    async def _mutate(
        self,
        partition: str,
        key: ThreadKey,
        request: Request | None,
        drafts: Sequence[Draft],
        plan: Plan[R],
        told: list[str],
        *,
        warm: bool,
    ) -> R:
        """The same; `told` are listings that were told of the thread, and that no header names yet."""
        async with self._table.driver.turn(partition):
            pause = 0.005
            tried: list[tuple[_Attempt, R]] = []
            lost = False
            for number in range(_TRIES):
                if number > 1:
                    await self._table.pause(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
                known = self._seen.get(partition) if warm and number == 0 else None
                guess = known is not None
                if known is None:
                    known = await self._reader.known(partition)
                for attempt, result in tried:
                    if attempt.took_place(known.state, lost=lost):
                        return result
                tried.clear()
                if known.state is not None and len(known.state.listings) > LISTINGS:
                    try:
                        known = await Eraser(self._table, self._reader, self._clock()).forget(
                            partition, known
                        )
                    except Overtaken:
                        self._seen.drop(partition)
                        continue
                view = View(key, partition, known, self._clock())
                if number == 0:
                    require_window(request, view.now, self._window)
                try:
                    change = await plan(view)
                except StorageError:
                    raise
                except Moved:
                    continue
                except ChatStoreError:
                    if guess:
                        continue
                    if request is not None and (found := await self._found(view, request)) is not None:
                        return cast("R", records.again(found, drafts, view.now, request.id))
                    raise
                if change.state is None and request is None:
                    if guess:
                        continue
                    return change.result
                attempt = _Attempt(self._table, view, layout.attempt(view.now))
                try:
                    await self._apply(attempt, change, request, drafts, told)
                except Overtaken as overtaken:
                    self._seen.drop(partition)
                    if request is not None and (found := await self._found(view, request)) is not None:
                        return cast("R", records.again(found, drafts, view.now, request.id))
                    # Even where no answer was lost here: a network may deliver a request twice.
                    tried.append((attempt, change.result))
                    lost = overtaken.perhaps and request is None
                    continue
                return change.result
        raise Unavailable(f"others kept writing to thread {key.id!r}: nothing was written")

    async def _apply(
        self,
        attempt: _Attempt,
        change: Change[R],
        request: Request | None,
        drafts: Sequence[Draft],
        told: list[str],
    ) -> None:
        view = attempt.view
        before = view.known.state
        state = change.state or before or buried(None, view.now)
        due = [] if change.due is None else [change.due]
        due += [expires for segment in change.put if (expires := segment.expires) is not None]
        due += [view.now for segment in change.put if segment.large]
        owner = None
        if request is not None:
            owner = _owner(view, state)
            own = layout.listing(view.key.tenant, owner)
            if own not in state.listings:
                state = state._replace(listings=(*state.listings[:1], own, *state.listings[1:]))
            life = state.expires if before is None else before.expires
            forgotten = view.now + self._window // timedelta(microseconds=1)
            attempt.record(request, change.result, drafts, own, forgotten, life)
            if state.due is None:
                due.append(forgotten + GRACE)
        for segment in change.put:
            attempt.put(segment)
        attempt.ops += [Op("delete", row, {}) for row in change.drop]
        fresh = before is None or before.generation != state.generation
        early = attempt.prepare(change.properties, fresh=fresh)
        if early:
            due.append(view.now + GRACE)
        if due and (state.due is None or min(due) < state.due):
            state = state._replace(due=min(due))
            note = Op("upsert", layout.note_row(min(due), view.partition), {})
            await self._table.submit(layout.note_partition(view.partition), [note])
        await self._name(view.key.tenant, before)
        # The header names what earlier tries have told, too.
        state = state._replace(
            listings=(*state.listings, *(one for one in told if one not in state.listings))
        )
        for listing in _untold(before, state):
            if (before is None or listing not in before.listings) and listing not in told:
                told.append(listing)
            row = recents(state, view.partition, view.key.id, listing)
            await self._table.submit(listing, [row])
        await self._table.submit_all(view.partition, early)
        if self._clock() - view.now > GRACE // 2:
            raise Unavailable(
                "writing took so long that a sweep may have removed a part: nothing was written"
            )
        state = state.written(attempt.name)
        etag = await attempt.commit(state)
        told.clear()
        self._seen.put(view.partition, Known(state, etag))

    async def _name(self, tenant: str, before: State | None) -> None:
        """Before a tenant's thread is made: write the tenant's name, unless this process did."""
        if before is not None or tenant in self._named:
            return
        name = Op("upsert", layout.tenant_row(tenant), {"i": tenant})
        await self._table.submit(layout.TENANTS, [name])
        if len(self._named) >= _NAMED:
            self._named.clear()
        self._named.add(tenant)

    async def _found(self, view: View, request: Request) -> str | None:
        """The first result of `request`, None if it is new. Raises RequestMismatch."""
        row = layout.record_row(view.key.owner, request.id)
        while True:
            entity = await self._table.get(view.partition, row)
            if entity is None:
                return None
            if int(str(entity.properties["x"])) <= view.now:
                # The row is in the way of the request's next record.
                await self._forget(entity)
                continue
            if entity.properties["d"] != request.digest:
                raise RequestMismatch(request.id)
            try:
                return await self._reader.text(entity)
            except Moved:
                continue

    async def _forget(self, entity: Entity) -> None:
        try:
            await self._table.submit(entity.partition, [Op("delete", entity.row, {}, entity.etag)])
        except Overtaken:
            return


@dataclass(slots=True)
class _Attempt:
    """One try of a change, by a name of its own."""

    table: Table
    view: View
    name: str
    ops: list[Op] = field(default_factory=list)
    _texts: list[tuple[Segment, str]] = field(default_factory=list)
    _header: dict[str, str | bytes] = field(default_factory=dict)
    _whole: bool = False
    _chunks: list[Op] = field(default_factory=list)

    def record(
        self,
        request: Request,
        result: records.Result,
        drafts: Sequence[Draft],
        listing: str,
        until: int,
        life: int | None,
    ) -> None:
        """Remember until then the first result of a request about a thread that expires at `life`."""
        row = layout.record_row(self.view.key.owner, request.id)
        packed = pack(row, self.name, records.dump(result, drafts, life))
        self._chunks += packed.chunks
        named = {"d": request.digest, "o": listing, **expiry_text(until)}
        self.ops.append(Op("insert", row, packed.properties | named))

    def put(self, segment: Segment) -> None:
        """Write a row of messages, in the place of one that is there."""
        self._texts.append((segment, segment.dump()))

    def prepare(self, properties: str | None, *, fresh: bool) -> list[Op]:
        """What must be written before the group, so that the group is small enough."""
        if properties is not None:
            packed = pack(layout.HEADER, self.name, properties, _INLINE_PROPERTIES)
            self._header, self._whole = packed.properties, True
            self._chunks += packed.chunks
        rows, chunks = self._rows(INLINE)
        room = Op("merge", layout.HEADER, self._header | {"s": "s" * 2000})
        if self.table.fits([room, *self.ops, *rows]):
            self.ops += rows
            return [*self._chunks, *chunks]
        if fresh:
            # Nobody looks at a generation that no header names.
            return [*self._chunks, *chunks, *rows]
        rows, chunks = self._rows(_SMALL)
        self.ops += rows
        return [*self._chunks, *chunks]

    async def commit(self, state: State) -> str | None:
        """Apply the group, if the header is still the one that is known. Raises Overtaken."""
        named = {"s": state.dump(), **self._header}
        etag = self.view.known.etag
        if etag is None:
            header = Op("insert", layout.HEADER, named)
        else:
            whole = self._whole or state.deleted is not None
            header = Op("replace" if whole else "merge", layout.HEADER, named, etag)
        return (await self.table.submit(self.view.partition, [header, *self.ops]))[0]

    def took_place(self, now: State | None, *, lost: bool) -> bool:
        """Whether this try was applied, by a header read after it was refused.

        Raises Unavailable where an answer was `lost`, and too much was written since to tell.
        """
        if now is not None and self.name in now.writes:
            return True
        if lost and (now is None or not now.remembers_since(self.view.known.state)):
            raise Unavailable(
                "an answer was lost, and others wrote so much since that its outcome is unknown"
            )
        return False

    def _rows(self, inline: int) -> tuple[list[Op], list[Op]]:
        rows: list[Op] = []
        chunks: list[Op] = []
        for segment, text in self._texts:
            packed = pack(segment.row, self.name, text, inline)
            rows.append(Op("upsert", segment.row, packed.properties | expiry_text(segment.expires)))
            chunks += packed.chunks
        return rows, chunks


def recents(state: State, partition: str, thread: str, listing: str) -> Op:
    """The row by which a listing finds a thread; elsewhere it says only that something may be left there."""
    if state.deleted is not None or listing != state.listings[0]:
        return Op("touch", partition, {})
    return Op("touch", partition, {"a": f"{state.active:017d}", "i": thread})


def _owner(view: View, state: State) -> str | None:
    """Whose a request's record is: the owner's of the thread, before or after, else the caller's."""
    for one in (view.state, state):
        if one is not None and one.owner is not None:
            return one.owner
    return view.key.owner


def _untold(before: State | None, state: State) -> list[str]:
    """The listings that do not know of the thread, or not how active it is."""
    known = () if before is None else before.listings
    told = [listing for listing in state.listings if listing not in known]
    moved = before is None or before.active != state.active
    if state.deleted is None and moved and state.listings[0] not in told:
        told.append(state.listings[0])
    return told
