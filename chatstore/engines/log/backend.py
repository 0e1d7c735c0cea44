"""The contract's operations over the log: what each decides, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, cast

from chatstore import records
from chatstore.callers import Bulk
from chatstore.conditions import require, require_log, updated
from chatstore.contract import (
    UNSET,
    Backend,
    Capability,
    Clock,
    Cut,
    Draft,
    InsertAt,
    Listing,
    MetadataPatch,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
    Unset,
)
from chatstore.engines.log import layout
from chatstore.engines.log.cleaning import Cleaner
from chatstore.engines.log.closing import Closer
from chatstore.engines.log.cutting import place_of
from chatstore.engines.log.deciding import Deciding
from chatstore.engines.log.editing import Editor
from chatstore.engines.log.erasing import Eraser
from chatstore.engines.log.forking import Forker
from chatstore.engines.log.head import look
from chatstore.engines.log.listing import Lister
from chatstore.engines.log.lists import Lists
from chatstore.engines.log.making import born, new_thread
from chatstore.engines.log.planning import Answer, Decision, Turn
from chatstore.engines.log.port import Table
from chatstore.engines.log.reading import Reader
from chatstore.engines.log.records import Header, Slot
from chatstore.engines.log.repeating import first_result
from chatstore.engines.log.restoring import Restorer
from chatstore.engines.log.writing import Writer
from chatstore.errors import ThreadExists
from chatstore.ids import token
from chatstore.metering import metered
from chatstore.models import (
    Appended,
    Deleted,
    Erased,
    Message,
    Page,
    Swept,
    Thread,
    to_micros,
)
from chatstore.words import preview_of

__all__ = ["LogBackend"]

R = TypeVar("R", bound=records.Result)


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
        self._lister = Lister(table, clock, self._lists)
        self._decide = Deciding(table, self._writer, self._lists, self._exact)
        self._edit = Editor(self._exact, self._decide)
        self._forker = Forker(table, self._exact, self._decide)
        self._restorer = Restorer(self._writer, self._lists, self._decide)
        closer = Closer(table, clock, self._lists)
        self._cleaner = Cleaner(table, clock, self._writer, self._lists, closer, self._decide)
        self._eraser = Eraser(table, clock, self._writer, closer, self._exact, self._decide)

    async def close(self) -> None:
        if self.beside is not None:
            self.beside.close()
        await self.table.close()

    async def ping(self) -> None:
        await self.table.ping()

    # Threads

    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        async def plan(turn: Turn) -> Decision[Thread]:
            if turn.head.thread(key._replace(owner=None), turn.now) is not None:
                raise ThreadExists(key.id)
            decision = await self._decide.begin(turn, new_thread(key, new, turn), ())
            header = cast("Header", decision.slot.header)
            thread = replace(cast("Thread", header.thread), active_at=born(turn))
            slot = decision.slot._replace(result=records.dump(thread))
            return decision._replace(slot=slot, result=thread)

        return await self._write(key, request, plan)

    @metered
    async def get_thread(self, key: ThreadKey) -> Thread:
        return (await look(self.table, layout.thread_partition(key))).existing(key, self.clock())

    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        async def plan(turn: Turn) -> Decision[Thread]:
            thread = turn.head.existing(key, turn.now)
            require(if_match, thread.etag)
            changed = replace(updated(thread, patch, turn.now), etag=turn.token)
            if changed.expires_at is not None:
                await self._lists.visits.schedule(turn.head.pk, to_micros(changed.expires_at))
            present = cast("Header", turn.head.header)
            header = present._replace(version=present.version + 1, thread=changed)
            return Decision(turn.bare_slot(records.dump(changed), header=header), changed)

        return await self._write(key, request, plan)

    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        async def plan(turn: Turn) -> Answer[Deleted] | Decision[Deleted]:
            thread = turn.head.thread(key, turn.now)
            require(if_match, None if thread is None else thread.etag)
            if thread is None:
                return await self._decide.unchanged(turn, Deleted(existed=False))
            return await self._decide.next_epoch(turn, None, (), Deleted(existed=True))

        return await self._write(key, request, plan)

    @metered
    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        page = await self._lister.page(tenant, listing)
        if not listing.preview:
            return page
        calls = [partial(self._shown, tenant, thread) for thread in page.items]
        return replace(page, items=tuple(await self.table.together(calls)))

    async def _shown(self, tenant: str, thread: Thread) -> Thread:
        """A thread as a listing shows it, with how many messages it has and what the newest says."""
        head = await look(self.table, layout.thread_partition(ThreadKey(tenant, thread.id)))
        count, newest = await self._exact.newest(head, self.clock())
        preview = None if newest is None else preview_of(newest.text)
        return replace(thread, message_count=count, preview=preview)

    # Messages

    async def append(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
        cut: Cut | None = None,
        patch: ThreadPatch | None = None,
        if_thread: str | None = None,
    ) -> Appended:
        async def plan(turn: Turn) -> Decision[Appended]:
            thread = turn.head.thread(key, turn.now)
            if thread is None:
                new = create if cut is None else None
                return await self._decide.create(
                    turn, key, new, if_match, drafts, patch=patch, if_thread=if_thread
                )
            require_log(if_match, turn.head.etag, appending=cut is None)
            require(if_thread, thread.etag)
            told = None if if_thread is None else thread.etag
            place = None if cut is None else await place_of(self._exact, turn, cut)
            low = None if place is None else place.low
            await self._decide.claims.take(turn, drafts, low)
            changed = None
            if patch is not None:
                changed, told = replace(updated(thread, patch, turn.now), etag=turn.token), turn.token
            return await self._decide.add(turn, drafts, thread=changed, told=told, place=place)

        return await self._write(key, request, plan, drafts)

    @metered
    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        return await self._reader.page(key, span)

    @metered
    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        return await self._exact.one(key, message_id)

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
                return await self._decide.create(turn, key, create, if_match, drafts)
            require_log(if_match, turn.head.etag)
            return await self._decide.replace(turn, drafts)

        return await self._write(key, request, plan, drafts)

    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        async def plan(turn: Turn) -> Answer[Deleted] | Decision[Deleted]:
            exists = turn.head.thread(key, turn.now) is not None
            require(if_match, turn.head.etag if exists else None)
            if not exists:
                return await self._decide.unchanged(turn, Deleted(existed=False))
            if await self._decide.kept(turn, ()) is not None:
                return await self._decide.unchanged(turn, Deleted(existed=True, etag=turn.head.etag))
            header = cast("Header", turn.head.header)
            return await self._decide.next_epoch(
                turn, header.thread, (), lambda etag: Deleted(existed=True, etag=etag)
            )

        return await self._write(key, request, plan)

    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def plan(turn: Turn) -> Decision[Message]:
            return await self._edit.insert(turn, key, draft, at, if_match)

        return await self._write(key, request, plan, [draft])

    async def replace_message(
        self,
        key: ThreadKey,
        message_id: str,
        draft: Draft | None,
        *,
        metadata: MetadataPatch | None = None,
        if_match: str | None,
        request: Request | None,
        if_thread: str | None = None,
    ) -> Message:
        async def plan(turn: Turn) -> Decision[Message]:
            require(if_thread, turn.head.existing(key, turn.now).etag)
            return await self._edit.replace(turn, key, message_id, draft, metadata, if_match)

        return await self._write(key, request, plan, () if draft is None else [draft])

    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        async def plan(turn: Turn) -> Answer[Message | None] | Decision[Message | None]:
            return await self._edit.delete(turn, key, message, if_match)

        return await self._write(key, request, plan)

    async def fork(
        self,
        source: ThreadKey,
        key: ThreadKey,
        cut: Cut | None,
        *,
        patch: ThreadPatch | None = None,
        owner: str | Unset | None = UNSET,
        if_match: str | None,
        request: Request | None,
    ) -> Thread:
        if not self.table.atomic_pairs:
            raise self._unsupported(Capability.FORK)

        async def plan(turn: Turn) -> Decision[Thread]:
            return await self._forker.plan(turn, source, cut, patch, owner, if_match, bulk)

        async with Bulk(waits=self.beside is not None) as bulk:
            return await self._write(key, request, plan)

    @metered
    async def sweep(self, limit: int) -> Swept:
        return await self._cleaner.sweep(limit)

    @metered
    async def erase(self, tenant: str, owner: str | None) -> Erased:
        if owner is None:
            return await self._eraser.erase_all(tenant)
        return await self._eraser.erase(tenant, owner)

    # Backups

    @metered
    async def list_tenants(self, after: str | None, limit: int) -> Page[str]:
        return await self._lister.tenants(after, limit)

    @metered
    async def restore(
        self, key: ThreadKey, thread: Thread, messages: Sequence[Message], *, if_match: str | None
    ) -> Appended:
        return await self._restorer.restore(key, thread, messages, if_match)

    # Requests

    @metered
    async def _write(
        self,
        key: ThreadKey,
        request: Request | None,
        plan: Callable[[Turn], Awaitable[Answer[R] | Decision[R]]],
        drafts: Sequence[Draft] = (),
    ) -> R:
        asked = "" if request is None else request.id

        async def repeated(slot: Slot) -> R:
            found = await first_result(self.table, self._exact, key, slot, drafts, asked, self.clock())
            return cast("R", found)

        return await self._writer.mutate(key, request, plan, repeated)
