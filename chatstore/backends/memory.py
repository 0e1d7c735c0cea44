"""Threads in the process's own memory, gone with it: for tests and for trying out.

It is the plainest code that keeps the contract; the other backends are held against it. Every
operation runs under one lock, which is never held across an await.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar, cast

from chatstore import position
from chatstore.conditions import (
    fitting,
    has_metadata,
    log_etag,
    message_etag,
    require,
    require_log,
    require_new_ids,
    restored,
    restores_nothing,
    updated,
)
from chatstore.contract import (
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
    system_clock,
)
from chatstore.errors import (
    Conflict,
    CursorExpired,
    MessageNotFound,
    RequestMismatch,
    ThreadExists,
    ThreadNotFound,
)
from chatstore.ids import token, uuid7
from chatstore.models import (
    Appended,
    Cursor,
    Deleted,
    Erased,
    Message,
    Page,
    Swept,
    Thread,
    ThreadCursor,
    from_micros,
    to_micros,
)
from chatstore.records import require_shown, shown_until
from chatstore.urls import Url

__all__ = ["MemoryBackend", "open_memory"]

R = TypeVar("R")


def open_memory(url: Url, *, blocking: bool, clock: Clock) -> MemoryBackend:  # noqa: ARG001 - one for both
    """``memory://``: a new, empty store of its own each time."""
    url.require_bare()
    return MemoryBackend(clock=clock)


@dataclass(slots=True)
class _Stored:
    """A thread: its properties as last given out, and its messages in order."""

    thread: Thread
    epoch: str = field(default_factory=token)
    tail: int = 0
    edits: int = 0
    messages: list[Message] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        return log_etag(self.epoch, self.tail, self.edits)


class _Result(NamedTuple):
    """The first result of a request, whose thread it was about, and when what it shows expires."""

    digest: str
    result: object
    until: int
    owner: str | None
    shown_until: int | None


