"""The contract's operations, each as one transaction over the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from chatstore import position
from chatstore.conditions import log_etag, require, require_log, restored, restores_nothing
from chatstore.contract import (
    Draft,
    InsertAt,
    Listing,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
)
from chatstore.engines.sql.lengthy import Lengthy
from chatstore.engines.sql.messages import page_size, small, text_size
from chatstore.engines.sql.threads import Log
from chatstore.engines.sql.transactions import NOBODY, Tables, caller_of
from chatstore.errors import Conflict, CursorExpired, MessageNotFound
from chatstore.models import Appended, Deleted, Entries, Message, Page, Thread

__all__ = ["SqlBackend"]


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
            existed = await tables.threads.log(key) is not None
            if if_match is not None:
                require(if_match, (await tables.threads.get(key)).etag if existed else None)
            if existed:
                await tables.hidden.purge(key)
            return Deleted(existed)

        return await self._write(key, request, delete)

    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        async def find(tables: Tables) -> Page[Thread]:
            return await tables.threads.page(tenant, listing)

        return await self._read((tenant, None), find)

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
        async def append(tables: Tables) -> Appended:
            log = await tables.threads.advance(key, len(drafts))
            if log is None:
                await tables.threads.create_for(key, create, if_match)
                log = cast("Log", await tables.threads.advance(key, len(drafts)))
            else:
                before = log_etag(log.epoch, log.tail - len(drafts), log.edits)
                require_log(if_match, before, appending=True)
            return await tables.messages.add(log, drafts)

        return await self._write(key, request, append, drafts)

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        async def read(tables: Tables) -> Page[Message]:
            log = await _log_of(tables, key, span)
            return Page(()) if log is None else await tables.messages.page(log, span)

        return await self._read(caller_of(key), read, small(key, span, page_size))

    async def read_entries(self, key: ThreadKey, span: Span) -> Entries:
        async def read(tables: Tables) -> Entries:
            log = await _log_of(tables, key, span)
            return Entries("") if log is None else await tables.messages.entries(log, span)

        return await self._read(caller_of(key), read, small(key, span, text_size))

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
            return await _replace(tables, key, log, drafts)

        return await self._write(key, request, replace_all, drafts)

    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        async def clear(tables: Tables) -> Deleted:
            log = await tables.threads.log(key)
            require(if_match, None if log is None else log.etag)
            if log is None:
                return Deleted(existed=False)
            return Deleted(existed=True, etag=(await _replace(tables, key, log, ())).etag)

        return await self._write(key, request, clear)

    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def insert(tables: Tables) -> Message:
            log = await tables.threads.existing(key)
            require_log(if_match, log.etag)
            following = await tables.messages.following(key, log, at)
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
        self, key: ThreadKey, message_id: str, draft: Draft, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def replace(tables: Tables) -> Message:
            log = await tables.threads.existing(key)
            require(if_match, (await tables.messages.named(key, log, message_id)).etag)
            await tables.messages.replace(log, message_id, draft)
            await tables.threads.count_edit(log)
            return await tables.messages.named(key, log, message_id)

        return await self._write(key, request, replace, [draft])

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
            return await tables.messages.restore(log, messages)

        return await self._change(caller_of(key), restore)


async def _log_of(tables: Tables, key: ThreadKey, span: Span) -> Log | None:
    """The log to be read; None where there is no thread. Raises CursorExpired."""
    log = await tables.threads.log(key)
    if span.epoch is not None and (log is None or log.epoch != span.epoch):
        raise CursorExpired
    return log


async def _replace(tables: Tables, key: ThreadKey, log: Log, drafts: Sequence[Draft]) -> Appended:
    """Make `drafts` the history, by adding what is new where the rest is there already."""
    kept = await tables.messages.kept(log, drafts)
    if kept is None:
        kept = 0
        log = log._replace(key=await tables.hidden.empty(log.key))
        log = await tables.threads.begin_epoch(log)
    if kept == len(drafts):
        return Appended((), log.etag, kept)
    moved = cast("Log", await tables.threads.advance(key, len(drafts) - kept))
    return await tables.messages.add(moved, drafts[kept:], kept)
