"""How a history goes on in an epoch of its own: replaced, ended, copied, or without what is gone from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from chatstore import position, records
from chatstore.conditions import renewed
from chatstore.contract import Draft, ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.claims import of_slots
from chatstore.engines.log.head import is_void, look
from chatstore.engines.log.lists import Lists, Pointer
from chatstore.engines.log.making import active_at, answering, grown
from chatstore.engines.log.planning import Answer, Decision, Outdated, Turn, no_request
from chatstore.engines.log.port import Key, Table
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import Entry, Header, Slot, Totals
from chatstore.engines.log.staging import arranged, stage
from chatstore.engines.log.visiting import KEPT
from chatstore.engines.log.writing import Writer
from chatstore.models import Appended, Deleted, Message, Thread, to_micros

__all__ = ["Epochs"]


class Epochs:
    """Seals epochs and begins others. What it writes before, nobody sees until the slot is taken."""

    def __init__(self, table: Table, writer: Writer, lists: Lists, reader: Reader) -> None:
        self._table = table
        self._writer = writer
        self._lists = lists
        self._reader = reader

    async def changed(self, turn: Turn, thread: Thread | None, *, adding: bool) -> Header | None:
        """The header with the properties `thread`, if any, renewed if messages come; None for the same.

        Before it is there, the visit at its expiry is noted.
        """
        present = cast("Header", turn.head.header)
        before = cast("Thread", present.thread)
        after = before if thread is None else thread
        after = renewed(after, turn.now) if adding else after
        if after is before:
            return None
        if after.expires_at is not None:
            await self._lists.visits.schedule(turn.head.pk, to_micros(after.expires_at))
        return present._replace(version=present.version + 1, thread=after)

    async def _renewed(self, turn: Turn, thread: Thread) -> Thread:
        """The properties after messages were added, where they go to another epoch."""
        header = await self.changed(turn, thread, adding=True)
        return thread if header is None else cast("Thread", header.thread)

    async def next_epoch(
        self,
        turn: Turn,
        thread: Thread | None,
        drafts: Sequence[Draft],
        result: Deleted | Callable[[str], Deleted] | None,
        *,
        life: bool = False,
        scattered: bool = False,
        left: tuple[int, ...] = (),
    ) -> Decision[Any]:
        """Seal the epoch; the history goes on with `drafts` in another, or nowhere."""
        head = turn.head
        base = await self._base(turn, thread, life=life, active=bool(drafts))
        base = replace(base, left=left) if life else base
        epoch = layout.epoch_after(head.epoch, turn.now, turn.token)
        header = self._next_header(turn, epoch, base, thread)._replace(scattered=scattered)
        totals = replace(grown(base, drafts), version=header.version)
        slots = arranged(epoch, drafts, turn.token, turn.now, totals)
        entries = [entry for slot in slots for entry in slot.entries]
        answer = Appended(tuple(entry.message() for entry in entries), totals.etag(epoch))
        decision = await self._seal(turn, header, slots)
        if result is not None:
            gone = result if isinstance(result, Deleted) else result(answer.etag)
            return decision._replace(slot=decision.slot._replace(result=records.dump(gone)), result=gone)
        return decision._replace(result=answer)

    async def close(self, turn: Turn) -> Decision[Any]:
        """Seal the epoch of what is no thread; one that comes begins where all threads begin.

        Whoever does it has noted the visit that removes the seal.
        """
        base = await self._base(turn, None, life=False, active=False)
        return await self._seal(turn, self._next_header(turn, layout.ZERO, base, None), ())

    async def pointed(self, turn: Turn, thread: Thread) -> tuple[int, ...]:
        """List a thread that is to be made; the hours in which one that bore its id is still listed."""
        active = to_micros(thread.active_at)
        left: tuple[int, ...] = ()
        if turn.head.header is not None:
            left = await self._lists.former(turn.key, thread.owner, active)
        expires = None if thread.expires_at is None else to_micros(thread.expires_at)
        await self._lists.point(turn.key, thread.owner, active, turn.token, left=left, visit=expires)
        return left

    async def copy(self, turn: Turn, thread: Thread, entries: list[Entry], free: Key | None) -> Decision[Any]:
        """A history of `entries`, with new ids, in an epoch of its own."""
        left = await self.pointed(turn, thread)
        head = turn.head
        base = await self._base(turn, thread, life=True, active=True)
        base = replace(base, expiring=any(entry.expires_at is not None for entry in entries), left=left)
        epoch = layout.epoch_after(head.epoch, turn.now, turn.token)
        drafts = [Draft(entry.text) for entry in entries]
        header = self._next_header(turn, epoch, base, thread)
        slots = arranged(
            epoch, drafts, turn.token, turn.now, replace(grown(base, drafts), version=header.version)
        )
        old = iter(entries)
        slots = [
            slot._replace(
                entries=tuple(
                    entry._replace(
                        created_at=was.created_at,
                        expires_at=was.expires_at,
                        metadata=was.metadata,
                        key=was.key,
                    )
                    for entry, was in zip(slot.entries, old, strict=False)
                ),
            )
            for slot in slots
        ]
        return (await self._seal(turn, header, slots))._replace(free=free)

    async def number_anew(
        self, turn: Turn, entry: Entry, text: str, active: int, *, was: Entry | None
    ) -> Decision[Message]:
        """The history with `entry`, which says `text`, where its position says, all at new positions.

        `was` is the message that it replaces, if it does.
        """
        head = turn.head
        others = [found.entry async for found in self._reader.living(head, turn.now)]
        entries = sorted(
            [entry, *(other for other in others if other.id != entry.id)], key=lambda each: each.position
        )
        thread = cast("Thread", cast("Header", head.header).thread)
        thread = await self._renewed(turn, thread) if was is None else thread
        base = await self._base(turn, thread, life=False, active=False)
        left = await self.listed(turn, active)
        expiring = turn.totals.expiring or entry.expires_at is not None
        base = replace(base, expiring=expiring, edits=1, count=len(entries), active_at=active, left=left)
        epoch = layout.epoch_after(head.epoch, turn.now, turn.token)
        header = self._next_header(turn, epoch, base, thread)._replace(scattered=True)
        slots = []
        for number, each in enumerate(entries, 1):
            at = position.nth(number)
            placed = each._replace(position=at)
            totals = replace(base, version=header.version)
            slots.append(Slot(epoch, at, turn.token, turn.now, totals, (placed,), staged=True))
            if each is entry:
                entry = placed
        decision = await self._seal(turn, header, slots)
        message = entry._replace(text=text).message()
        slot = answering(turn, decision.slot, message, (Draft(text),))
        if was is not None and (was.text, was.blob) == (entry.text, entry.blob):
            # The request did not bring the text: its repetition finds it here.
            slot = slot._replace(entries=(entry,))
        return decision._replace(slot=slot, result=message)

    async def _seal(self, turn: Turn, header: Header, slots: Sequence[Slot]) -> Decision[Any]:
        if not is_void(header):
            await self._lists.visits.schedule(turn.head.pk, turn.now + KEPT)
        claims = of_slots(turn.head.pk, header, slots)
        await stage(self._table, turn, slots, claims)
        before = None if turn.head.header is None else turn.head.header.thread
        ends = before is not None and turn.head.totals.life != header.base.life
        totals = turn.head.totals
        pointer = (totals.active_at, turn.key.id, before.owner, totals.left) if before and ends else None
        slot = turn.slot(turn.totals, header=header, seals=True, pointer=pointer)
        return Decision(slot, None)

    async def _base(self, turn: Turn, thread: Thread | None, *, life: bool, active: bool) -> Totals:
        """The totals that another epoch begins with. Where it makes a thread active, that is listed now."""
        before, seen = turn.head.totals, turn.totals.seen
        if thread is None:
            # Who begins the thread again was active no earlier.
            return Totals(seen=seen, active_at=before.active_at)
        if life:
            return Totals(life=turn.token[:8], seen=seen, active_at=to_micros(thread.active_at))
        at = active_at(before.active_at, turn.now) if active else before.active_at
        return Totals(life=before.life, seen=seen, active_at=at, left=await self.listed(turn, at))

    @staticmethod
    def _next_header(turn: Turn, epoch: str, base: Totals, thread: Thread | None) -> Header:
        head, before = turn.head, turn.head.header
        version = 1 if before is None else before.version + 1
        over = None if before is None or epoch == layout.ZERO else before.over
        if before is not None and before.living and head.totals.life != base.life:
            over = before.ended(head.epoch, turn.now)
        # The header of what is no thread goes one day: no slot may ask for it.
        base = replace(base, version=0 if thread is None else version)
        return Header(version, epoch, base, thread, claimed=thread is not None, over=over)

    async def listed(self, turn: Turn, active: int) -> tuple[int, ...]:
        """List the thread as active, unless it was so in the same minute; the hours that it leaves.

        Raises Outdated where it was erased since the turn looked at it. What a writer stages after that would
        be in no list, and another erasure would not find it.
        """
        totals = turn.head.totals
        if active == totals.active_at:
            return totals.left
        owner = cast("Thread", cast("Header", turn.head.header).thread).owner
        before = Pointer(totals.active_at, turn.key.id, owner, totals.left)
        left = await self._lists.move(turn.key, owner, active, turn.token, before)
        if left is None:
            await self.require_unmoved(turn)
        return left or ()

    async def require_unmoved(self, turn: Turn) -> None:
        """Raise Outdated where something was decided since the turn looked at the thread; one trip.

        Rows that were read later may say so. A slot would prove that they do not; an answer without one rests
        on this.
        """
        if not (await look(self._table, turn.head.pk)).is_at(turn.head):
            raise Outdated

    async def compact(self, key: ThreadKey) -> None:
        """Give a thread an epoch without the places that hold nothing; positions and ids stay."""

        async def plan(turn: Turn) -> Answer[None] | Decision[None]:
            head = turn.head
            header = head.header
            if header is None or not header.living:
                return Answer(None)
            slots = [slot async for slot in self._reader.rows(head) if slot.present]
            epoch = layout.epoch_after(head.epoch, turn.now, turn.token)
            version = header.version + 1
            totals = replace(turn.totals, places=0, version=version, cuts=())
            staged = [
                slot._replace(epoch=epoch, totals=totals, entries=slot.present, request=None, result=None,
                        header=None, kept=0, staged=True, version=0, told=None, fades=0, edited=0)
                for slot in slots
            ]  # fmt: skip
            moved = header._replace(version=version, epoch=epoch, base=totals, claimed=True)
            return await self._seal(turn, moved, staged)

        await self._writer.mutate(key, None, plan, no_request)
