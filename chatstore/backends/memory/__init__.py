"""Threads in the process's own memory, gone with it: for tests and for trying out.

It is the plainest code that keeps the contract; the other backends are held against it. Every
operation runs under one lock, which is never held across an await.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

from chatstore.backends.memory.finding import found_by, messages_of, threads_of
from chatstore.backends.memory.kept import Kept
from chatstore.conditions import (
    created,
    forked,
    listed,
    require,
    require_log,
    require_new_ids,
    restored,
    restores_nothing,
)
from chatstore.contract import (
    UNSET,
    Capability,
    Clock,
    Cut,
    Draft,
    InsertAt,
    Listing,
    MetadataPatch,
    NewThread,
    Query,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
    Unset,
)
from chatstore.errors import Conflict, CursorExpired, ThreadExists, ThreadNotFound
from chatstore.ids import token
from chatstore.models import (
    Appended,
    Deleted,
    Erased,
    Found,
    Message,
    Page,
    Swept,
    Thread,
)
from chatstore.urls import Url

__all__ = ["MemoryBackend", "open_memory"]


def open_memory(url: Url, *, blocking: bool, clock: Clock) -> MemoryBackend:  # noqa: ARG001 - one for both
    """``memory://``: a new, empty store of its own each time."""
    url.require_bare()
    return MemoryBackend(clock=clock)


