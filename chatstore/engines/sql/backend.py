"""The contract's operations, each as one transaction over the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from chatstore import position
from chatstore.codec import encode
from chatstore.conditions import (
    changed_metadata,
    log_etag,
    require,
    require_log,
    restored,
    restores_nothing,
)
from chatstore.contract import (
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
)
from chatstore.engines.sql.finding import page_size, small, text_size
from chatstore.engines.sql.histories import begun, replaced
from chatstore.engines.sql.lengthy import Lengthy
from chatstore.engines.sql.listing import Found
from chatstore.engines.sql.messages import Messages
from chatstore.engines.sql.port import Transaction
from chatstore.engines.sql.rows import Log
from chatstore.engines.sql.threads import log_at
from chatstore.engines.sql.transactions import NOBODY, Tables, caller_of
from chatstore.errors import Conflict, CursorExpired, MessageNotFound, ThreadNotFound
from chatstore.models import Appended, Deleted, Entries, Message, Page, Thread
from chatstore.words import preview_of

__all__ = ["SqlBackend"]

_FEW, _SHORT_CHARACTERS = 50, 32 * 1024


class SqlBackend(Lengthy):
    """The contract over a `Driver`; a subclass brings the driver, the schema and its capabilities."""

    async def close(self) -> None:
        await self.driver.close()

    async def ping(self) -> None:
        await self.driver.ping()

    # Threads

    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        async def create(tables: Tables) -> Thread:
            await tables.threads.create(key, new)
            return await tables.threads.get(key)

        return await self._write(key, request, create)

    async def get_thread(self, key: ThreadKey) -> Thread:
        async def get(tables: Tables) -> Thread:
            return await tables.threads.get(key)

        return await self._read(caller_of(key), get)

    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        async def update(tables: Tables) -> Thread:
            thread = await tables.threads.get(key)
            require(if_match, thread.etag)
            await tables.threads.update(key, thread, patch)
            return await tables.threads.get(key)

        return await self._write(key, request, update)

    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        async def delete(tables: Tables) -> Deleted:
            log = await tables.threads.log(key)
            if if_match is not None:
                require(if_match, None if log is None else (await tables.threads.get(key)).etag)
            if log is not None:
                await tables.hidden.purge(log.key)
            return Deleted(log is not None)

        return await self._write(key, request, delete)

    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        async def find(tables: Tables) -> Page[Thread]:
            page = await tables.lists.page(tenant, listing)
            items = [one.thread for one in page.items]
            if listing.preview:
                items = await self._previewed(tables, page.items)
            return Page(tuple(items), next=page.next)

        return await self._read((tenant, None), find)

    async def _previewed(self, tables: Tables, found: Sequence[Found]) -> list[Thread]:
        """Threads with how many messages each has, and what the newest of them says."""
        return [await _previewed(tables, one) for one in found]

    async def count_threads(self, tenant: str, owner: str | None, kind: str | None) -> int:
        async def count(tables: Tables) -> int:
            return await tables.lists.count(tenant, owner, kind)

        return await self._read((tenant, owner), count)

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
        async def append(tables: Tables) -> Appended:
            taken = len(drafts) + (cut is not None)
            log = await (tables.threads.advance(key, taken) if drafts else tables.threads.skip(key))
            told = None
            if log is None:
                log, told = await begun(tables, key, drafts, create, cut, patch, if_match, if_thread)
            else:
                require_log(
                    if_match,
                    log_etag(log.epoch, log.tail - taken, log.edits),
                    appending=cut is None,
                )
                present = None
                if patch is not None or if_thread is not None:
                    present = await tables.threads.get(key)
                    told = present.etag
                    require(if_thread, told)
                if cut is not None:
                    low = await tables.messages.end(key, log, cut)
                    log = await tables.hidden.cut(log, low, position.nth(log.tail - len(drafts)))
                await tables.messages.require_new_keys(key, log, drafts)
                if present is not None and patch is not None:
                    told = await tables.threads.update(key, present, patch)
            return await tables.messages.add(log, drafts, thread_etag=told)

        return await self._write(key, request, append, drafts, short=cut is None and _is_short(drafts))

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        async def read(tx: Transaction) -> Page[Message]:
            messages, log, bounded = await self._reading(tx, key, span)
            return Page(()) if log is None else await messages.page(log, bounded)

        return await self.driver.read(read, caller_of(key), small(key, span, page_size))

    async def read_entries(self, key: ThreadKey, span: Span) -> Entries:
        async def read(tx: Transaction) -> Entries:
            messages, log, bounded = await self._reading(tx, key, span)
            return Entries("") if log is None else await messages.entries(log, bounded)

        return await self.driver.read(read, caller_of(key), small(key, span, text_size))

    async def _reading(
        self, tx: Transaction, key: ThreadKey, span: Span
    ) -> tuple[Messages, Log | None, Span]:
        """The table of messages, the log to be read if there is one, and bounds that are positions.

        Raises CursorExpired, ThreadNotFound or MessageNotFound.
        """
        clock = self._standing()
        messages, log = self.messages(tx, clock), await log_at(tx, key, clock())
        if span.epoch is not None and (log is None or log.epoch != span.epoch):
            raise CursorExpired
        if span.after_message is span.before_message is None:
            return messages, log, span
        if log is None:
            raise ThreadNotFound(key.id)
        return messages, log, await messages.bounded(key, log, span)

    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        async def get(tables: Tables) -> Message:
            return await tables.messages.named(key, await tables.threads.existing(key), message_id)

        return await self._read(caller_of(key), get)

    async def replace_all(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        async def replace_all(tables: Tables) -> Appended:
            log = await tables.threads.log(key)
            if log is None:
                log = await tables.threads.create_for(key, create, if_match)
            else:
                require_log(if_match, log.etag)
            return await replaced(tables, key, log, drafts)

        return await self._write(key, request, replace_all, drafts)

    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        async def clear(tables: Tables) -> Deleted:
            log = await tables.threads.log(key)
            require(if_match, None if log is None else log.etag)
            if log is None:
                return Deleted(existed=False)
            return Deleted(existed=True, etag=(await replaced(tables, key, log, ())).etag)

        return await self._write(key, request, clear)

    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def insert(tables: Tables) -> Message:
            log = await tables.threads.existing(key)
            require_log(if_match, log.etag)
            following = await tables.messages.following(key, log, at)
            await tables.messages.require_new_keys(key, log, [draft])
            if following is None:
                moved = cast("Log", await tables.threads.advance(key, 1))
                return (await tables.messages.add(moved, [draft])).messages[0]
            message = await tables.messages.put_before(log, draft, following)
            await tables.threads.count_edit(log, active=True)
            if position.crowded(cast("str", message.position)):
                await tables.threads.begin_epoch(log, await tables.messages.number_anew(log))
                return await tables.messages.named(key, log, cast("str", message.id))
            return message

        return await self._write(key, request, insert, [draft])

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
        async def change(tables: Tables) -> Message:
            log = await tables.threads.existing(key)
            if if_thread is not None:
                require(if_thread, (await tables.threads.get(key)).etag)
            found = await tables.messages.named(key, log, message_id)
            require(if_match, found.etag)
            beside = found.metadata if metadata is None else changed_metadata(found.metadata, metadata)
            await tables.messages.replace(log, found, draft, encode(dict(beside)) if beside else None)
            await tables.threads.count_edit(log)
            return await tables.messages.named(key, log, message_id)

        return await self._write(key, request, change, () if draft is None else [draft])

    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        async def delete(tables: Tables) -> Message | None:
            log = await tables.threads.existing(key)
            found: Message | None
            if isinstance(message, str):
                found = await tables.messages.named(key, log, message)
                require(if_match, found.etag)
            else:
                require_log(if_match, log.etag)
                found = await tables.messages.at_index(log, message)
                if found is None and message == -1:
                    return None
                if found is None:
                    raise MessageNotFound(key.id, message)
            await tables.messages.remove(log, found)
            await tables.threads.count_edit(log)
            return found

        return await self._write(key, request, delete)

    # Backups

    async def list_tenants(self, after: str | None, limit: int) -> Page[str]:
        async def find(tables: Tables) -> Page[str]:
            names = await tables.threads.tenants(after, limit + 1)
            return Page(tuple(names[:limit]), next=names[limit - 1] if len(names) > limit else None)

        return await self._read(NOBODY, find)

    async def restore(
        self, key: ThreadKey, thread: Thread, messages: Sequence[Message], *, if_match: str | None
    ) -> Appended:
        async def restore(tables: Tables) -> Appended:
            await tables.threads.hold(key)
            properties = thread
            if if_match is None:
                log = await tables.threads.create(key, NewThread())
            else:
                found = await tables.threads.log(key)
                if found is None:
                    raise Conflict(None)
                require_log(if_match, found.etag, appending=True)
                present = await tables.threads.get(key)
                log, properties = found, restored(present, thread)
                if restores_nothing(present, properties, messages):
                    return Appended((), log.etag)
            log = await tables.threads.restore(log, properties, len(messages))
            return await tables.messages.restore(key, log, messages)

        return await self._change(caller_of(key), restore)


def _is_short(drafts: Sequence[Draft]) -> bool:
    """Whether a turn is written in so little time that it may share a transaction."""
    return len(drafts) <= _FEW and sum([len(draft.text) for draft in drafts]) <= _SHORT_CHARACTERS


async def _previewed(tables: Tables, found: Found) -> Thread:
    """A thread with how many messages it has, and what the newest of them says."""
    log = await tables.threads.by_key(found.key)
    newest = (await tables.messages.page(log, Span(1, newest=True))).items
    return replace(
        found.thread,
        message_count=await tables.messages.count(log),
        preview=preview_of(newest[0].text) if newest else None,
    )
