"""The contract's operations over the log: what each decides, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from chatstore import position, records
from chatstore.backends.conditions import merge, require, require_log
from chatstore.contract import (
    UNSET,
    Backend,
    Capability,
    Clock,
    Draft,
    InsertAt,
    Listing,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
)
from chatstore.errors import MessageNotFound, ThreadExists, ThreadNotFound
from chatstore.ids import token
from chatstore.log import keys
from chatstore.log.cleaning import KEPT, Cleaner
from chatstore.log.costs import metered
from chatstore.log.head import Head, look
from chatstore.log.lists import Lists, pointed
from chatstore.log.port import Key, Table
from chatstore.log.reading import Found, Reader
from chatstore.log.records import EMPTY, Effect, Entry, Header, Slot, Totals, chained
from chatstore.log.staging import MOST_INLINE, arranged, keep_apart, stage
from chatstore.log.writing import Answer, Decision, Turn, Writer
from chatstore.models import (
    Appended,
    Deleted,
    Erased,
    Message,
    Page,
    Swept,
    Thread,
    from_micros,
    to_micros,
)

__all__ = ["LogBackend"]

R = TypeVar("R", bound=records.Result)
T = TypeVar("T")

_MICROSECOND = timedelta(microseconds=1)
_MINUTE = 60_000_000
_FEWEST_PLACES = 64
_NOTHING = Draft("")


class LogBackend(Backend):
    """The contract over a `Table`; a subclass brings the table, its name and its capabilities."""

    def __init__(
        self, table: Table, clock: Clock, *, stale: bool = False, tokens: Callable[[], str] = token
    ) -> None:
        self.table = table
        self.clock = clock
        self._writer = Writer(table, clock, tokens)
        self._reader = Reader(table, clock, stale=stale)
        self._exact = Reader(table, clock)
        self._lists = Lists(table, clock)
        self._cleaner = Cleaner(table, clock, self._writer, self._lists, self._exact)

    async def close(self) -> None:
        await self.table.close()

    async def ping(self) -> None:
        await self.table.ping()

    # Threads

    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        async def plan(turn: Turn) -> Decision[Thread]:
            if turn.head.thread(key._replace(owner=None), turn.now) is not None:
                raise ThreadExists(key.id)
            decision = await self._born(turn, _made(key, new, turn), ())
            made = cast("Header", decision.slot.header)
            thread = replace(cast("Thread", made.thread), active_at=from_micros(turn.now))
            slot = replace(decision.slot, result=records.dump(thread))
            return replace(decision, slot=slot, result=thread)

        return await self._write(key, request, plan)

    async def get_thread(self, key: ThreadKey) -> Thread:
        async def get() -> Thread:
            return (await look(self.table, keys.thread_partition(key))).existing(key, self.clock())

        return await metered(get())

    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        async def plan(turn: Turn) -> Decision[Thread]:
            thread = turn.head.existing(key, turn.now)
            require(if_match, thread.etag)
            changed = replace(_patched(thread, patch, turn.now), etag=turn.token)
            if changed.expires_at is not None:
                await self._lists.visit(turn.head.pk, to_micros(changed.expires_at))
            present = cast("Header", turn.head.header)
            header = replace(present, version=present.version + 1, thread=changed)
            return Decision(turn.note(records.dump(changed), header=header), changed)

        return await self._write(key, request, plan)

    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        async def plan(turn: Turn) -> Answer[Deleted] | Decision[Deleted]:
            thread = turn.head.thread(key, turn.now)
            require(if_match, None if thread is None else thread.etag)
            if thread is None:
                return await self._noted(turn, Deleted(existed=False))
            return await self._flip(turn, None, (), Deleted(existed=True))

        return await self._write(key, request, plan)

    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        return await metered(self._lists.page(tenant, listing))

    # Messages

    async def append(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        async def plan(turn: Turn) -> Decision[Appended]:
            if turn.head.thread(key, turn.now) is None:
                return await self._created(turn, key, create, if_match, drafts)
            require_log(if_match, turn.head.etag, appending=True)
            return await self._add(turn, drafts)

        return await self._write(key, request, plan, drafts)

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        return await metered(self._reader.page(key, span))

    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        async def get() -> Message:
            head, now = await look(self.table, keys.thread_partition(key)), self.clock()
            head.existing(key, now)
            found = await self._exact.named(key, head, message_id, now)
            return await self._exact.message(head, found.entry)

        return await metered(get())

    async def replace_all(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        async def plan(turn: Turn) -> Answer[Appended] | Decision[Appended]:
            if turn.head.thread(key, turn.now) is None:
                return await self._created(turn, key, create, if_match, drafts)
            require_log(if_match, turn.head.etag)
            return await self._replace(turn, drafts)

        return await self._write(key, request, plan, drafts)

    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        async def plan(turn: Turn) -> Answer[Deleted] | Decision[Deleted]:
            exists = turn.head.thread(key, turn.now) is not None
            require(if_match, turn.head.etag if exists else None)
            if not exists:
                return await self._noted(turn, Deleted(existed=False))
            if await self._kept(turn, ()) is not None:
                return await self._noted(turn, Deleted(existed=True, etag=turn.head.etag))
            header = cast("Header", turn.head.header)
            return await self._flip(turn, header.thread, (), lambda etag: Deleted(existed=True, etag=etag))

        return await self._write(key, request, plan)

    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def plan(turn: Turn) -> Decision[Message]:
            turn.head.existing(key, turn.now)
            require_log(if_match, turn.head.etag)
            gap = await self._exact.gap(key, turn.head, at, turn.now)
            if gap.following is None:
                added = await self._add(turn, [draft])
                message = added.result.messages[0]
                return Decision(_answering(added.slot, message, draft), message, after=added.after)
            between = position.between(gap.low, gap.following.entry.position)
            expires = None if draft.ttl is None else turn.now + draft.ttl // _MICROSECOND
            entry = Entry(draft.text, f"{between}-{turn.token}", between, turn.now, expires)
            if position.crowded(between):
                return await self._number_anew(turn, entry, gap.following)
            totals = _edited(turn, gone=-1, expiring=expires is not None, active=True)
            row = gap.following.slot if gap.following.place else None
            if row is not None:
                effect = Effect(row.position, row.version, "add", gap.following.place)
            else:
                effect = Effect(between, None, "add", 0)
            return await self._edit(turn, key, totals, effect, entry, draft, row=row)

        return await self._write(key, request, plan, [draft])

    async def replace_message(
        self, key: ThreadKey, message_id: str, draft: Draft, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def plan(turn: Turn) -> Decision[Message]:
            turn.head.existing(key, turn.now)
            found = await self._exact.named(key, turn.head, message_id, turn.now)
            require(if_match, found.entry.etag)
            entry = replace(found.entry, text=draft.text, revision=found.entry.revision + 1, blob=None)
            effect = Effect(found.slot.position, found.slot.version, "put", found.place)
            return await self._edit(
                turn, key, _edited(turn), effect, entry, draft, row=found.slot, was=found.entry
            )

        return await self._write(key, request, plan, [draft])

    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        async def plan(turn: Turn) -> Answer[Message | None] | Decision[Message | None]:
            turn.head.existing(key, turn.now)
            found: Found | None
            if isinstance(message, str):
                found = await self._exact.named(key, turn.head, message, turn.now)
                require(if_match, found.entry.etag)
            else:
                require_log(if_match, turn.head.etag)
                found = await self._exact.at_index(turn.head, message, turn.now)
                if found is None and message == -1:
                    return await self._noted(turn, None)
                if found is None:
                    raise MessageNotFound(key.id, message)
            effect = Effect(found.slot.position, found.slot.version, "take", found.place)
            totals = _edited(turn, gone=1, emptied=len(found.slot.entries) == 1)
            taken = await self._exact.message(turn.head, found.entry)
            decision = await self._edit(
                turn, key, totals, effect, found.entry, Draft(taken.text), row=found.slot, was=found.entry
            )
            return cast("Decision[Message | None]", replace(decision, result=taken))

        return await self._write(key, request, plan)

    async def fork(
        self,
        source: ThreadKey,
        key: ThreadKey,
        through: str | None,
        *,
        if_match: str | None,
        request: Request | None,
    ) -> Thread:
        if not self.table.atomic_pairs:
            raise self._unsupported(Capability.FORK)

        async def plan(turn: Turn) -> Decision[Thread]:
            origin = await look(self.table, keys.thread_partition(source))
            present = origin.existing(source, turn.now)
            require_log(if_match, origin.etag)
            last = None
            if through is not None:
                last = (await self._exact.named(source, origin, through, turn.now)).entry.position
            entries = []
            async for found in self._exact.living(origin, turn.now):
                text = (await self._exact.message(origin, found.entry)).text
                entries.append(replace(found.entry, text=text, blob=None))
                if found.entry.position == last:
                    break
            if turn.head.thread(key._replace(owner=None), turn.now) is not None:
                raise ThreadExists(key.id)
            now = from_micros(turn.now)
            thread = replace(present, id=key.id, etag=turn.token, created_at=now, active_at=now, cost=None)
            free = Key(origin.pk, keys.slot_row(origin.epoch, position.nth(origin.tail + 1)))
            decision = await self._copied(turn, thread, entries, free)
            return replace(decision, slot=replace(decision.slot, result=records.dump(thread)), result=thread)

        return await self._write(key, request, plan)

    async def sweep(self, limit: int) -> Swept:
        return await metered(self._cleaner.sweep(limit))

    async def erase(self, tenant: str, owner: str) -> Erased:
        return await metered(self._cleaner.erase(tenant, owner))

    # What an operation decides

    async def _add(self, turn: Turn, drafts: Sequence[Draft], kept: int = 0) -> Decision[Appended]:
        """Messages at the end."""
        head = turn.head
        thread = cast("Thread", cast("Header", head.header).thread)
        active = _active(head.totals.active_at, turn.now)
        totals = _grown(replace(turn.totals, active_at=active), drafts)
        slot = turn.slot(totals, kept=kept)
        entries = slot.arranged(drafts)
        await self._plan_visits(head.pk, drafts, turn.now)
        slot = replace(slot, entries=await self._inline(head.pk, entries, turn.now))
        result = Appended(tuple(entry.message() for entry in entries), totals.etag(head.epoch), kept)

        async def touch(_: Head) -> None:
            key = ThreadKey(turn.key.tenant, turn.key.id)
            await self._lists.touch(key, thread.owner, active, head.totals.active_at)

        return Decision(slot, result, after=touch if active != head.totals.active_at else None)

    async def _created(
        self,
        turn: Turn,
        key: ThreadKey,
        create: NewThread | None,
        if_match: str | None,
        drafts: Sequence[Draft],
    ) -> Decision[Appended]:
        """A thread that was not there, with its first messages."""
        require(if_match, None)
        if create is None:
            raise ThreadNotFound(key.id)
        if turn.head.thread(key._replace(owner=None), turn.now) is not None:
            raise ThreadExists(key.id)
        return await self._born(turn, _made(key, create, turn), drafts)

    async def _born(self, turn: Turn, thread: Thread, drafts: Sequence[Draft]) -> Decision[Any]:
        head = turn.head
        expires = None if thread.expires_at is None else to_micros(thread.expires_at)
        await self._lists.point(turn.key, thread.owner, turn.now, visit=expires)
        await self._plan_visits(head.pk, drafts, turn.now)
        if head.header is not None and head.header.living:
            # What an expired thread left: its history ends, and another begins in an epoch of its own.
            return await self._flip(turn, thread, drafts, None, life=True)
        version = 1 if head.header is None else head.header.version + 1
        base = Totals(life=turn.token[:8], version=version, seen=turn.totals.seen, active_at=turn.now)
        header = Header(version, head.epoch, base, thread)
        totals = replace(_grown(base, drafts), places=0 if drafts else 1)
        slot = turn.slot(totals, header=header)
        entries = slot.arranged(drafts)
        slot = replace(slot, entries=await self._inline(head.pk, entries, turn.now))
        result = Appended(tuple(entry.message() for entry in entries), totals.etag(head.epoch))
        return Decision(slot, result)

    async def _replace(self, turn: Turn, drafts: Sequence[Draft]) -> Answer[Appended] | Decision[Appended]:
        """Make `drafts` the history, by adding what is new where the rest is there already."""
        kept = await self._kept(turn, drafts)
        if kept is None:
            await self._plan_visits(turn.head.pk, drafts, turn.now)
            return await self._flip(turn, cast("Header", turn.head.header).thread, drafts, None)
        if kept < len(drafts):
            return await self._add(turn, drafts[kept:], kept)
        return await self._noted(turn, Appended((), turn.head.etag, kept))

    async def _kept(self, turn: Turn, drafts: Sequence[Draft]) -> int | None:
        """How many messages there are, if they are the first of `drafts`; None otherwise."""
        head, totals = turn.head, turn.head.totals
        if not totals.edits and not totals.expiring:
            same = totals.count <= len(drafts) and totals.chain == chained(
                "", [draft.text for draft in drafts[: totals.count]]
            )
            return totals.count if same else None
        kept = 0
        async for found in self._exact.living(head, turn.now):
            text = (await self._exact.message(head, found.entry)).text
            if kept == len(drafts) or drafts[kept].text != text:
                return None
            kept += 1
        return kept

    async def _flip(
        self,
        turn: Turn,
        thread: Thread | None,
        drafts: Sequence[Draft],
        result: Deleted | Callable[[str], Deleted] | None,
        *,
        life: bool = False,
    ) -> Decision[Any]:
        """Seal the epoch; the history goes on with `drafts` in another, or nowhere."""
        head = turn.head
        base = self._base(turn, thread, life=life, active=bool(drafts))
        epoch = keys.epoch_after(head.epoch, turn.now, turn.token)
        header = self._next_header(head, epoch, base, thread)
        totals = replace(_grown(base, drafts), version=header.version)
        slots = arranged(epoch, drafts, turn.token, turn.now, totals)
        entries = [entry for slot in slots for entry in slot.entries]
        answer = Appended(tuple(entry.message() for entry in entries), totals.etag(epoch))
        decision = await self._seal(turn, header, slots)
        if result is not None:
            gone = result if isinstance(result, Deleted) else result(answer.etag)
            return replace(decision, slot=replace(decision.slot, result=records.dump(gone)), result=gone)
        return replace(decision, result=answer)

    async def _copied(
        self, turn: Turn, thread: Thread, entries: list[Entry], free: Key | None
    ) -> Decision[Any]:
        """A history of `entries`, with new ids, in an epoch of its own."""
        expires = None if thread.expires_at is None else to_micros(thread.expires_at)
        await self._lists.point(turn.key, thread.owner, turn.now, visit=expires)
        head = turn.head
        base = self._base(turn, thread, life=True, active=True)
        base = replace(base, expiring=any(entry.expires_at is not None for entry in entries))
        epoch = keys.epoch_after(head.epoch, turn.now, turn.token)
        drafts = [Draft(entry.text) for entry in entries]
        header = self._next_header(head, epoch, base, thread)
        slots = arranged(
            epoch, drafts, turn.token, turn.now, replace(_grown(base, drafts), version=header.version)
        )
        old = iter(entries)
        slots = [
            replace(
                slot,
                entries=tuple(
                    replace(entry, created_at=was.created_at, expires_at=was.expires_at)
                    for entry, was in zip(slot.entries, old, strict=False)
                ),
            )
            for slot in slots
        ]
        return replace(await self._seal(turn, header, slots), free=free)

    async def _number_anew(self, turn: Turn, entry: Entry, following: Found) -> Decision[Message]:
        """The history with `entry` in front of another message, all at new positions under their old ids."""
        head = turn.head
        entries: list[Entry] = []
        async for found in self._exact.living(head, turn.now):
            if found.entry.id == following.entry.id:
                entries.append(entry)
            entries.append(found.entry)
        base = self._base(turn, cast("Header", head.header).thread, life=False, active=True)
        expiring = turn.totals.expiring or entry.expires_at is not None
        base = replace(base, expiring=expiring, edits=1, count=len(entries))
        epoch = keys.epoch_after(head.epoch, turn.now, turn.token)
        header = replace(
            self._next_header(head, epoch, base, cast("Header", head.header).thread), scattered=True
        )
        slots = []
        for number, each in enumerate(entries, 1):
            at = position.nth(number)
            placed = replace(each, position=at)
            totals = replace(base, version=header.version)
            slots.append(Slot(epoch, at, turn.token, turn.now, totals, (placed,), staged=True))
            if each.id == entry.id:
                entry = placed
        decision = await self._seal(turn, header, slots)
        message = entry.message()
        return Decision(
            _answering(decision.slot, message, Draft(entry.text)), message, staged=decision.staged
        )

    async def _seal(self, turn: Turn, header: Header, slots: Sequence[Slot]) -> Decision[Any]:
        head = turn.head
        ended = pointed(head) if header.base.life != head.totals.life else None
        await self._lists.visit(head.pk, turn.now + KEPT, leaves=ended)
        staged = await stage(self.table, turn.head.pk, slots)
        totals = replace(turn.totals, version=header.version)
        return Decision(turn.slot(totals, header=header, seals=True), None, staged=staged)

    def _base(self, turn: Turn, thread: Thread | None, *, life: bool, active: bool) -> Totals:
        """The totals that another epoch begins with."""
        before = turn.head.totals
        if thread is None:
            return Totals(seen=turn.totals.seen)
        at = _active(0 if life else before.active_at, turn.now) if active or life else before.active_at
        return Totals(life=turn.token[:8] if life else before.life, seen=turn.totals.seen, active_at=at)

    @staticmethod
    def _next_header(head: Head, epoch: str, base: Totals, thread: Thread | None) -> Header:
        version = 1 if head.header is None else head.header.version + 1
        return Header(version, epoch, replace(base, version=version), thread)

    async def _edit(
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
        """One message put, added or taken out, by an effect on its row."""
        pk = turn.head.pk
        if entry.expires_at is not None and was is None:
            await self._lists.visit(pk, entry.expires_at)
        if was is not None and was.blob is not None:
            await self._lists.visit(pk, turn.now + KEPT)
        message = replace(entry, text=draft.text).message()
        kept = entry if entry.blob is not None else (await self._inline(pk, (entry,), turn.now))[0]
        slot = turn.slot(totals, entries=(kept,), effect=effect)

        async def after(head: Head) -> None:
            living = totals.count - totals.gone
            if totals.places > max(_FEWEST_PLACES, living):
                await self._cleaner.compact(key)
            before = turn.head.totals.active_at
            if totals.active_at != before:
                owner = cast("Thread", cast("Header", head.header).thread).owner
                await self._lists.touch(ThreadKey(key.tenant, key.id), owner, totals.active_at, before)

        return Decision(_answering(slot, message, draft), message, edits=row, after=after)

    async def _noted(self, turn: Turn, result: T) -> Answer[T] | Decision[T]:
        """A result that changes nothing: remembered where a request asks for it."""
        if turn.request is None:
            return Answer(result)
        if turn.head.header is None:
            await self._lists.visit(turn.head.pk, turn.now + KEPT)
        return Decision(turn.note(records.dump(cast("records.Result", result))), result)

    async def _inline(self, pk: str, entries: Sequence[Entry], now: int) -> tuple[Entry, ...]:
        """The entries as a row takes them."""
        if sum(len(entry.text.encode()) for entry in entries) > MOST_INLINE:
            await self._lists.visit(pk, now + KEPT)
        return await keep_apart(self.table, pk, entries, now)

    async def _plan_visits(self, pk: str, drafts: Sequence[Draft], now: int) -> None:
        soonest = min((draft.ttl for draft in drafts if draft.ttl is not None), default=None)
        if soonest is not None:
            await self._lists.visit(pk, now + soonest // _MICROSECOND)

    # Requests

    async def _write(
        self,
        key: ThreadKey,
        request: Request | None,
        plan: Callable[[Turn], Awaitable[Answer[R] | Decision[R]]],
        drafts: Sequence[Draft] = (),
    ) -> R:
        async def repeated(slot: Slot) -> R:
            return cast("R", await self._first_result(keys.thread_partition(key), slot, drafts))

        return await metered(self._writer.mutate(key, request, plan, repeated))

    async def _first_result(self, pk: str, slot: Slot, drafts: Sequence[Draft]) -> records.Result:
        """What the request that wrote `slot` was answered."""
        if slot.result is not None:
            if not drafts and slot.effect is not None:
                drafts = [Draft(await self._exact.text(pk, slot.entries[0]) or "")]
            return records.load(slot.result, drafts)
        if not slot.seals:
            entries = slot.arranged(drafts[slot.kept :])
            etag = slot.totals.etag(slot.epoch)
            return Appended(tuple(entry.message() for entry in entries), etag, slot.kept)
        header = cast("Header", slot.header)
        slots = arranged(header.epoch, drafts, slot.token, slot.at, EMPTY)
        entries = tuple(entry for one in slots for entry in one.entries)
        etag = _grown(header.base, drafts).etag(header.epoch)
        return Appended(tuple(entry.message() for entry in entries), etag)


def _made(key: ThreadKey, new: NewThread, turn: Turn) -> Thread:
    at = from_micros(turn.now)
    expires = _expiry(at, new.ttl)
    return Thread(key.id, new.owner, new.topic, new.metadata, new.participants, at, at, expires, turn.token)


def _expiry(at: datetime, ttl: timedelta | None) -> datetime | None:
    return None if ttl is None else at + ttl


def _patched(thread: Thread, patch: ThreadPatch, now: int) -> Thread:
    if patch.topic is not UNSET:
        thread = replace(thread, topic=patch.topic)
    if patch.metadata is not UNSET:
        metadata = {} if patch.metadata is None else merge(thread.metadata, patch.metadata)
        thread = replace(thread, metadata=metadata)
    if patch.participants is not UNSET:
        thread = replace(thread, participants=patch.participants or ())
    if patch.ttl is not UNSET:
        thread = replace(thread, expires_at=_expiry(from_micros(now), patch.ttl))
    return thread


def _active(before: int, now: int) -> int:
    """When a thread was active, to the minute."""
    return before if before // _MINUTE == now // _MINUTE else now


def _grown(totals: Totals, drafts: Sequence[Draft]) -> Totals:
    """The totals after `drafts` were appended."""
    return replace(
        totals,
        count=totals.count + len(drafts),
        chain=chained(totals.chain, [draft.text for draft in drafts]),
        expiring=totals.expiring or any(draft.ttl is not None for draft in drafts),
    )


def _edited(
    turn: Turn, *, gone: int = 0, emptied: bool = False, expiring: bool = False, active: bool = False
) -> Totals:
    totals = turn.totals
    at = _active(totals.active_at, turn.now) if active else totals.active_at
    return replace(
        totals,
        edits=totals.edits + 1,
        gone=totals.gone + gone,
        places=totals.places + 1 + emptied,
        expiring=totals.expiring or expiring,
        active_at=at,
    )


def _answering(slot: Slot, message: Message, draft: Draft) -> Slot:
    """The slot, with its result where a request asks for it."""
    return slot if slot.request is None else replace(slot, result=records.dump(message, [draft]))