class MemoryBackend(Kept):
    """Threads in a dictionary; one instance is one store."""

    name = "memory"
    capabilities = frozenset(Capability) - {Capability.DURABLE, Capability.SHARED, Capability.COST}

    # Threads

    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        def create() -> Thread:
            return copy.deepcopy(self._create(key, new).thread)

        return self._once(key, request, create)

    async def get_thread(self, key: ThreadKey) -> Thread:
        with self._lock:
            return copy.deepcopy(self._get(key).thread)

    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        def update() -> Thread:
            stored = self._get(key)
            require(if_match, stored.thread.etag)
            stored.thread = self._patched(stored.thread, patch)
            return copy.deepcopy(stored.thread)

        return self._once(key, request, update)

    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        def delete() -> Deleted:
            stored = self._find(key)
            require(if_match, None if stored is None else stored.thread.etag)
            if stored is not None:
                self._remove((key.tenant, key.id))
            return Deleted(stored is not None)

        return self._once(key, request, delete)

    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        with self._lock:
            return threads_of(self._living(tenant), listing)

    async def count_threads(self, tenant: str, owner: str | None, kind: str | None) -> int:
        with self._lock:
            wanted = Listing(limit=1, owner=owner, kind=kind)
            return sum(1 for one in self._living(tenant) if listed(one.thread, wanted))

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
        def append() -> Appended:
            stored = self._find(key)
            if stored is None:
                require(if_match, None)
                require(if_thread, None)
                if create is None or cut is not None:
                    raise ThreadNotFound(key.id)
                stored = self._create(key, create if patch is None else created(create, patch))
            else:
                require_log(if_match, stored.etag, appending=cut is None)
                require(if_thread, stored.thread.etag)
                end = stored.end(cut)
                stored.require_new_keys(drafts, end)
                if patch is not None:
                    stored.thread = self._patched(stored.thread, patch)
                if cut is not None:
                    stored.cut(end)
            told = stored.thread.etag if patch is not None or if_thread is not None else None
            return replace(stored.append(drafts, self.clock()), thread_etag=told)

        return self._once(key, request, append, drafts)

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        with self._lock:
            stored = self._find(key)
            if span.epoch is not None and (stored is None or stored.epoch != span.epoch):
                raise CursorExpired
            if stored is not None:
                return messages_of(stored, span)
        if span.after_message is not None or span.before_message is not None:
            raise ThreadNotFound(key.id)
        return Page(())

    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        with self._lock:
            stored = self._get(key)
            return stored.messages[stored.find(message_id)]

    async def replace_all(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        def replace_all() -> Appended:
            stored = self._find(key)
            if stored is None:
                require(if_match, None)
                if create is None:
                    raise ThreadNotFound(key.id)
                return self._create(key, create).append(drafts, self.clock())
            require_log(if_match, stored.etag)
            return stored.replace(drafts, self.clock())

        return self._once(key, request, replace_all, drafts)

    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        def clear() -> Deleted:
            stored = self._find(key)
            require(if_match, None if stored is None else stored.etag)
            return Deleted(False) if stored is None else Deleted(True, stored.replace((), self.clock()).etag)

        return self._once(key, request, clear)

    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        def insert() -> Message:
            stored = self._get(key)
            require_log(if_match, stored.etag)
            return stored.insert(draft, at, self.clock())

        return self._once(key, request, insert, [draft])

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
        def change() -> Message:
            stored = self._get(key)
            require(if_thread, stored.thread.etag)
            index = stored.find(message_id)
            require(if_match, stored.messages[index].etag)
            return stored.change(index, draft, metadata)

        return self._once(key, request, change, () if draft is None else [draft])

    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        def delete_message() -> Message | None:
            stored = self._get(key)
            if isinstance(message, str):
                index = stored.find(message)
                require(if_match, stored.messages[index].etag)
            else:
                require_log(if_match, stored.etag)
                if not stored.messages and message == -1:
                    return None
                index = stored.at_index(message)
            stored.edits += 1
            return stored.messages.pop(index)

        return self._once(key, request, delete_message)

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
        def fork() -> Thread:
            origin = self._get(source)
            require_log(if_match, origin.etag)
            end = origin.end(cut)
            now = self.clock()
            thread = forked(copy.deepcopy(origin.thread), key.id, origin.origin(end), patch, owner, now)
            stored = self._create(key, NewThread())
            stored.thread = replace(thread, etag=token())
            stored.copied(origin.messages[:end])
            return copy.deepcopy(stored.thread)

        return self._once(key, request, fork)

    async def search(self, tenant: str, query: Query) -> Page[Found]:
        with self._lock:
            return found_by(self._living(tenant), query)

    async def sweep(self, limit: int) -> Swept:  # noqa: ARG002 - one step is cheap enough for all
        with self._lock:
            now = self.clock()
            threads = [name for name, stored in self._threads.items() if stored.gone(now)]
            for thread in threads:
                self._remove(thread)
            dead = 0
            for stored in self._threads.values():
                living = stored.living(now)
                dead += len(stored.messages) - len(living)
                stored.messages = living
            requests = [name for name, result in self._results.items() if result.until <= now]
            for name in requests:
                del self._results[name]
            return Swept(len(threads), dead, len(requests), more=False)

    async def erase(self, tenant: str, owner: str | None) -> Erased:
        with self._lock:
            owned = {
                name: stored
                for name, stored in self._threads.items()
                if name[0] == tenant and owner in (None, stored.thread.owner)
            }
            messages = sum(len(stored.messages) for stored in owned.values())
            for name in owned:
                self._remove(name)
            requests = [
                name
                for name, result in self._results.items()
                if name[0].tenant == tenant and owner in (None, result.owner)
            ]
            for request in requests:
                del self._results[request]
            return Erased(len(owned), messages, len(requests))

    # Backups

    async def list_tenants(self, after: str | None, limit: int) -> Page[str]:
        with self._lock:
            names = sorted({tenant for tenant, _ in self._threads if after is None or tenant > after})
        return Page(tuple(names[:limit]), next=names[limit - 1] if len(names) > limit else None)

    async def restore(
        self, key: ThreadKey, thread: Thread, messages: Sequence[Message], *, if_match: str | None
    ) -> Appended:
        with self._lock:
            found = self._find(key)
            if found is not None and if_match is None:
                raise ThreadExists(key.id)
            if found is None and if_match is not None:
                raise Conflict(None)
            if found is not None:
                require_log(if_match, found.etag, appending=True)
                thread = restored(found.thread, thread)
                if restores_nothing(found.thread, thread, messages):
                    return Appended((), found.etag)
                require_new_ids(messages, {message.id for message in found.messages})
                found.require_new_keys(messages, len(found.messages))
            else:
                require_new_ids(messages, ())
            stored = found or self._create(key, NewThread())
            stored.thread = replace(copy.deepcopy(thread), etag=token(), cost=None)
            return stored.restore(messages)