class MemoryBackend(Backend):
    """Threads in a dictionary; one instance is one store."""

    name = "memory"
    capabilities = frozenset(Capability) - {Capability.DURABLE, Capability.SHARED, Capability.COST}

    def __init__(self, *, clock: Clock = system_clock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._threads: dict[tuple[str, str], _Stored] = {}
        self._results: dict[tuple[ThreadKey, str], _Result] = {}

    # Threads

    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        def create() -> Thread:
            return self._snapshot(self._create(key, new).thread)

        return self._once(key, request, create)

    async def get_thread(self, key: ThreadKey) -> Thread:
        with self._lock:
            return self._snapshot(self._get(key).thread)

    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        def update() -> Thread:
            stored = self._get(key)
            thread = stored.thread
            require(if_match, thread.etag)
            stored.thread = replace(updated(thread, patch, self.clock()), etag=token())
            return self._snapshot(stored.thread)

        return self._once(key, request, update)

    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        def delete() -> Deleted:
            stored = self._find(key)
            require(if_match, None if stored is None else stored.thread.etag)
            if stored is not None:
                del self._threads[key.tenant, key.id]
            return Deleted(stored is not None)

        return self._once(key, request, delete)

    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        with self._lock:
            keys = [ThreadKey(*name) for name in self._threads if name[0] == tenant]
            threads = [stored.thread for key in keys if (stored := self._find(key)) is not None]
        found = sorted(
            (thread for thread in threads if _listed(thread, listing)), key=_activity, reverse=True
        )
        chosen = found[: listing.limit]
        chosen = chosen[: fitting(chosen, listing.max_bytes)]
        items = tuple(map(self._snapshot, chosen))
        return Page(
            items, next=ThreadCursor(*_activity(items[-1])).text() if len(found) > len(items) else None
        )

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
        def append() -> Appended:
            stored = self._writable(key, create, if_match, appending=True)
            return self._append(stored, drafts)

        return self._once(key, request, append, drafts)

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        with self._lock:
            stored = self._find(key)
            if span.epoch is not None and (stored is None or stored.epoch != span.epoch):
                raise CursorExpired
            if stored is None:
                return Page(())
            epoch, etag, living = stored.epoch, stored.etag, self._living(stored)
        after = span.after or position.START
        found = [
            message
            for message in living
            if after < _position(message) and (span.before is None or _position(message) < span.before)
        ]
        chosen = _within(found[::-1] if span.newest else found, span)
        more = len(chosen) < len(found)
        items = tuple(chosen[::-1] if span.newest else chosen)
        edge = (items[0] if span.newest else items[-1]) if more else None
        return Page(
            items,
            next=None if edge is None else Cursor.at(epoch, _position(edge)),
            end=Cursor.at(epoch, _position(items[-1]) if items else after),
            etag=etag,
        )

    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        with self._lock:
            stored = self._get(key)
            return stored.messages[self._place(key, stored, message_id)]

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
            stored = self._writable(key, create, if_match)
            return self._replace(stored, drafts)

        return self._once(key, request, replace_all, drafts)

    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        def clear() -> Deleted:
            stored = self._find(key)
            require(if_match, None if stored is None else stored.etag)
            return Deleted(False) if stored is None else Deleted(True, self._replace(stored, ()).etag)

        return self._once(key, request, clear)

    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        def insert() -> Message:
            stored = self._get(key)
            require_log(if_match, stored.etag)
            place = self._gap(key, stored, at)
            if place == len(stored.messages):
                return self._append(stored, [draft]).messages[0]
            before = _position(stored.messages[place - 1]) if place else position.START
            between = position.between(before, _position(stored.messages[place]))
            message = self._message(draft, between, self.clock())
            stored.messages.insert(place, message)
            stored.edits += 1
            self._touch(stored)
            if position.crowded(between):
                self._renumber(stored)
            return stored.messages[place]

        return self._once(key, request, insert, [draft])

    async def replace_message(
        self, key: ThreadKey, message_id: str, draft: Draft, *, if_match: str | None, request: Request | None
    ) -> Message:
        def replace_message() -> Message:
            stored = self._get(key)
            place = self._place(key, stored, message_id)
            require(if_match, stored.messages[place].etag)
            stored.revisions[message_id] = stored.revisions.get(message_id, 0) + 1
            etag = message_etag(message_id, stored.revisions[message_id])
            stored.messages[place] = replace(stored.messages[place], text=draft.text, etag=etag)
            stored.edits += 1
            return stored.messages[place]

        return self._once(key, request, replace_message, [draft])

    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        def delete_message() -> Message | None:
            stored = self._get(key)
            if isinstance(message, str):
                place = self._place(key, stored, message)
                require(if_match, stored.messages[place].etag)
            else:
                require_log(if_match, stored.etag)
                if not stored.messages and message == -1:
                    return None
                place = self._at_index(key, stored, message)
            stored.edits += 1
            return stored.messages.pop(place)

        return self._once(key, request, delete_message)

    async def fork(
        self,
        source: ThreadKey,
        key: ThreadKey,
        through: str | None,
        *,
        if_match: str | None,
        request: Request | None,
    ) -> Thread:
        def fork() -> Thread:
            origin = self._get(source)
            require_log(if_match, origin.etag)
            living = self._living(origin)
            if through is not None:
                living = living[: living.index(origin.messages[self._place(source, origin, through)]) + 1]
            stored = self._create(key, NewThread())
            stored.thread = replace(
                copy.deepcopy(origin.thread), id=key.id, etag=token(),
                created_at=stored.thread.created_at, active_at=stored.thread.active_at,
            )  # fmt: skip
            for message in living:
                id = uuid7()
                stored.tail += 1
                stored.messages.append(
                    replace(message, id=id, position=position.nth(stored.tail), etag=message_etag(id, 0))
                )
            return self._snapshot(stored.thread)

        return self._once(key, request, fork)

    async def sweep(self, limit: int) -> Swept:  # noqa: ARG002 - one step is cheap enough for all
        with self._lock:
            now = self.clock()
            threads = [name for name in self._threads if self._find(ThreadKey(*name)) is None]
            for thread in threads:
                del self._threads[thread]
            dead = 0
            for stored in self._threads.values():
                living = self._living(stored)
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
            for name in owned:
                del self._threads[name]
            requests = [
                name
                for name, result in self._results.items()
                if name[0].tenant == tenant and owner in (None, result.owner)
            ]
            for request in requests:
                del self._results[request]
            messages = sum(len(stored.messages) for stored in owned.values())
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
            require_new_ids(messages, () if found is None else {message.id for message in found.messages})
            stored = found or self._create(key, NewThread())
            stored.thread = replace(copy.deepcopy(thread), etag=token(), cost=None)
            kept = []
            for message in messages:
                stored.tail += 1
                at, etag = position.nth(stored.tail), message_etag(message.id or "", 0)
                kept.append(replace(message, position=at, etag=etag, cost=None))
            stored.messages.extend(kept)
            return Appended(tuple(kept), stored.etag)

    # What an operation is made of; the lock is held

    def _once(
        self,
        key: ThreadKey,
        request: Request | None,
        operation: Callable[[], R],
        drafts: Sequence[Draft] = (),
    ) -> R:
        """Run `operation` under the lock, or give its first result again."""
        with self._lock:
            if request is None:
                return operation()
            known = self._results.get((key, request.id))
            if known is not None and known.until > self.clock():
                if known.digest != request.digest:
                    raise RequestMismatch(request.id)
                require_shown(known.shown_until, self.clock(), request.id)
                return cast("R", copy.deepcopy(known.result))
            before = self._find(key)
            first = operation()
            concerned = before or self._find(key)
            owner = key.owner if concerned is None else concerned.thread.owner
            until = self.clock() + self.request_window // timedelta(microseconds=1)
            life = None if concerned is None else concerned.thread.expires_at
            shown = shown_until(first, drafts, None if life is None else to_micros(life))
            self._results[key, request.id] = _Result(
                request.digest, copy.deepcopy(first), until, owner, shown
            )
            return first

    def _find(self, key: ThreadKey) -> _Stored | None:
        stored = self._threads.get((key.tenant, key.id))
        if stored is None or self._expired(stored.thread.expires_at):
            return None
        return stored if key.owner in (None, stored.thread.owner) else None

    def _get(self, key: ThreadKey) -> _Stored:
        stored = self._find(key)
        if stored is None:
            raise ThreadNotFound(key.id)
        stored.messages = self._living(stored)
        return stored

    def _writable(
        self, key: ThreadKey, create: NewThread | None, if_match: str | None, *, appending: bool = False
    ) -> _Stored:
        """The thread as `if_match` expects it, made from `create` where there is none."""
        stored = self._find(key)
        if stored is not None:
            require_log(if_match, stored.etag, appending=appending)
            return stored
        require(if_match, None)
        if create is None:
            raise ThreadNotFound(key.id)
        return self._create(key, create)

    def _create(self, key: ThreadKey, new: NewThread) -> _Stored:
        if self._find(key._replace(owner=None)) is not None:
            raise ThreadExists(key.id)
        now = from_micros(self.clock())
        thread = Thread(
            id=key.id,
            owner=new.owner,
            topic=new.topic,
            metadata=copy.deepcopy(new.metadata),
            participants=copy.deepcopy(new.participants),
            created_at=now,
            active_at=now,
            expires_at=self._expiry(new.ttl),
            etag=token(),
        )
        self._threads[key.tenant, key.id] = stored = _Stored(thread)
        return stored

    def _append(self, stored: _Stored, drafts: Sequence[Draft], kept: int = 0) -> Appended:
        now = self.clock()
        messages = []
        for draft in drafts:
            stored.tail += 1
            messages.append(self._message(draft, position.nth(stored.tail), now))
        stored.messages.extend(messages)
        if messages:
            self._touch(stored)
        return Appended(tuple(messages), stored.etag, kept)

    def _replace(self, stored: _Stored, drafts: Sequence[Draft]) -> Appended:
        present = [message.text for message in self._living(stored)]
        kept = len(present)
        if present == [draft.text for draft in drafts[:kept]]:
            return self._append(stored, drafts[kept:], kept)
        stored.epoch = token()
        stored.messages.clear()
        return self._append(stored, drafts)

    def _message(self, draft: Draft, at: str, now: int) -> Message:
        new_id = uuid7(now // 1000)
        etag = message_etag(new_id, 0)
        return Message(draft.text, new_id, at, from_micros(now), etag, self._expiry(draft.ttl))

    def _renumber(self, stored: _Stored) -> None:
        stored.epoch = token()
        for place, message in enumerate(stored.messages):
            stored.tail += 1
            stored.messages[place] = replace(message, position=position.nth(stored.tail))

    def _place(self, key: ThreadKey, stored: _Stored, message_id: str) -> int:
        for place, message in enumerate(stored.messages):
            if message.id == message_id and not self._expired(message.expires_at):
                return place
        raise MessageNotFound(key.id, message_id)

    def _at_index(self, key: ThreadKey, stored: _Stored, index: int) -> int:
        if -len(stored.messages) <= index < len(stored.messages):
            return index % len(stored.messages)
        raise MessageNotFound(key.id, index)

    def _gap(self, key: ThreadKey, stored: _Stored, at: InsertAt) -> int:
        if at.before is not None:
            return self._place(key, stored, at.before)
        if at.after is not None:
            return self._place(key, stored, at.after) + 1
        return slice(at.index, None).indices(len(stored.messages))[0]

    def _living(self, stored: _Stored) -> list[Message]:
        return [message for message in stored.messages if not self._expired(message.expires_at)]

    def _touch(self, stored: _Stored) -> None:
        stored.thread = replace(stored.thread, active_at=from_micros(self.clock()))

    def _expiry(self, ttl: timedelta | None) -> datetime | None:
        return None if ttl is None else from_micros(self.clock()) + ttl

    def _expired(self, at: datetime | None) -> bool:
        return at is not None and at <= from_micros(self.clock())

    @staticmethod
    def _snapshot(thread: Thread) -> Thread:
        return copy.deepcopy(thread)


def _position(message: Message) -> str:
    return message.position or ""


def _activity(thread: Thread) -> tuple[datetime, str]:
    return thread.active_at, thread.id


def _listed(thread: Thread, listing: Listing) -> bool:
    return (
        (listing.owner is None or thread.owner == listing.owner)
        and (listing.active_since is None or thread.active_at >= listing.active_since)
        and (listing.before is None or _activity(thread) < listing.before)
        and has_metadata(thread.metadata, listing.metadata)
    )


def _within(messages: list[Message], span: Span) -> list[Message]:
    """The first of `messages` that fit into a page."""
    chosen: list[Message] = []
    size = 0
    for message in messages[: span.limit]:
        size += len(message.text.encode())
        if chosen and span.max_bytes is not None and size > span.max_bytes:
            break
        chosen.append(message)
    return chosen
