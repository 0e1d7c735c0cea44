"""How a thread is written to: every mutation takes the next slot, and that decides it.

::

    look        what the thread is, unless it is known
    repeat      the slot of an earlier try of the same request is the answer
    settle      apply what the newest slot decided, if its writer did not
    plan        what the next slot is to hold; rows that it brings to light are staged before
    decide      put the slot where there is none: the one write that counts
    apply       bring the header or the edited row to what was decided

Two writers who saw the same state aim at the same slot, and the store lets one have it; the other
looks again. What is written before the decision is invisible, what comes after can be done by
anybody, so a writer may be killed anywhere.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar, cast

from chatstore import position
from chatstore.conditions import require_window
from chatstore.contract import Backend, Clock, Request, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.head import Head, look, settle
from chatstore.engines.log.known import LONGEST, MOST_THREADS, Known, Threads
from chatstore.engines.log.port import Key, Table
from chatstore.engines.log.records import Header, Slot, Totals
from chatstore.engines.log.requests import Asked, asked, search
from chatstore.errors import ChatStoreError, InvalidArgument, MessageNotFound, StorageError, Unavailable

__all__ = ["Answer", "Decision", "Forgotten", "Plan", "Turn", "Writer", "no_request"]

R = TypeVar("R")

MOST_PROPERTIES = 150_000
"""Bytes of a header: it has to fit into a row beside a slot's messages."""

_TRIES = 5
_MOST_TRIES = 10_000
_BACKOFF_SECONDS = 0.02
_PATIENT_TRIES = 100
_LONGEST_PAUSE_SECONDS = 0.1
_STREAK, _GAP = 300_000, 50_000
"""Microseconds in which a process may write to a thread without a rest, and what counts as none."""
_REST = 5
"""Writes that a rest is as long as: others look, and then write."""
_LONGEST_CONTEST = 10_000_000
"""Microseconds in which others may be faster, before it is said that nothing was written."""


class Answer(NamedTuple, Generic[R]):
    """A result for which nothing needs to be written."""

    result: R


class Decision(NamedTuple, Generic[R]):
    """The slot to be taken, and the result once it is.

    It is taken only if the row `free` is not there. `edits` is the row that its effect is on, as
    it was read. `staged` rows serve this slot alone. `after` is done
    when all is applied; what fails there has not failed the operation.
    """

    slot: Slot
    result: R
    free: Key | None = None
    edits: Slot | None = None
    staged: tuple[Key, ...] = ()
    after: Callable[[], Awaitable[None]] | None = None


class Turn(NamedTuple):
    """One try of a mutation: the thread as it is, the present, and the totals with the request in them."""

    key: ThreadKey
    head: Head
    now: int
    token: str
    request: tuple[str, str] | None
    totals: Totals

    def slot(self, totals: Totals, **fields: Any) -> Slot:
        """The next slot."""
        header: Header | None = fields.get("header")
        if header is not None:
            if len(cast("bytes", header.dump(self.head.pk)["b"])) > MOST_PROPERTIES:
                raise InvalidArgument(
                    f"a thread's properties take at most {MOST_PROPERTIES:,} bytes here, compressed: "
                    "keep fewer participants, or less metadata"
                )
            totals = replace(totals, version=header.version)
        at = position.nth(self.head.tail + 1)
        return Slot(self.head.epoch, at, self.token, self.now, totals, request=self.request, **fields)

    def note(self, result: str | None = None, **fields: Any) -> Slot:
        """The next slot, to be read by nobody but repetitions."""
        totals = replace(self.totals, places=self.totals.places + 1)
        return self.slot(totals, result=result, **fields)


Plan = Callable[[Turn], Awaitable["Answer[R] | Decision[R]"]]
"""Says what is to be written on the thread as it is, or raises why it cannot be."""


class _Done(NamedTuple, Generic[R]):
    """A result, and what is to be done after it."""

    result: R
    after: Callable[[], Awaitable[None]] | None = None


class Forgotten(Exception):
    """The result of a request is no longer there, as after an erasure: it is done anew."""


class _Unknown(Unavailable):
    """The slot may have been taken: to try again would be to do it twice."""


