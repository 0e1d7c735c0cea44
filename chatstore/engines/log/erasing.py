"""Erasing owners: nothing of theirs is left in any row, whoever writes meanwhile and whoever was killed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chatstore import position
from chatstore.contract import Clock, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.closing import Closer
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.head import Head, look, require_awake
from chatstore.engines.log.lists import hours_of, names
from chatstore.engines.log.planning import Decision, Turn, no_request
from chatstore.engines.log.port import Key, Row, Table
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import Slot
from chatstore.engines.log.visiting import all_rows, slot_of
from chatstore.engines.log.visits import hour_of, key_of
from chatstore.engines.log.writing import Writer
from chatstore.errors import Unavailable
from chatstore.models import Erased, Thread

__all__ = ["Eraser"]

_ROUNDS = 5
_TRIES = 5

_EMPTIED = 1 << 53
"""More edits than a thread has: whoever looked at the thread before a row was emptied looks again."""


class Eraser:
    """Erases all that is an owner's."""

    def __init__(
        self,
        table: Table,
        clock: Clock,
        writer: Writer,
        closer: Closer,
        reader: Reader,
        decide: Deciding,
    ) -> None:
        self._table = table
        self._clock = clock
        self._writer = writer
        self._closer = closer
        self._reader = reader
        self._decide = decide

    async def erase_all(self, tenant: str) -> Erased:
        """Erase every owner that a tenant's lists name, and what is nobody's."""
        erased = Erased(0, 0, 0)
        for owner in await self._closer.owners(tenant):
            erased += await self.erase(tenant, owner)
        return erased

    async def erase(self, tenant: str, owner: str | None) -> Erased:
        """Empty whatever holds something of an owner; what keeps late writers out stays, without content.

        Threads are looked for again until only those are listed that were begun meanwhile. A fork is not
        begun but copied, perhaps from what was erased since. Raises Unavailable where forks go on.
        """
        erased, forks = Erased(0, 0, 0), False
        for again in range(_ROUNDS):
            left = forks = False
            for thread_id, rows in (await self._closer.traces(tenant, owner)).items():
                key = ThreadKey(tenant, thread_id)
                thread = await self._begun(key, owner) if again else None
                if thread is not None:
                    if thread.forked_from is None:
                        continue
                    forks = True
                left = True
                erased += await self._erase(key, owner, rows)
            if not left:
                break
        if forks:
            raise Unavailable("threads kept being forked while they were erased: erase again")
        return erased

    async def _begun(self, key: ThreadKey, owner: str | None) -> Thread | None:
        """The owner's thread that is there now."""
        header = (await look(self._table, layout.thread_partition(key))).header
        return header.thread if header is not None and names(header, owner) else None

    async def _erase(self, key: ThreadKey, owner: str | None, listed: list[Row]) -> Erased:
        """Erase one thread of an owner, which `listed` led to.

        First all is read that could lead to the thread, and all that may be waiting for a slot. Then the next
        slot is taken: whoever planned before that has to plan anew. So what was waiting waits in vain. What
        the slots up to that one hold was decided before it. Both go; what comes after it was begun since.

        Where somebody else has a thread there now, theirs stays. The slot then says nothing. Something of the
        owner's may still wait for it, from a writer that was killed. Or who listed the owner may be about to
        begin a thread where the other's has expired.
        """
        pk, began = layout.thread_partition(key), self._clock()
        waiting, hours = await self._before(pk, owner)
        hours |= {hour for row in listed for hour in hours_of(row)}
        rows = [*listed, *await self._closer.listed(key.tenant, key.id, owner, hours)]
        threads = messages = 0
        end = ""
        others: Head | None = None

        async def plan(turn: Turn) -> Decision[None]:
            nonlocal threads, messages, end, others
            present = turn.head
            threads, messages, others = 0, 0, None
            if names(present.header, owner):
                threads = 1
                messages = len([found async for found in self._reader.living(present, turn.now)])
            elif present.header is not None and present.header.living:
                others, end = present, present.epoch
                return Decision(turn.bare_slot(), None)
            decision: Decision[None] = await self._decide.next_epoch(turn, None, (), None)
            end = decision.slot.epoch
            return decision

        await self._writer.mutate(key, None, plan, no_request)
        requests = await self._empty(pk, owner, end, others, waiting, listed=True, began=began)
        self._writer.known.forget(pk)
        # The owner's row goes last: it leads here again, should this be interrupted. A slot names the rest
        # until it is gone.
        for row in rows:
            if not str(row["pk"]).startswith("L#"):
                await self._table.remove(row)
        await self._empty(pk, owner, end, others, waiting, listed=False, began=began)
        for row in rows:
            if str(row["pk"]).startswith("L#"):
                await self._table.remove(row)
        return Erased(threads, messages, requests)

    async def _before(self, pk: str, owner: str | None) -> tuple[set[Key], set[int]]:
        """What may wait for a slot to bring it to light, and the hours in which an owner was listed.

        Texts that are kept apart may wait, and so may claims of other histories than the present.
        """
        head = await look(self._table, pk)
        waiting: set[Key] = set()
        hours = {hour_of(head.totals.active_at), *head.totals.left}
        async for row in all_rows(self._table, pk):
            key, slot = key_of(row), slot_of(row)
            if slot is None:
                if layout.claim_of(key.sk) != head.public_epoch:
                    waiting.add(key)
            elif slot.staged:
                waiting.add(key)
            elif slot.pointer is not None and slot.pointer[2] == owner:
                hours |= {hour_of(slot.pointer[0]), *slot.pointer[3]}
        return waiting, hours

    async def _empty(
        self,
        pk: str,
        owner: str | None,
        end: str,
        others: Head | None,
        waiting: set[Key],
        *,
        listed: bool,
        began: int,
    ) -> int:
        """Take all content out of an owner's rows of a thread; how many requests they bore.

        The owner's are the rows up to the epoch `end`, and some that were `waiting` before its last slot was
        taken: those that no slot has brought to light since. Where somebody else has a thread there,
        `others`, they keep their rows and what those refer to. While the thread is `listed`, the slots say
        where.
        """
        requests = 0
        for _ in range(_TRIES):
            beside: list[Key] = []
            emptied: list[Slot] = []
            dead: list[Key] = []
            kept: set[str] = set()
            async for row in all_rows(self._table, pk):
                key, slot = key_of(row), slot_of(row)
                if slot is None:
                    beside.append(key)
                elif key in waiting and slot.epoch > end:
                    dead.append(key)
                elif slot.epoch <= end and not _is_of(slot, others):
                    emptied.append(slot)
                else:
                    kept |= slot.refs
            # Texts go first: no bare slot leads to them.
            texts = {ref for slot in emptied for ref in slot.refs} - kept
            dead += _dead_texts(beside, texts, kept, waiting)
            dead += _dead_claims(beside, waiting, end, others)
            await self._table.write([], dead)
            whole = True
            for slot in emptied:
                bare = _bare(slot, owner, listed=listed)
                if bare is None:
                    continue
                if await self._put_bare(pk, bare, slot.version, began):
                    requests += slot.request is not None and bare.request is None
                else:
                    whole = False
            if whole:
                return requests
        raise Unavailable(f"thread {layout.thread_of(pk)!r} changes while it is emptied: erase again")

    async def _put_bare(self, pk: str, bare: Slot, version: int, began: int) -> bool:
        """Put a slot without content in place of the one of that version; whether it was still there."""
        require_awake(self._clock() - began, "an erasure was held up for long: erase again")
        return await self._table.swap(bare.dump(pk), version)


