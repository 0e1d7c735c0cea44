"""What a mutation decides: the slot to be taken, the rows to be staged for it, and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from chatstore import position, records
from chatstore.conditions import created, require
from chatstore.contract import Draft, NewThread, ThreadKey, ThreadPatch
from chatstore.engines.log import layout
from chatstore.engines.log.claiming import Claimer
from chatstore.engines.log.cuts import MOST_CUTS
from chatstore.engines.log.cutting import Place
from chatstore.engines.log.epochs import Epochs
from chatstore.engines.log.head import target_of
from chatstore.engines.log.lists import Lists
from chatstore.engines.log.making import active_at, answering, grown, new_thread, stays
from chatstore.engines.log.planning import Answer, Decision, Turn
from chatstore.engines.log.port import Table
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import Effect, Entry, Header, Slot, Totals, chained
from chatstore.engines.log.staging import are_inline, is_row, keep_apart
from chatstore.engines.log.visiting import KEPT
from chatstore.engines.log.writing import Writer
from chatstore.errors import InvalidArgument, ThreadExists, ThreadNotFound
from chatstore.models import Appended, Message, Thread, to_micros
from chatstore.wire import micros_of

__all__ = ["Deciding"]

T = TypeVar("T")

_FEWEST_PLACES = 64
_MOST_TOGETHER = 20_000
"""Messages that a row takes beside its texts, wherever these are kept."""


class Deciding(Epochs):
    """Decides on the thread as a turn has it. What it writes before, nobody sees until the slot is taken."""

    def __init__(self, table: Table, writer: Writer, lists: Lists, reader: Reader) -> None:
        super().__init__(table, writer, lists, reader)
        self.claims = Claimer(table, reader)

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

        What lies behind a `place` is cut first. Raises InvalidArgument for more messages than a slot holds.
        """
        if len(drafts) > _MOST_TOGETHER:
            raise InvalidArgument(
                f"a turn has at most {_MOST_TOGETHER:,} messages here: append several turns"
            )
        head = turn.head
        before = turn.totals
        if drafts:
            active = active_at(head.totals.active_at, turn.now)
            before = replace(before, active_at=active, left=await self.listed(turn, active))
        else:
            before = replace(before, places=before.places + 1)
        if place is not None:
            before = place.totals(turn, before)
            await self._lists.visits.schedule(head.pk, turn.now + KEPT)
        totals = grown(before, drafts)
        header = await self.changed(turn, thread, adding=bool(drafts))
        slot = turn.slot(totals, kept=kept, header=header, told=told)
        entries = slot.arranged(drafts)
        await self._plan_visits(head.pk, drafts, turn.now)
        slot = slot._replace(entries=await self.inline(turn, entries))
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
        """A thread that was not there, with its first messages.

        Raises Conflict where a condition asks for one, ThreadNotFound where none is to be made, and
        ThreadExists where the id is another owner's.
        """
        require(if_match, None)
        require(if_thread, None)
        if create is None:
            raise ThreadNotFound(key.id)
        if turn.head.thread(key._replace(owner=None), turn.now) is not None:
            raise ThreadExists(key.id)
        new = create if patch is None else created(create, patch)
        decision: Decision[Appended] = await self.begin(turn, new_thread(key, new, turn), drafts)
        if patch is None and if_thread is None:
            return decision
        slot = decision.slot._replace(told=turn.token)
        return decision._replace(slot=slot, result=replace(decision.result, thread_etag=turn.token))

    async def begin(self, turn: Turn, thread: Thread, drafts: Sequence[Draft]) -> Decision[Any]:
        """A thread that was not there: its first slot, in the epoch that is there or in one of its own."""
        head = turn.head
        active = to_micros(thread.active_at)
        left = await self.pointed(turn, thread)
        await self._plan_visits(head.pk, drafts, turn.now)
        expired = head.header is not None and head.header.living
        if expired or not are_inline(drafts):
            # What an expired thread left ends, and what takes several rows begins, with an epoch of its own.
            return await self.next_epoch(turn, thread, drafts, None, life=True, left=left)
        version = 1 if head.header is None else head.header.version + 1
        base = Totals(
            life=turn.token[:8], version=version, seen=turn.totals.seen, active_at=active, left=left
        )
        over = None if head.header is None else head.header.over
        header = Header(version, head.epoch, base, thread, claimed=True, over=over)
        totals = replace(grown(base, drafts), places=0 if drafts else 1)
        slot = turn.slot(totals, header=header)
        slot = slot._replace(entries=slot.arranged(drafts))
        result = Appended(tuple(entry.message() for entry in slot.entries), totals.etag(head.epoch))
        await self.claims.stage(turn, slot)
        return Decision(slot, result)

    async def replace(self, turn: Turn, drafts: Sequence[Draft]) -> Answer[Appended] | Decision[Appended]:
        """Make `drafts` the history, by adding what is new where the rest is there already."""
        kept = await self.kept(turn, drafts)
        if kept is None or len(drafts) - kept > _MOST_TOGETHER:
            await self._plan_visits(turn.head.pk, drafts, turn.now)
            thread = cast("Thread", cast("Header", turn.head.header).thread)
            thread = await self._renewed(turn, thread) if drafts else thread
            return await self.next_epoch(turn, thread, drafts, None)
        if kept < len(drafts):
            await self.claims.take(turn, drafts[kept:])
            return await self.add(turn, drafts[kept:], kept)
        return await self.unchanged(turn, Appended((), turn.head.etag, kept))

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
        if kept == len(drafts):
            await self.require_unmoved(turn)
        return kept

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
            await self._lists.visits.schedule(pk, entry.expires_at)
        await self._lists.visits.schedule(pk, turn.now + KEPT)
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
                return await self.number_anew(turn, entry, draft.text, totals.active_at, was=was)
            if not inline:
                kept = await keep_apart(self._table, turn, (entry,), most=0)
                slot = slot._replace(entries=kept)

        async def after() -> None:
            if totals.places > max(_FEWEST_PLACES, totals.count - totals.gone):
                await self.compact(key)

        return Decision(answering(turn, slot, message, [draft]), message, edits=row, after=after)

    async def unchanged(self, turn: Turn, result: T) -> Answer[T] | Decision[T]:
        """A result that changes nothing: remembered where a request asks for it."""
        if turn.request is None:
            return Answer(result)
        header = turn.head.header
        if header is None or (not header.living and header.epoch == layout.ZERO):
            # Nothing else leads here, or what does may be about to be removed.
            await self._lists.visits.schedule(turn.head.pk, turn.now + KEPT)
        return Decision(turn.bare_slot(records.dump(cast("records.Result", result))), result)

    async def inline(self, turn: Turn, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """The entries as a row takes them."""
        if are_inline(entries):
            return tuple(entries)
        await self._lists.visits.schedule(turn.head.pk, turn.now + KEPT)
        return await keep_apart(self._table, turn, entries)

    async def _plan_visits(self, pk: str, drafts: Sequence[Draft], now: int) -> None:
        soonest = min((draft.ttl for draft in drafts if draft.ttl is not None), default=None)
        if soonest is not None:
            await self._lists.visits.schedule(pk, now + micros_of(soonest))
