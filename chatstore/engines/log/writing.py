"""How a thread is written to: every mutation takes the next slot, and that decides it.

::

    look        what the thread is, unless it is known
    repeat      the slot of an earlier try of the same request is the answer
    settle      apply what the newest slot decided, if its writer did not
    plan        what the next slot is to hold; rows that it brings to light are staged before
    decide      put the slot where there is none: the one write that counts
    apply       bring the header or the edited row to what was decided

Two writers who saw the same state aim at the same slot, and the store lets one have it; the other looks
again. What is written before the decision is invisible, and what comes after can be done by anybody. So a
writer may be killed anywhere.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

from chatstore.conditions import require_window
from chatstore.contract import Backend, Clock, Request, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.fairness import LONGEST_CONTEST, Fairness
from chatstore.engines.log.head import Head, look, settle
from chatstore.engines.log.known import LONGEST, Known, Threads
from chatstore.engines.log.planning import Answer, Decision, Forgotten, Outdated, Plan, Turn
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.records import Slot
from chatstore.engines.log.requests import Asked, asked, search
from chatstore.errors import ChatStoreError, CorruptData, MessageNotFound, StorageError, Unavailable
from chatstore.metering import conflicted, retried

__all__ = ["Writer"]

R = TypeVar("R")

_TRIES = 5
_CHASES = 3
"""Tries of which each aims behind the slot that the last one missed."""
_WAITS = 2 * _CHASES
"""Tries after which a writer says that it waits, each time."""
_MOST_TRIES = 10_000
_BACKOFF_SECONDS = 0.02
_PATIENT_TRIES = 100
_LONGEST_PAUSE_SECONDS = 0.1


class _Done(NamedTuple, Generic[R]):
    """A result, and what is to be done after it."""

    result: R
    after: Callable[[], Awaitable[None]] | None = None


class _Mutation(NamedTuple, Generic[R]):
    """What a caller asks for, of the thread in the partition `pk`."""

    pk: str
    key: ThreadKey
    request: Request | None
    plan: Plan[R]
    repeated: Callable[[Slot], Awaitable[R]]


class _Seen(NamedTuple):
    """The thread as a try sees it, `fresh` if just read, and the slot that the request wrote, if it did."""

    known: Known
    asks: Asked | None
    found: Slot | None
    now: int
    fresh: bool


class _Unknown(Unavailable):
    """The slot may have been taken: to try again would be to do it twice."""


class Writer:
    """Takes slots in the threads of a table."""

    def __init__(self, table: Table, clock: Clock, tokens: Callable[[], str]) -> None:
        self.table = table
        self.clock = clock
        self.known = Threads()
        self._tokens = tokens
        self.fairness = Fairness(table, clock)

    async def mutate(
        self,
        key: ThreadKey,
        request: Request | None,
        plan: Plan[R],
        repeated: Callable[[Slot], Awaitable[R]],
    ) -> R:
        """Do what `plan` says, once: `repeated` answers a repetition from the slot of the first try.

        Raises what `plan` raises on the thread as it is, and Unavailable. Then nothing was written, unless
        the put itself is what got no answer.
        """
        mutation = _Mutation(layout.thread_partition(key), key, request, plan, repeated)
        # Writers of one process come one after another, rather than all but one in vain.
        async with self.table.turn(mutation.pk):
            since = await self.fairness.rest(mutation.pk)
            done = await self._until_done(mutation)
            self.fairness.wrote(mutation.pk, since)
        if done.after is not None:
            with contextlib.suppress(StorageError):
                await done.after()
        return done.result

    async def _until_done(self, mutation: _Mutation[R]) -> _Done[R]:
        """Try until a slot was taken; whoever said that it waits takes that back."""
        waits: list[Key] = []
        try:
            return await self._tried(mutation, waits)
        except GeneratorExit:
            # Whoever is closed may ask for nothing more.
            waits.clear()
            raise
        finally:
            for one in waits:
                await self.fairness.waited(one)

    async def _tried(self, mutation: _Mutation[R], waits: list[Key]) -> _Done[R]:
        """Try until a slot was taken, or nothing needs to be written.

        A try that came too late is told which slot is in its place, and the next try aims behind that slot.
        So it has the same chance as whoever took that slot. After a few such tries it pauses, for a time that
        differs from others', and looks where the thread is now. If that does not help, it puts a row which
        says that it waits, and names that row in `waits`.
        """
        pk, silences = mutation.pk, 0
        began = self.clock()
        known = self.known.get(pk, began)
        for attempt in range(_MOST_TRIES):
            if attempt and attempt % _CHASES == 0:
                if self.clock() - began > LONGEST_CONTEST:
                    break
                if attempt % _WAITS == 0:
                    waits[:] = waits or [layout.waiting(pk, self._tokens())]
                    await self.fairness.wait(waits[0])
                longest = _BACKOFF_SECONDS if attempt < _PATIENT_TRIES else _LONGEST_PAUSE_SECONDS
                await self.table.pause(random.uniform(0, longest))  # noqa: S311 - guards nothing
                known = None
            try:
                came = await self._try(mutation, known, first=attempt == 0)
            except _Unknown:
                raise
            except Unavailable:
                # Nothing was decided yet, or somebody else has the slot.
                came = None
                silences += 1
                if silences == _TRIES:
                    raise
                retried()
            if isinstance(came, _Done):
                return came
            self.known.forget(pk)
            known = came
        raise Unavailable(f"thread {mutation.key.id!r} has too many writers at once: nothing was written")

    async def _try(
        self, mutation: _Mutation[R], known: Known | None, *, first: bool
    ) -> _Done[R] | Known | None:
        """One try: what came of it, or what the slot tells that somebody took first; None where to look.

        `known` is what the thread is thought to be. A slot that is taken proves it right.
        """
        seen = await self._seen(mutation, known, first=first)
        # What the newest slot decided is applied before the next one is taken, so that one needs no other.
        applied = await self._applied(seen)
        if applied is None:
            return None
        seen = seen._replace(known=applied)
        if seen.found is not None:
            try:
                return _Done(await mutation.repeated(seen.found))
            except Forgotten:
                return None
        turn = self._turn(mutation.key, seen)
        try:
            planned = await self._planned(mutation, seen, turn)
        except ChatStoreError:
            with contextlib.suppress(StorageError):
                await self._take_back(turn)
            raise
        if isinstance(planned, Answer):
            self.known.put(mutation.pk, seen.known)
            return _Done(planned.result)
        there = None
        # What was staged longer ago could be taken for dead by now.
        if planned is not None and self.clock() - seen.now <= LONGEST:
            there = await self._decide(mutation.pk, planned)
            if there is None:
                await self._apply(mutation.pk, seen.known, planned)
                return _Done(planned.result, planned.after)
        await self._take_back(turn)
        return None if there is None else _behind(seen.known, there)

    async def _take_back(self, turn: Turn) -> None:
        """Remove what a try has staged, once it is certain that its slot will never be taken."""
        if turn.staged:
            await self.table.write([], turn.staged)

    async def _seen(self, mutation: _Mutation[R], known: Known | None, *, first: bool) -> _Seen:
        """The thread as it is `known`, or else as it is, and the slot that the request wrote, if it did."""
        key, now = mutation.key, self.clock()
        asks = asked(key, mutation.request, now)
        if known is not None:
            found, certain = (None, True) if asks is None else asks.among(known)
            if certain:
                return _Seen(known, asks, found, now, fresh=False)
        head = await look(self.table, mutation.pk)
        # The first answer of a table may be what says the time.
        now = self.clock()
        if first:
            require_window(mutation.request, now, Backend.request_window)
        asks = asked(key, mutation.request, now)
        found, known = await search(self.table, head, asks, now)
        return _Seen(known, asks, found, now, fresh=True)

    async def _applied(self, seen: _Seen) -> Known | None:
        """What is known, once what the newest slot decided is applied; None where the thread has moved on.

        For a repetition's answer that matters only where lists would still show the thread as it was.
        """
        known = seen.known
        if known.head.settled or (seen.found is not None and known.head.listed):
            return known
        if not await settle(self.table, known.head):
            return None
        return known._replace(head=known.head.applied)

    async def _planned(
        self, mutation: _Mutation[R], seen: _Seen, turn: Turn
    ) -> Answer[R] | Decision[R] | None:
        """The plan for the thread as it was seen; None where it rests on what may be out of date.

        The store refuses a slot that is out of date. An answer or an error asks the store nothing, so it is
        believed only of a thread that was just read.
        """
        try:
            planned = await mutation.plan(turn)
        except Outdated:
            return None
        except Unavailable:
            raise
        except ChatStoreError as error:
            # A plan reads more than it was given. What it misses may have been taken away since, even by
            # a first try of the same request.
            rests = seen.asks is not None or isinstance(error, MessageNotFound | CorruptData)
            if seen.fresh and (not rests or await self._is_newest(mutation.pk, seen.known.head)):
                raise
            return None
        return None if isinstance(planned, Answer) and not seen.fresh else planned

    async def _is_newest(self, pk: str, head: Head) -> bool:
        """Whether nothing was decided since."""
        return (await look(self.table, pk)).is_at(head)

    def _turn(self, key: ThreadKey, seen: _Seen) -> Turn:
        head, asks = seen.known.head, seen.asks
        latest = max(seen.now, head.totals.seen, 0 if asks is None else asks.time)
        request = None if asks is None else (asks.id, asks.digest)
        return Turn(key, head, seen.now, self._tokens(), request, replace(head.totals, seen=latest), [])

    async def _decide(self, pk: str, decision: Decision[Any]) -> Row | None:
        """Take the slot, tried until it is known whose it is: None for ours, or the row in the way."""
        row = decision.slot.dump(pk)
        for attempt in range(_TRIES):
            began = self.clock()
            try:
                there = await self.table.put_new(row, free=decision.free)
            except Unavailable as error:
                # It may have been written, or may be yet: the same row at the same place does no harm.
                self.known.forget(pk)
                if attempt == _TRIES - 1:
                    raise _Unknown(str(error)) from error
                retried()
                await self.table.pause(random.uniform(0, _BACKOFF_SECONDS * 4**attempt))  # noqa: S311
                continue
            self.fairness.took(self.clock() - began)
            if there is None or there["s"] == decision.slot.token:
                return None
            conflicted()
            return there
        raise AssertionError

    async def _apply(self, pk: str, known: Known, decision: Decision[Any]) -> None:
        """Apply what was decided, and remember it; it stands even if this fails.

        Raises Unavailable where lists would still show the thread as it was.
        """
        slot, before = decision.slot, known.head
        header = before.header if slot.header is None else slot.header
        sealed = header is not None and header.epoch != slot.epoch
        head = Head(pk, slot.epoch, slot.totals, header, before.stored, slot, attempt=before.attempt)
        try:
            settled = await settle(self.table, head, row=decision.edits)
            if sealed or not settled:
                self.known.forget(pk)
            else:
                self.known.put(pk, known.then(head.applied, slot)._replace(at=slot.at))
        except StorageError as error:
            self.known.forget(pk)
            if not head.listed:
                raise _Unknown(f"what was decided is not applied yet: {error}") from error


def _behind(known: Known, there: Row) -> Known | None:
    """What is known with the slot `there`, which is where ours was to be; None if it is not all.

    It follows the newest slot that was known. Whoever wrote it had applied that one first, so nothing but it
    has changed since. If it was edited or emptied meanwhile, others follow it, and are found in the way next.
    """
    if there["pk"] != known.head.pk:
        # The source of a fork has moved on.
        return None
    newest = Slot.load(there)
    if newest.seals:
        # The history goes on elsewhere.
        return None
    header = known.head.header if newest.header is None else newest.header
    settled = newest.header is None and newest.effect is None
    before = known.head
    head = Head(
        before.pk, newest.epoch, newest.totals, header, before.stored, newest,
        settled=settled, attempt=before.attempt,
    )  # fmt: skip
    return known.then(head, newest)
