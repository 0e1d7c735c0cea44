"""The contract's operations, each as one transaction over the tables."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from chatstore import position, records
from chatstore.backends.sql.messages import Messages
from chatstore.backends.sql.port import Driver, Transaction, Work
from chatstore.backends.sql.requests import Requests
from chatstore.backends.sql.threads import Log, Threads
from chatstore.conditions import log_etag, require, require_log, restored
from chatstore.contract import (
    Backend,
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
from chatstore.errors import Conflict, CursorExpired, MessageNotFound
from chatstore.models import Appended, Deleted, Entries, Erased, Message, Page, Swept, Thread

__all__ = ["SqlBackend"]

R = TypeVar("R", bound=records.Result)
T = TypeVar("T")


class _Tables(NamedTuple):
    """The tables within one transaction."""

    threads: Threads
    messages: Messages
    requests: Requests


_SMALL_PAGE = 50
"""As many messages may be read at once, where a driver can."""

_Operation: TypeAlias = Callable[[_Tables], Coroutine[Any, Any, T]]


class SqlBackend(Backend):
    """The contract over a `Driver`; a subclass brings the driver, the schema and its capabilities."""

    def __init__(self, driver: Driver, clock: Clock) -> None:
        self.driver = driver
        self.clock = clock

    async def close(self) -> None:
        await self.driver.close()

    async def ping(self) -> None:
        async def ask(tx: Transaction) -> None:
            await tx.one("SELECT 1 FROM threads LIMIT 1")

        # As a write, which a database that only reads would not begin.
        await self.driver.write(ask)

    # Threads

    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        async def create(tables: _Tables) -> Thread:
            await tables.threads.create(key, new)
            return await tables.threads.get(key)

        return await self._write(key, request, create)

    async def get_thread(self, key: ThreadKey) -> Thread:
        async def get(tables: _Tables) -> Thread:
            return await tables.threads.get(key)

        return await self._read(get)

    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        async def update(tables: _Tables) -> Thread:
            thread = await tables.threads.get(key)
            require(if_match, thread.etag)
            await tables.threads.update(key, thread, patch)
            return await tables.threads.get(key)

        return await self._write(key, request, update)

    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        async def delete(tables: _Tables) -> Deleted:
            existed = await tables.threads.log(key) is not None
            if if_match is not None:
                require(if_match, (await tables.threads.get(key)).etag if existed else None)
            if existed:
                await tables.threads.purge(key)
            return Deleted(existed)

        return await self._write(key, request, delete)

    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        async def find(tables: _Tables) -> Page[Thread]:
            return await tables.threads.page(tenant, listing)

        return await self._read(find)

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
        async def append(tables: _Tables) -> Appended:
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
        async def read(tables: _Tables) -> Page[Message]:
            log = await _log_of(tables, key, span)
            return Page(()) if log is None else await tables.messages.page(log, span)

        return await self._read(read, (key, span.limit) if span.limit <= _SMALL_PAGE else None)

    async def read_entries(self, key: ThreadKey, span: Span) -> Entries:
        async def read(tables: _Tables) -> Entries:
            log = await _log_of(tables, key, span)
            return Entries("") if log is None else await tables.messages.entries(log, span)

        return await self._read(read, (key, span.limit) if span.limit <= _SMALL_PAGE else None)

    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        async def get(tables: _Tables) -> Message:
            return await tables.messages.named(key, await tables.threads.existing(key), message_id)

        return await self._read(get)

    async def replace_all(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        async def replace_all(tables: _Tables) -> Appended:
            log = await tables.threads.log(key)
            if log is None:
                log = await tables.threads.create_for(key, create, if_match)
            else:
                require_log(if_match, log.etag)
            return await _replace(tables, key, log, drafts)

        return await self._write(key, request, replace_all, drafts)

    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        async def clear(tables: _Tables) -> Deleted:
            log = await tables.threads.log(key)
            require(if_match, None if log is None else log.etag)
            if log is None:
                return Deleted(existed=False)
            return Deleted(existed=True, etag=(await _replace(tables, key, log, ())).etag)

        return await self._write(key, request, clear)

    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def insert(tables: _Tables) -> Message:
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
        async def replace(tables: _Tables) -> Message:
            log = await tables.threads.existing(key)
            require(if_match, (await tables.messages.named(key, log, message_id)).etag)
            await tables.messages.replace(log, message_id, draft)
            await tables.threads.count_edit(log)
            return await tables.messages.named(key, log, message_id)

        return await self._write(key, request, replace, [draft])

    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        async def delete(tables: _Tables) -> Message | None:
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

    async def fork(
        self,
        source: ThreadKey,
        key: ThreadKey,
        through: str | None,
        *,
        if_match: str | None,
        request: Request | None,
    ) -> Thread:
        async def fork(tables: _Tables) -> Thread:
            origin = await tables.threads.existing(source)
            require_log(if_match, origin.etag)
            last = None if through is None else await tables.messages.named(source, origin, through)
            log = await tables.threads.create(key, NewThread())
            await tables.threads.copy_properties(origin, log)
            copied = await tables.messages.copy(origin, log, None if last is None else last.position)
            await tables.threads.set_tail(log, copied)
            return await tables.threads.get(key)

        return await self._write(key, request, fork)

    async def sweep(self, limit: int) -> Swept:
        async def sweep(tables: _Tables) -> Swept:
            left, threads, messages = limit, 0, 0
            for key in await tables.threads.expired(limit):
                removed = await tables.messages.remove_some(key, left)
                messages, left = messages + removed, left - removed
                if not left:
                    break
                await tables.threads.remove(key)
                threads, left = threads + 1, left - 1
            removed = await tables.messages.remove_expired(left)
            messages, left = messages + removed, left - removed
            requests = await tables.requests.remove_expired(left)
            return Swept(threads, messages, requests, more=left == requests)

        return await self._change(sweep)

    async def erase(self, tenant: str, owner: str | None) -> Erased:
        async def erase(tables: _Tables) -> Erased:
            threads = await tables.threads.owned(tenant, owner)
            messages = 0
            for key in threads:
                messages += await tables.messages.remove_thread(key)
                await tables.threads.remove(key)
            return Erased(len(threads), messages, await tables.requests.remove_owned(tenant, owner))

        erased = await self._change(erase)
        await self.driver.scrub()
        return erased

    # Backups

    async def list_tenants(self, after: str | None, limit: int) -> Page[str]:
        async def find(tables: _Tables) -> Page[str]:
            names = await tables.threads.tenants(after, limit + 1)
            return Page(tuple(names[:limit]), next=names[limit - 1] if len(names) > limit else None)

        return await self._read(find)

    async def restore(
        self, key: ThreadKey, thread: Thread, messages: Sequence[Message], *, if_match: str | None
    ) -> Appended:
        async def restore(tables: _Tables) -> Appended:
            properties = thread
            if if_match is None:
                log = await tables.threads.create(key, NewThread())
            else:
                found = await tables.threads.log(key)
                if found is None:
                    raise Conflict(None)
                require_log(if_match, found.etag, appending=True)
                log, properties = found, restored(await tables.threads.get(key), thread)
            log = await tables.threads.restore(log, properties, len(messages))
            return await tables.messages.restore(log, messages)

        return await self._change(restore)

    # Transactions

    async def _read(self, operation: _Operation[T], small: Hashable = None) -> T:
        return await self.driver.read(self._over_tables(operation), small)

    async def _change(self, operation: _Operation[T]) -> T:
        return await self.driver.write(self._over_tables(operation))

    def _over_tables(self, operation: _Operation[T]) -> Work[T]:
        async def work(tx: Transaction) -> T:
            return await operation(self._tables(tx))

        return work

    async def _write(
        self, key: ThreadKey, request: Request | None, operation: _Operation[R], drafts: Sequence[Draft] = ()
    ) -> R:
        """`operation`, or its first result again; its record is part of the same transaction."""
        if request is None:
            return await self._change(operation)
        asked = request

        async def once(tables: _Tables) -> R:
            found = await tables.requests.find(key, asked)
            if found is not None:
                return cast("R", records.again(found, drafts, self.clock(), asked.id))
            owner = await tables.threads.owner(key)
            result = await operation(tables)
            owner = owner or await tables.threads.owner(key) or key.owner
            life = await tables.threads.expiry(key) if isinstance(result, Message) and not drafts else None
            record = records.dump(result, drafts, life)
            await tables.requests.add(key, asked, record, owner, self.request_window)
            return result

        return await self._change(once)

    def _tables(self, tx: Transaction) -> _Tables:
        # The present stands still within a transaction, so that nothing expires in the middle of it.
        now = self.clock()

        def clock() -> int:
            return now

        return _Tables(Threads(tx, clock), Messages(tx, clock), Requests(tx, clock))


async def _log_of(tables: _Tables, key: ThreadKey, span: Span) -> Log | None:
    """The log to be read; None where there is no thread. Raises CursorExpired."""
    log = await tables.threads.log(key)
    if span.epoch is not None and (log is None or log.epoch != span.epoch):
        raise CursorExpired
    return log


async def _replace(tables: _Tables, key: ThreadKey, log: Log, drafts: Sequence[Draft]) -> Appended:
    """Make `drafts` the history, by adding what is new where the rest is there already."""
    kept = await tables.messages.kept(log, drafts)
    if kept is None:
        kept = 0
        await tables.messages.remove_thread(log.key)
        log = await tables.threads.begin_epoch(log)
    if kept == len(drafts):
        return Appended((), log.etag, kept)
    moved = cast("Log", await tables.threads.advance(key, len(drafts) - kept))
    return await tables.messages.add(moved, drafts[kept:], kept)
