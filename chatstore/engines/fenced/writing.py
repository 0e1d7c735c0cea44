"""Changing a thread: one group with the header under If-Match, and what must be there before it.

The order of the writes of one try, and why it is safe to stop after any of them:

1. the tenant's name, and a visit of a sweep: one too many does nothing;
2. rows of listings: one that no header names counts for nothing, and is taken back. The source of a fork is
   looked at behind them: if it is erased later, the erasure finds the fork by its row;
3. pieces of large bodies, by a name of their own, never without a header to compare with;
4. the group: the header and the rows, on condition that the header is still the one that the change was
   planned from.

All that others see comes with the last one. Whoever is refused there has changed nothing and may not rely
on what it wrote before: a sweep or an erasure that wrote the header may have removed it. So the next try
begins with the first write again, under other names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, cast

from chatstore import records
from chatstore.conditions import require_window
from chatstore.contract import SHORT_CHARACTERS, Clock, Draft, Request, ThreadKey
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.attempts import Attempt, Call
from chatstore.engines.fenced.changing import Change, Plan, View
from chatstore.engines.fenced.erasing import Eraser
from chatstore.engines.fenced.header import CUTS, GRACE, LISTINGS, Known, State, buried
from chatstore.engines.fenced.port import Entity, Op, Overtaken
from chatstore.engines.fenced.purging import visiting
from chatstore.engines.fenced.reading import Moved, Reader, Seen
from chatstore.engines.fenced.table import Table
from chatstore.engines.fenced.telling import is_mark, listed, records_listing, untold
from chatstore.errors import ChatStoreError, RequestMismatch, StorageError, Unavailable
from chatstore.metering import conflicted
from chatstore.recent import Recent
from chatstore.wire import micros_of

__all__ = ["Writer"]

R = TypeVar("R", bound=records.Result)

_TRIES = 60
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.5
_NAMED = 10_000
_PIECES = GRACE + GRACE // 2
"""After how long a sweep looks for pieces that nobody names: they are older than an hour by then."""


class _LookAgain(Exception):
    """This try changed nothing; the next goes by the header that is `known`, or reads it."""

    def __init__(self, known: Known | None = None) -> None:
        super().__init__(known)
        self.known = known


class Writer:
    """Plans a change from the header as it is known, and applies it only to that header."""

    def __init__(self, table: Table, reader: Reader, seen: Seen, clock: Clock, window: timedelta) -> None:
        self._table = table
        self._reader = reader
        self._seen = seen
        self._clock = clock
        self._window = window
        self._named: Recent[str, None] = Recent(_NAMED)
        self._scheduled: Recent[str, int] = Recent(_NAMED)

    async def mutate(
        self,
        key: ThreadKey,
        request: Request | None,
        drafts: Sequence[Draft],
        plan: Plan[R],
        *,
        warm: bool = True,
        tried: tuple[Attempt, R] | None = None,
        lost: bool = False,
    ) -> R:
        """Apply what `plan` makes of the thread, once; or give the first result of `request` again.

        With `warm`, the first try goes by the header as it was seen last, if it was. `tried` was refused
        before, and its answer may have been `lost`.
        """
        call = Call(key, layout.partition(key.tenant, key.id), request, drafts, plan)
        call.tried, call.lost = tried, lost
        try:
            async with self._table.driver.turn(call.partition):
                result = await self._tries(call, warm=warm)
        except Exception:
            await self._settle(call)
            raise
        if call.told or call.refused:
            await self._settle(call)
        return result

    async def _settle(self, call: Call[Any]) -> None:
        """Take back what listings were told in vain. Who lists does so if this fails, or is killed."""
        for listing in call.told:
            self._seen.drop(call.partition)
            with contextlib.suppress(Overtaken, StorageError):
                await self._eraser().settle(listing, call.partition)
        if call.refused:
            with contextlib.suppress(Overtaken, StorageError):
                await self._eraser().take_back(call.partition, call.refused)

    async def _tries(self, call: Call[R], *, warm: bool) -> R:
        known = self._seen.get(call.partition) if warm else None
        pause = _FIRST_PAUSE
        for number in range(_TRIES):
            if number > 1:
                await self._table.pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            guess = known is not None
            if known is None:
                known = await self._reader.known(call.partition)
            done = call.done_before(known.state)
            if done is not None:
                return done[0]
            view = View(call.key, call.partition, known, self._clock(), number > 0)
            if number == 0:
                require_window(call.request, view.now, self._window)
            try:
                return await self._try(call, view, guess=guess)
            except Moved:
                known = None
            except _LookAgain as again:
                known = again.known
        raise Unavailable(f"others kept writing to thread {call.key.id!r}: nothing was written")

    async def _try(self, call: Call[R], view: View, *, guess: bool) -> R:
        """One try. Raises _LookAgain or Moved if another may do better: `view` was a `guess`, or is past."""
        tidied = await self._tidied(view)
        if tidied is not view.known:
            view = view._replace(known=tidied)
        try:
            change = await call.plan(view)
        except StorageError:
            raise
        except ChatStoreError as error:
            return await self._failed(call, view, error, guess=guess)
        if change.state is None and call.request is None:
            if guess:
                raise _LookAgain
            return change.result
        attempt = Attempt(self._table, view, layout.attempt(view.now))
        try:
            await self._apply(call, attempt, change)
        except Overtaken as overtaken:
            self._seen.drop(call.partition)
            if attempt.pieces:
                call.refused[attempt.name] = view.known.state and view.known.state.epoch
            first = await self.first(call.request, call.drafts, view)
            if first is not None:
                return cast("R", first[0])
            conflicted()
            # Even where no answer was lost here: a network may deliver a request twice.
            call.tried = attempt, change.result
            call.lost = overtaken.perhaps and call.request is None
            raise _LookAgain from None
        return change.result

    async def _failed(self, call: Call[R], view: View, error: ChatStoreError, *, guess: bool) -> R:
        """The first result of the request, where what it left makes its repetition fail; else raises `error`.

        An erasure takes the record of a request, too. So where none is found, the thread has to be still as
        it was: otherwise the failure may come from what the request itself had done before it was erased.
        """
        if guess:
            raise _LookAgain from None
        first = await self.first(call.request, call.drafts, view)
        if first is not None:
            return cast("R", first[0])
        if call.request is not None:
            known = await self._reader.known(view.partition)
            if known.etag != view.known.etag:
                raise _LookAgain(known) from None
        raise error

    async def _tidied(self, view: View) -> Known:
        """The header, when too many listings are given up, and what too many cuts took away is removed."""
        known = view.known
        try:
            if known.state is not None and len(known.state.listings) > LISTINGS:
                known = await self._eraser().forget(view.partition, known)
            if known.state is not None and len(known.state.cuts) >= CUTS:
                known = await self._eraser().without_cuts(view.partition, known)
            return known
        except Overtaken:
            self._seen.drop(view.partition)
            raise _LookAgain from None

    async def _apply(self, call: Call[R], attempt: Attempt, change: Change[R]) -> None:
        view = attempt.view
        before = view.known.state
        state = change.state or before or buried(None, view.now)
        due = [] if change.due is None else [change.due]
        for segment in change.put:
            expires = segment.expires
            due += [] if expires is None else [expires]
            due += [view.now] if segment.large else []
        if call.request is not None:
            state, until = self._recorded(call.request, call.drafts, attempt, change, state)
            due += [until + GRACE] if state.due is None else []
        await self._write_down(attempt, change)
        await self._name(view.key.tenant, before)
        if attempt.pieces and before is None:
            raise _LookAgain(await self._begun(view))
        to_tell = untold(before, state)
        state = await self._schedule(view, state, to_tell, due, pieces=bool(attempt.pieces))
        for listing in to_tell:
            if listing not in call.told:
                call.told.append(listing)
            row = listed(state, view.partition, view.key.id, listing, fork=change.source is not None)
            await self._table.submit(listing, [row])
        if change.source is not None:
            # Whoever erases the source from now on finds the copy by its listing, and refuses it.
            await self._reader.unchanged(*change.source)
        if attempt.pieces:
            await self._table.submit_all(view.partition, attempt.pieces)
        if self._clock() - view.now > GRACE // 2:
            raise Unavailable(
                "writing took so long that a sweep may have removed a part: nothing was written"
            )
        state = state.written(attempt.name)
        etag = await attempt.commit(state)
        # What an earlier try has told, and this one has no use for, is still to be taken back.
        call.told = [listing for listing in call.told if listing not in state.listings]
        self._seen.put(view.partition, Known(state, etag, row=attempt.last_row(change, state)))

    async def _write_down(self, attempt: Attempt, change: Change[Any]) -> None:
        """Write rows of what changes: of much, such as a fork's whole history, beside the event loop."""
        write = partial(attempt.change, change)
        if change.length <= SHORT_CHARACTERS:
            write()
        else:
            key = attempt.view.key
            await self._reader.aside((key.tenant, key.owner), write)

    def _recorded(
        self,
        request: Request,
        drafts: Sequence[Draft],
        attempt: Attempt,
        change: Change[Any],
        state: State,
    ) -> tuple[State, int]:
        """The header, with the listing of whose request it is, and until when its result is remembered."""
        view, before = attempt.view, attempt.view.known.state
        own = records_listing(view, state)
        if own not in state.listings:
            state = state._replace(listings=(*state.listings[:1], own, *state.listings[1:]))
        expires = state.expires if before is None else before.expires
        until = view.now + micros_of(self._window)
        attempt.record(request, change.result, drafts, own, until, expires, state.epoch)
        return state, until

    async def _begun(self, view: View) -> Known:
        """A header that says that the thread is deleted, for a try with pieces to compare with.

        Without one, a sweep could make such a header, remove the pieces, and later the header. Then a try
        that asks for no header would be right again, and name pieces that are gone.
        """
        due = view.now + _PIECES
        await self._table.submit(layout.visit_partition(view.partition), [visiting(view.partition, due)])
        self._scheduled.put(view.partition, due)
        state = buried(None, view.now)._replace(due=due)
        return await self._eraser().commit(view.partition, view.known, state)

    async def _schedule(
        self, view: View, state: State, to_tell: Sequence[str], due: list[int], *, pieces: bool
    ) -> State:
        """Before anything that a sweep may have to remove: say so. The header, which says when.

        `due` is when the thread is to be looked at. A visit that is there already and comes earlier will
        do for that. It will not do for pieces, which may be written after that visit was made.
        """
        visits: dict[int, Op] = {}
        if pieces:
            later = view.now + _PIECES
            due = [*due, later]
            if (self._scheduled.get(view.partition) or 0) < view.now + GRACE:
                visits[later] = visiting(view.partition, later)
                self._scheduled.put(view.partition, later)
        if due and (state.due is None or min(due) < state.due):
            state = state._replace(due=min(due))
            visits[min(due)] = visiting(view.partition, min(due))
        for number, listing in enumerate(to_tell):
            if is_mark(state, listing):
                # Nobody who lists would find that no header names it.
                at = view.now + GRACE + number
                visits[at] = visiting(view.partition, at, listing)
        if visits:
            await self._table.submit(layout.visit_partition(view.partition), list(visits.values()))
        return state

    async def _name(self, tenant: str, before: State | None) -> None:
        """Before a tenant's thread is made: write the tenant's name, unless this process did."""
        if before is not None or tenant in self._named:
            return
        name = Op("upsert", layout.tenant_row(tenant), {"i": tenant})
        await self._table.submit(layout.TENANTS, [name])
        self._named.put(tenant, None)

    async def first(
        self, request: Request | None, drafts: Sequence[Draft], view: View
    ) -> tuple[records.Result] | None:
        """The first result of the request, None if it is new, or there is none. Raises RequestMismatch."""
        if request is None:
            return None
        found = await self._found(view, request)
        if found is None:
            return None
        first = records.remembered(found, drafts, request.id)
        expires = None
        if first.shows:
            # The header was read before the record was found, and may tell of an earlier expiry by now.
            state = (await self._reader.known(view.partition)).state
            expires = None if state is None else state.shown_until(first.life)
        return (first.given(request.id, view.now, expires),)

    async def _found(self, view: View, request: Request) -> str | None:
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
        with contextlib.suppress(Overtaken):
            await self._table.submit(entity.partition, [Op("delete", entity.row, {}, entity.etag)])

    def _eraser(self) -> Eraser:
        return Eraser(self._table, self._reader, self._clock())
