"""What happens to whole threads: made, changed, copied, listed and removed; and what all operations share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chatstore.callers import Bulk
from chatstore.clocks import present, time_to_remove
from chatstore.conditions import (
    forked,
    require,
    require_log,
    restored,
    restores_nothing,
    updated,
)
from chatstore.contract import (
    UNSET,
    Backend,
    Capability,
    Clock,
    Cut,
    Listing,
    NewThread,
    Request,
    ThreadKey,
    ThreadPatch,
    Unset,
)
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import Change, View
from chatstore.engines.fenced.erasing import Eraser
from chatstore.engines.fenced.header import State, buried, properties_text, thread_of
from chatstore.engines.fenced.keys import Keys
from chatstore.engines.fenced.listing import Lister
from chatstore.engines.fenced.messages import Messages
from chatstore.engines.fenced.plain import Appender
from chatstore.engines.fenced.plans import (
    beginning,
    created,
    existing,
    filled,
    restored_at,
)
from chatstore.engines.fenced.port import Driver
from chatstore.engines.fenced.reading import Moved, Reader, Seen
from chatstore.engines.fenced.sweeping import Sweeper
from chatstore.engines.fenced.table import Dialect, Table
from chatstore.engines.fenced.writing import Writer
from chatstore.errors import ConfigurationError, Unavailable
from chatstore.ids import token as _revision
from chatstore.metering import metered
from chatstore.models import Appended, Deleted, Erased, Message, Origin, Page, Swept, Thread

__all__ = ["TRIES", "FencedThreads", "restless"]

TRIES = 20


class FencedThreads(Backend):
    """The operations on threads, over a `Driver`."""

    capabilities = frozenset(Capability) - {Capability.COUNT, Capability.SEARCH}

    def __init__(self, driver: Driver, dialect: Dialect, clock: Clock) -> None:
        self.clock = clock
        self.driver = driver
        self.dialect = dialect
        seen = Seen()
        self._table = Table(driver, dialect)
        self._seen = seen
        self._reader = Reader(self._table, seen, self.aside)
        self._keys = Keys(self._table, self._reader)
        self._messages = Messages(self._reader, self._keys)
        self._writer = Writer(self._table, self._reader, seen, clock, self.request_window)
        self._appender = Appender(self._table, seen, clock, self._writer, self.request_window)

    async def close(self) -> None:
        if self.beside is not None:
            self.beside.close()
        await self.driver.close()

    async def must_exist(self) -> None:
        if not await self._table.exists():
            raise ConfigurationError(
                "there is no such table: nothing was made or changed; check the last part of the URL, which "
                "names the table"
            )

    async def prepare(self) -> None:
        await self._table.create()

    async def ping(self) -> None:
        await self._table.get("ping", "ping")

    # Threads

    @metered
    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        async def create(view: View) -> Change[Thread]:
            thread = beginning(view, new)
            state = created(view, thread)
            return Change(thread, state, properties_text(thread), due=state.expires)

        return await self._writer.mutate(key, request, (), create, warm=False)

    @metered
    async def get_thread(self, key: ThreadKey) -> Thread:
        partition = layout.partition(key.tenant, key.id)
        for _ in range(TRIES):
            view = View(key, partition, await self._reader.known(partition), self.clock())
            try:
                return await self._thread(view)
            except Moved:
                continue
        raise restless(key)

    @metered
    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        async def update(view: View) -> Change[Thread]:
            state = existing(view)
            require(if_match, state.revision)
            thread, state = await self._patched(view, state, patch)
            due = None if patch.ttl is UNSET else state.expires
            return Change(thread, state, properties_text(thread), due=due)

        return await self._writer.mutate(key, request, (), update, warm=False)

    @metered
    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        async def delete(view: View) -> Change[Deleted]:
            state = view.state
            require(if_match, None if state is None else state.revision)
            if state is None:
                return Change(Deleted(False))
            return Change(Deleted(True), buried(state, view.now), due=view.now)

        return await self._writer.mutate(key, request, (), delete)

    @metered
    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        return await Lister(self._table, self._reader).page(tenant, listing, self.clock)

    @metered
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
        async def fork(view: View) -> Change[Thread]:
            partition = layout.partition(source.tenant, source.id)
            origin = View(source, partition, await self._reader.known(partition), view.now)
            state = existing(origin)
            require_log(if_match, state.etag)
            whole = await self._thread(origin)
            last, copied = await self._messages.copied(origin, state, cut, bulk)
            thread = forked(whole, key.id, Origin(source.id, last), patch, owner, view.now)
            change = filled(view, replace(thread, etag=_revision()), copied)
            change = change._replace(source=(partition, state))
            named = [one.message() for one in copied if one.key is not None]
            return await self._keys.claimed(change, view, named)

        async with Bulk(waits=self.beside is not None) as bulk:
            return await self._writer.mutate(key, request, (), fork, warm=False)

    @metered
    async def sweep(self, limit: int) -> Swept:
        now = await time_to_remove(self.clock, self.ping)
        return await Sweeper(self._table, self._reader, now).sweep(limit)

    @metered
    async def erase(self, tenant: str, owner: str | None) -> Erased:
        now = await present(self.clock, self.ping)
        return await Eraser(self._table, self._reader, now).erase(tenant, owner)

    # Backups

    @metered
    async def list_tenants(self, after: str | None, limit: int) -> Page[str]:
        return await Lister(self._table, self._reader).tenants(after, limit)

    @metered
    async def restore(
        self, key: ThreadKey, thread: Thread, messages: Sequence[Message], *, if_match: str | None
    ) -> Appended:
        async def restore(view: View) -> Change[Appended]:
            change = restored_at(view, thread, messages, if_match)
            if if_match is not None and not messages:
                state, present = existing(view), await self._thread(view)
                if restores_nothing(present, restored(present, thread), ()):
                    return Change(Appended((), state.etag))
            return await self._keys.claimed(change, view, change.result.messages)

        return await self._writer.mutate(key, None, (), restore, warm=bool(messages))

    # What an operation is made of

    async def _thread(self, view: View) -> Thread:
        """The thread as callers see it. Its header was read, not remembered."""
        return thread_of(existing(view), await self._reader.properties(view.partition, view.known))

    async def _patched(self, view: View, state: State, patch: ThreadPatch) -> tuple[Thread, State]:
        """The thread of a header that is to be written as patched, and that header with it."""
        thread = thread_of(state, await self._reader.properties(view.partition, view.known))
        thread = replace(updated(thread, patch, view.now), etag=_revision())
        return thread, state.having(thread)


def restless(key: ThreadKey) -> Unavailable:
    """What is raised where a thread changed during every one of many reads."""
    return Unavailable(f"thread {key.id!r} kept changing while it was read: nothing of one moment was found")