class Writer:
    """Takes slots in the threads of a table."""

    def __init__(self, table: Table, clock: Clock, tokens: Callable[[], str]) -> None:
        self.table = table
        self.clock = clock
        self.known = Threads()
        self._tokens = tokens
        self._streaks: dict[str, tuple[int, int]] = {}
        self._write_seconds = 0.01

    async def mutate(
        self,
        key: ThreadKey,
        request: Request | None,
        plan: Plan[R],
        repeated: Callable[[Slot], Awaitable[R]],
    ) -> R:
        """Do what `plan` says, once: `repeated` answers a repetition from the slot of the first try."""
        pk = layout.thread_partition(key)
        # Writers of one process come one after another, rather than all but one in vain.
        async with self.table.turn(pk):
            since = await self._rest(pk)
            done = await self._until_done(pk, key, request, plan, repeated)
            self._streaks[pk] = since, self.clock()
        if done.after is not None:
            with contextlib.suppress(StorageError):
                await done.after()
        return done.result

    async def _rest(self, pk: str) -> int:
        """Let other processes have the thread for a moment, where this one has written to it for long.

        Who knows a thread needs one call to write. Whoever comes to it needs two, and would always be late.
        """
        now = self.clock()
        since, last = self._streaks.pop(pk, (now, now))
        if not 0 <= now - last < _GAP:
            since = now
        elif now - since > _STREAK:
            await self.table.pause(self._write_seconds * _REST)
            since = self.clock()
        while len(self._streaks) > MOST_THREADS:
            self._streaks.pop(next(iter(self._streaks)), None)
        return since

    async def _until_done(
        self,
        pk: str,
        key: ThreadKey,
        request: Request | None,
        plan: Plan[R],
        repeated: Callable[[Slot], Awaitable[R]],
    ) -> _Done[R]:
        silences = 0
        began = self.clock()
        for attempt in range(_MOST_TRIES):
            if attempt > 2:
                if self.clock() - began > _LONGEST_CONTEST:
                    break
                longest = _BACKOFF_SECONDS if attempt < _PATIENT_TRIES else _LONGEST_PAUSE_SECONDS
                await self.table.pause(random.uniform(0, longest))  # noqa: S311 - spreads writers, guards nothing
            try:
                done = await self._try(pk, key, request, plan, repeated, first=attempt == 0)
            except _Unknown:
                raise
            except Unavailable:
                # Nothing was decided yet, or somebody else has the slot.
                self.known.forget(pk)
                silences += 1
                if silences == _TRIES:
                    raise
                continue
            if done is not None:
                return done
            self.known.forget(pk)
        raise Unavailable(f"thread {key.id!r} is written to by too many at once: nothing was written")

    async def _try(
        self,
        pk: str,
        key: ThreadKey,
        request: Request | None,
        plan: Plan[R],
        repeated: Callable[[Slot], Awaitable[R]],
        *,
        first: bool,
    ) -> _Done[R] | None:
        """One try; None where the thread is not as it was thought to be."""
        now = self.clock()
        asks = asked(key, request, now)
        known = self.known.get(pk, now) if first else None
        found, certain = (None, True) if known is None or asks is None else asks.among(known)
        fresh = known is None or not certain
        if known is None or not certain:
            head = await look(self.table, pk)
            # The first answer of a table may be what says the time.
            now = self.clock()
            if first:
                require_window(request, now, Backend.request_window)
            asks = asked(key, request, now)
            found, known = await search(self.table, head, asks, now)
        if not known.head.settled and (found is None or not known.head.listed):
            if not await settle(self.table, known.head):
                return None
            header = known.head.header
            stored = None if header is None else header.version
            known = known._replace(head=known.head._replace(settled=True, stored=stored))
        if found is not None:
            try:
                return _Done(await repeated(found))
            except Forgotten:
                return None
        try:
            planned = await plan(self._turn(key, known.head, now, asks))
        except Unavailable:
            raise
        except ChatStoreError as error:
            # A plan reads more than it was given. What it misses may have been taken away since, even by
            # a first try of the same request.
            rests = asks is not None or isinstance(error, MessageNotFound)
            if fresh and (not rests or await self._is_newest(pk, known.head)):
                raise
            # What is known may be out of date, and only a slot that was taken proves that it is not.
            return None
        if isinstance(planned, Answer):
            if fresh:
                self.known.put(pk, known)
            return _Done(planned.result) if fresh else None
        if self.clock() - now > LONGEST:
            # What was staged could be taken for dead by now.
            return None
        if await self._decide(pk, planned):
            await self._apply(pk, known, planned)
            return _Done(planned.result, planned.after)
        if planned.staged:
            await self.table.write([], planned.staged)
        return None

    async def _is_newest(self, pk: str, head: Head) -> bool:
        """Whether nothing was decided since."""
        now = await look(self.table, pk)
        return (now.epoch, now.tail) == (head.epoch, head.tail)

    def _turn(self, key: ThreadKey, head: Head, now: int, asks: Asked | None) -> Turn:
        seen = max(now, head.totals.seen, 0 if asks is None else asks.time)
        request = None if asks is None else (asks.id, asks.digest)
        return Turn(key, head, now, self._tokens(), request, replace(head.totals, seen=seen))

    async def _decide(self, pk: str, decision: Decision[Any]) -> bool:
        """Take the slot; whether it is ours, tried until that is known."""
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
                await self.table.pause(random.uniform(0, _BACKOFF_SECONDS * 4**attempt))  # noqa: S311
                continue
            self._write_seconds = min(max((self.clock() - began) / 1e6, 0.001), 0.1)
            if there is None:
                return True
            return there["sk"] == row["sk"] and Slot.load(there).token == decision.slot.token
        raise AssertionError

    async def _apply(self, pk: str, known: Known, decision: Decision[Any]) -> None:
        """Apply what was decided, and remember it; it stands even if this fails.

        Raises Unavailable where lists would still show the thread as it was.
        """
        slot, before = decision.slot, known.head
        header = before.header if slot.header is None else slot.header
        sealed = header is not None and header.epoch != slot.epoch
        head = Head(pk, slot.epoch, slot.totals, header, before.stored, slot)
        try:
            settled = await settle(self.table, head, row=decision.edits)
            if sealed or not settled:
                self.known.forget(pk)
            else:
                stored = None if header is None else header.version
                head = head._replace(settled=True, stored=stored)
                self.known.put(pk, known.then(head, slot)._replace(at=slot.at))
        except StorageError as error:
            self.known.forget(pk)
            if not head.listed:
                raise _Unknown(f"what was decided is not applied yet: {error}") from error


async def no_request(slot: Slot) -> NoReturn:
    """What answers the repetition of a mutation that has no request: there is none."""
    raise AssertionError(slot)
