"""What a mutation decides: the slot to be taken, the rows to be staged for it, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from chatstore import position, records
from chatstore.conditions import created, renewed, require
from chatstore.contract import Draft, NewThread, ThreadKey, ThreadPatch
from chatstore.engines.log import layout
from chatstore.engines.log.cuts import MOST_CUTS
from chatstore.engines.log.cutting import Place
from chatstore.engines.log.head import Head, target_of
from chatstore.engines.log.lists import Lists, Pointer
from chatstore.engines.log.making import active_at, answering, grown, made, stays
from chatstore.engines.log.planning import Answer, Decision, Turn, no_request
from chatstore.engines.log.port import Key, Table
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import Effect, Entry, Header, Slot, Totals, chained
from chatstore.engines.log.staging import are_inline, arranged, is_row, keep_apart, stage
from chatstore.engines.log.visiting import KEPT
from chatstore.engines.log.writing import Writer
from chatstore.errors import InvalidArgument, ThreadExists, ThreadNotFound
from chatstore.models import Appended, Deleted, Message, Thread, to_micros

__all__ = ["Deciding"]

T = TypeVar("T")

_MICROSECOND = timedelta(microseconds=1)
_FEWEST_PLACES = 64
_MOST_TOGETHER = 20_000
"""Messages that a row takes beside its texts, wherever these are kept."""


class Deciding:
    """Decides on the thread as a turn has it. What it writes before, nobody sees until the slot is taken."""

    def __init__(self, table: Table, writer: Writer, lists: Lists, reader: Reader) -> None:
        self._table = table
        self._writer = writer
        self._lists = lists
        self._reader = reader

    async def add(
        self,
        turn: Turn,
        drafts: Sequence[Draft],
        kept: int = 0,
        *,
        thread: Thread | None = None,
        told: str | None = None,
        place: Place | None = None,
    ) -> Decision[Appended]:
        """Messages at the end, and the properties as `thread` has them; `told` is the answer's etag of those.

        What lies behind a `place` is cut first.
        """
        if len(drafts) > _MOST_TOGETHER:
            raise InvalidArgument(f"a turn has at most {_MOST_TOGETHER:,} messages here: append several")
        head = turn.head
        before = turn.totals
        if drafts:
            active = active_at(head.totals.active_at, turn.now)
            before = replace(before, active_at=active, left=await self.listed(turn, active))
        else:
            before = replace(before, places=before.places + 1)
        if place is not None:
            before = place.totals(turn, before)
            await self._lists.visits.note(head.pk, turn.now + KEPT)
        totals = grown(before, drafts)
        header = await self.changed(turn, thread, adding=bool(drafts))
        slot = turn.slot(totals, kept=kept, header=header, told=told)
        entries = slot.arranged(drafts)
        await self._plan_visits(head.pk, drafts, turn.now)
        slot = slot._replace(entries=await self.inline(head.pk, entries, turn.now))
        messages = tuple(entry.message() for entry in entries)
        result = Appended(messages, totals.etag(head.epoch), kept, told)

        async def after() -> None:
            if len(totals.cuts) > MOST_CUTS:
                await self.compact(turn.key)

        return Decision(slot, result, after=after if place is not None else None)

    async def create(
        self,
        turn: Turn,
        key: ThreadKey,
        create: NewThread | None,
        if_match: str | None,
        drafts: Sequence[Draft],
        *,
        patch: ThreadPatch | None = None,
        if_thread: str | None = None,
    ) -> Decision[Appended]:
        """A thread that was not there, with its first messages."""
        require(if_match, None)
        require(if_thread, None)
        if create is None:
            raise ThreadNotFound(key.id)
        if turn.head.thread(key._replace(owner=None), turn.now) is not None:
            raise ThreadExists(key.id)
        new = create if patch is None else created(create, patch)
        decision: Decision[Appended] = await self.bear(turn, made(key, new, turn), drafts)
        if patch is None and if_thread is None:
            return decision
        slot = decision.slot._replace(told=turn.token)
        return decision._replace(slot=slot, result=replace(decision.result, thread_etag=turn.token))

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
            await self._lists.visits.note(turn.head.pk, to_micros(after.expires_at))
        return present._replace(version=present.version + 1, thread=after)

    async def _renewed(self, turn: Turn, thread: Thread) -> Thread:
        """The properties after messages were added, where they go to another epoch."""
        header = await self.changed(turn, thread, adding=True)
        return thread if header is None else cast("Thread", header.thread)

    async def bear(self, turn: Turn, thread: Thread, drafts: Sequence[Draft]) -> Decision[Any]:
        head = turn.head
        active = to_micros(thread.active_at)
        left = await self.pointed(turn, thread)
        await self._plan_visits(head.pk, drafts, turn.now)
        expired = head.header is not None and head.header.living
        if expired or not are_inline(drafts):
            # What an expired thread left ends, and what takes several rows begins, with an epoch of its own.
            return await self.flip(turn, thread, drafts, None, life=True, left=left)
        version = 1 if head.header is None else head.header.version + 1
        base = Totals(
            life=turn.token[:8], version=version, seen=turn.totals.seen, active_at=active, left=left
        )
        header = Header(version, head.epoch, base, thread)
        totals = replace(grown(base, drafts), places=0 if drafts else 1)
        slot = turn.slot(totals, header=header)
        slot = slot._replace(entries=slot.arranged(drafts))
        result = Appended(tuple(entry.message() for entry in slot.entries), totals.etag(head.epoch))
        return Decision(slot, result)

    async def replace(self, turn: Turn, drafts: Sequence[Draft]) -> Answer[Appended] | Decision[Appended]:
        """Make `drafts` the history, by adding what is new where the rest is there already."""
        kept = await self.kept(turn, drafts)
        if kept is None or len(drafts) - kept > _MOST_TOGETHER:
            await self._plan_visits(turn.head.pk, drafts, turn.now)
            thread = cast("Thread", cast("Header", turn.head.header).thread)
            thread = await self._renewed(turn, thread) if drafts else thread
            return await self.flip(turn, thread, drafts, None)
        if kept < len(drafts):
            await self._reader.require_new_keys(turn.key, turn.head, drafts[kept:], None, turn.now)
            return await self.add(turn, drafts[kept:], kept)
        return await self.note(turn, Appended((), turn.head.etag, kept))

    async def kept(self, turn: Turn, drafts: Sequence[Draft]) -> int | None:
        """How many messages there are, if they are the first of `drafts`; None otherwise."""
        head, totals = turn.head, turn.head.totals
        beside = any(draft.metadata is not None or draft.key is not None for draft in drafts[: totals.count])
        if not totals.edits and not totals.expiring and not beside:
            same = totals.count <= len(drafts) and totals.chain == chained(
                "", [draft.text for draft in drafts[: totals.count]]
            )
            return totals.count if same else None
        kept = 0
        async for entry in self._reader.whole(head, turn.now):
            if kept == len(drafts) or not stays(entry, drafts[kept]):
                return None
            kept += 1
        return kept

    async def flip(
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
        header = self._next_header(head, epoch, base, thread)._replace(scattered=scattered)
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
        """Seal the epoch of what is no thread; one that comes begins where all threads begin."""
        base = await self._base(turn, None, life=False, active=False)
        return await self._seal(turn, self._next_header(turn.head, layout.ZERO, base, None), ())

    async def pointed(self, turn: Turn, thread: Thread) -> tuple[int, ...]:
        """List a thread that is to be made; the hours in which one that bore its id is still listed."""
        active = to_micros(thread.active_at)
        left: tuple[int, ...] = ()
        if turn.head.header is not None:
            left = await self._lists.former(turn.key, thread.owner, active)
        expires = None if thread.expires_at is None else to_micros(thread.expires_at)
        await self._lists.point(turn.key, thread.owner, active, turn.token, visit=expires)
        return left

    async def copy(self, turn: Turn, thread: Thread, entries: list[Entry], free: Key | None) -> Decision[Any]:
        """A history of `entries`, with new ids, in an epoch of its own."""
        left = await self.pointed(turn, thread)
        head = turn.head
        base = await self._base(turn, thread, life=True, active=True)
        base = replace(base, expiring=any(entry.expires_at is not None for entry in entries), left=left)
        epoch = layout.epoch_after(head.epoch, turn.now, turn.token)
        drafts = [Draft(entry.text) for entry in entries]
        header = self._next_header(head, epoch, base, thread)
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
        self, turn: Turn, entry: Entry, text: str, active: int, *, adding: bool
    ) -> Decision[Message]:
        """The history with `entry`, which says `text`, where its position says, all at new positions."""
        head = turn.head
        others = [found.entry async for found in self._reader.living(head, turn.now)]
        entries = sorted(
            [entry, *(other for other in others if other.id != entry.id)], key=lambda each: each.position
        )
        thread = cast("Thread", cast("Header", head.header).thread)
        thread = await self._renewed(turn, thread) if adding else thread
        base = await self._base(turn, thread, life=False, active=False)
        left = await self.listed(turn, active)
        expiring = turn.totals.expiring or entry.expires_at is not None
        base = replace(base, expiring=expiring, edits=1, count=len(entries), active_at=active, left=left)
        epoch = layout.epoch_after(head.epoch, turn.now, turn.token)
        header = self._next_header(head, epoch, base, thread)._replace(scattered=True)
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
        kept = () if text != entry.text else (Draft(text),)
        return decision._replace(slot=answering(turn, decision.slot, message, kept), result=message)

    async def _seal(self, turn: Turn, header: Header, slots: Sequence[Slot]) -> Decision[Any]:
        await self._lists.visits.note(
            turn.head.pk, turn.now + (layout.HOUR if header.epoch == layout.ZERO else KEPT)
        )
        staged = await stage(self._table, turn.head.pk, slots)
        before = None if turn.head.header is None else turn.head.header.thread
        ends = before is not None and turn.head.totals.life != header.base.life
        totals = turn.head.totals
        pointer = (totals.active_at, turn.key.id, before.owner, totals.left) if before and ends else None
        slot = turn.slot(turn.totals, header=header, seals=True, pointer=pointer)
        return Decision(slot, None, staged=staged)

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
    def _next_header(head: Head, epoch: str, base: Totals, thread: Thread | None) -> Header:
        version = 1 if head.header is None else head.header.version + 1
        # The header of what is no thread goes one day: no slot may ask for it.
        return Header(version, epoch, replace(base, version=0 if thread is None else version), thread)

    async def edit(
        self,
        turn: Turn,
        key: ThreadKey,
        totals: Totals,
        effect: Effect,
        entry: Entry,
        draft: Draft,
        *,
        row: Slot | None,
        was: Entry | None = None,
    ) -> Decision[Message]:
        """One message put, added or taken out, by an effect on its row.

        Where the row would be too large for that, or positions too long, the history is numbered anew.
        """
        pk = turn.head.pk
        if entry.expires_at is not None and was is None:
            await self._lists.visits.note(pk, entry.expires_at)
        await self._lists.visits.note(pk, turn.now + KEPT)
        totals = replace(totals, left=await self.listed(turn, totals.active_at))
        message = entry._replace(text=draft.text).message()
        header = await self.changed(turn, None, adding=True) if was is None else None
        slot = turn.slot(totals, entries=(entry,), effect=effect, header=header)
        if effect.verb != "take":
            left = cast("Slot", target_of(slot, row))
            inline = are_inline(left.entries)
            if not inline:
                bare = slot._replace(entries=(entry._replace(text=""),))
                left = cast("Slot", target_of(bare, row))
            if position.crowded(entry.position) or not is_row(left, pk):
                return await self.number_anew(turn, entry, draft.text, totals.active_at, adding=was is None)
            if not inline:
                kept = await keep_apart(self._table, pk, (entry,), turn.now, most=0)
                slot = slot._replace(entries=kept)

        async def after() -> None:
            if totals.places > max(_FEWEST_PLACES, totals.count - totals.gone):
                await self.compact(key)

        return Decision(answering(turn, slot, message, [draft]), message, edits=row, after=after)

    async def listed(self, turn: Turn, active: int) -> tuple[int, ...]:
        """List the thread as active, unless it was so in the same minute; the hours that it leaves."""
        totals = turn.head.totals
        if active == totals.active_at:
            return totals.left
        owner = cast("Thread", cast("Header", turn.head.header).thread).owner
        before = Pointer(totals.active_at, turn.key.id, owner, totals.left)
        return await self._lists.move(turn.key, owner, active, turn.token, before)

    async def compact(self, key: ThreadKey) -> None:
        """Give a thread an epoch without the places that hold nothing; positions and ids stay."""

        async def plan(turn: Turn) -> Answer[None] | Decision[None]:
            head = turn.head
            header = head.header
            if header is None or not header.living:
                return Answer(None)
            slots = [slot async for slot in self._reader.rows(head) if slot.messages]
            epoch = layout.epoch_after(head.epoch, turn.now, turn.token)
            version = header.version + 1
            totals = replace(turn.totals, places=0, version=version, cuts=())
            staged = [
                slot._replace(epoch=epoch, totals=totals, request=None, result=None, header=None, kept=0,
                        staged=True, version=0)
                for slot in slots
            ]  # fmt: skip
            moved = header._replace(version=version, epoch=epoch, base=totals)
            return await self._seal(turn, moved, staged)

        await self._writer.mutate(key, None, plan, no_request)

    async def note(self, turn: Turn, result: T) -> Answer[T] | Decision[T]:
        """A result that changes nothing: remembered where a request asks for it."""
        if turn.request is None:
            return Answer(result)
        header = turn.head.header
        if header is None or (not header.living and header.epoch == layout.ZERO):
            # Nothing else leads here, or what does may be about to be removed.
            await self._lists.visits.note(turn.head.pk, turn.now + KEPT)
        return Decision(turn.note(records.dump(cast("records.Result", result))), result)

    async def inline(self, pk: str, entries: Sequence[Entry], now: int) -> tuple[Entry, ...]:
        """The entries as a row takes them."""
        if are_inline(entries):
            return tuple(entries)
        await self._lists.visits.note(pk, now + KEPT)
        return await keep_apart(self._table, pk, entries, now)

    async def _plan_visits(self, pk: str, drafts: Sequence[Draft], now: int) -> None:
        soonest = min((draft.ttl for draft in drafts if draft.ttl is not None), default=None)
        if soonest is not None:
            await self._lists.visits.note(pk, now + soonest // _MICROSECOND)