def _dead_texts(rows: Sequence[Key], texts: set[str], kept: set[str], waiting: set[Key]) -> list[Key]:
    """The pieces of texts that go: those of emptied slots, and what waits in vain."""
    pieces: dict[str, list[Key]] = {}
    for key in rows:
        ref = layout.text_of(key.sk)
        if ref is not None:
            pieces.setdefault(ref, []).append(key)
    dead: list[Key] = []
    for ref, keys in pieces.items():
        if ref in texts or (ref not in kept and waiting.issuperset(keys)):
            dead += keys
    return dead


def _dead_claims(rows: Sequence[Key], waiting: set[Key], epoch: str, others: Head | None) -> list[Key]:
    """The claims that go: those of histories no later than that epoch, and what waits in vain.

    The history that somebody else has now keeps its claims. They may have waited, but a slot has brought them
    to light since.
    """
    present = None if others is None else others.public_epoch
    dead: list[Key] = []
    for key in rows:
        history = layout.claim_of(key.sk)
        if history in (None, present):
            continue
        if key in waiting or _is_over(history, epoch):
            dead.append(key)
    return dead


def _is_over(history: str, epoch: str) -> bool:
    """Whether a history is no later than that epoch."""
    return history[: len(epoch)] <= epoch


def _is_of(slot: Slot, others: Head | None) -> bool:
    """Whether a slot is of the thread that somebody else has now. What was inserted between others is."""
    if others is None:
        return False
    inserted = len(slot.position) > len(position.START) and slot.epoch == others.epoch
    return inserted or slot.totals.life == others.totals.life


def _bare(slot: Slot, owner: str | None, *, listed: bool) -> Slot | None:
    """A slot without content: it leads on to what follows, and to others' lists. None for one that is so.

    Where somebody else began the thread that follows, the request that did it is theirs, and is remembered.
    """
    bare = Slot(
        slot.epoch, slot.position, slot.token, slot.at, replace(slot.totals, chain="", left=()),
        version=slot.version, fades=slot.fades, edited=_EMPTIED, seals=slot.seals, staged=slot.staged,
        header=slot.header if slot.seals and not names(slot.header, owner) else None,
        pointer=slot.pointer if slot.pointer is not None and (listed or slot.pointer[2] != owner) else None,
    )  # fmt: skip
    if bare.header is not None and bare.header.thread is not None:
        bare = bare._replace(request=slot.request, result=slot.result, kept=slot.kept, told=slot.told)
    return None if bare == slot else bare._replace(version=slot.version + 1)
