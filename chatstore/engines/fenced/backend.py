"""The contract's operations, each a plan over one thread's header and rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from chatstore.clocks import present, time_to_remove
from chatstore.conditions import (
    expiry,
    message_etag,
    patched,
    require,
    require_log,
    restored,
    restores_nothing,
)
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
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import Change, View
from chatstore.engines.fenced.erasing import Eraser
from chatstore.engines.fenced.header import (
    State,
    buried,
    parse_properties,
    properties_text,
    snapshot,
)
from chatstore.engines.fenced.listing import Lister
from chatstore.engines.fenced.messages import Messages
from chatstore.engines.fenced.plans import (
    appended,
    created,
    earliest,
    existing,
    is_far,
    replaced,
    restored_at,
    widest,
    writable,
)
from chatstore.engines.fenced.port import Driver, Entity
from chatstore.engines.fenced.reading import Head, Moved, Reader, Seen
from chatstore.engines.fenced.segments import Segment, cut
from chatstore.engines.fenced.sweeping import Sweeper
from chatstore.engines.fenced.table import Dialect, Table
from chatstore.engines.fenced.writing import Writer
from chatstore.errors import ConfigurationError, CursorExpired, MessageNotFound, Unavailable
from chatstore.ids import token as _revision
from chatstore.metering import metered
from chatstore.models import Appended, Deleted, Erased, Message, Page, Swept, Thread

__all__ = ["FencedBackend"]

_TRIES = 20


class FencedBackend(Backend):
    """The contract over a `Driver`; a subclass brings the driver and a name."""

    capabilities = frozenset(Capability)

    def __init__(self, driver: Driver, dialect: Dialect, clock: Clock) -> None:
        self.clock = clock
        self.driver = driver
        self.dialect = dialect
        seen = Seen()
        self._table = Table(driver, dialect)
        self._seen = seen
        self._reader = Reader(self._table, seen, self.aside)
        self._messages = Messages(self._reader)
        self._writer = Writer(self._table, self._reader, seen, clock, self.request_window)

    async def close(self) -> None:
        if self.beside is not None:
            self.beside.close()
        await self.driver.close()

    async def must_exist(self) -> None:
        if not await self._table.exists():
            raise ConfigurationError(
                "there is no such table: nothing was made or changed; check the last part of the URL, which "
                "is its name"
            )

    async def prepare(self) -> None:
        await self._table.create()

    async def ping(self) -> None:
        await self._table.get("ping", "ping")

    # Threads

    @metered
    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        async def create(view: View) -> Change[Thread]:
            state = created(view, new)
            text = properties_text(key.id, new)
            return Change(snapshot(state, key.id, new), state, text, due=state.expires)

        return await self._writer.mutate(key, request, (), create, warm=False)

    @metered
    async def get_thread(self, key: ThreadKey) -> Thread:
        partition = layout.partition(key.tenant, key.id)
        for _ in range(_TRIES):
            view = View(key, partition, await self._reader.known(partition), self.clock())
            try:
                return await self._thread(view)
            except Moved:
                continue
        raise _restless(key)

    @metered
    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        async def update(view: View) -> Change[Thread]:
            state = existing(view)
            require(if_match, state.revision)
            properties = patched(await self._properties(view), patch)
            state = state._replace(revision=_revision())
            due = None
            if patch.ttl is not UNSET:
                due = expiry(view.now, patch.ttl)
                state = state._replace(expires=due)
            text = properties_text(key.id, properties)
            return Change(snapshot(state, key.id, properties), state, text, due=due)

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

    # Messages

    @metered
    async def append(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        async def append(view: View) -> Change[Appended]:
            state, text = writable(view, create, if_match, appending=True)
            return appended(view, state, drafts, text)

        return await self._writer.mutate(key, request, drafts, append)

    @metered
    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        partition = layout.partition(key.tenant, key.id)
        known = self._seen.get(partition)
        for _ in range(_TRIES):
            if known is not None and known.state is not None and is_far(known.state, span):
                # The newest rows would not help: the header is looked at afterwards alone.
                head, guess = Head(known), True
            else:
                head, guess = await self._reader.head(partition, span.limit + 1), False
            known = None
            view = View(key, partition, head.known, self.clock())
            state = view.state
            if guess and (state is None or span.epoch not in (None, state.generation)):
                continue
            if span.epoch is not None and (state is None or state.generation != span.epoch):
                raise CursorExpired
            if state is None:
                return Page(())
            try:
                return await self._messages.page(view, state, span, head, checked=not guess)
            except Moved:
                continue
        raise _restless(key)

    @metered
    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        partition = layout.partition(key.tenant, key.id)
        for _ in range(_TRIES):
            view = View(key, partition, await self._reader.known(partition), self.clock())
            try:
                segment, place = await self._messages.named(view, existing(view), message_id)
                return segment.messages[place].message()
            except Moved:
                continue
        raise _restless(key)

    @metered
    async def replace_all(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        async def replace_all(view: View) -> Change[Appended]:
            state, text = writable(view, create, if_match)
            kept = 0 if text is not None else await self._messages.kept(view, state, drafts)
            return replaced(view, state, drafts, kept, text)

        return await self._writer.mutate(key, request, drafts, replace_all)

    @metered
    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        async def clear(view: View) -> Change[Deleted]:
            state = view.state
            require(if_match, None if state is None else state.etag)
            if state is None:
                return Change(Deleted(False))
            cleared = replaced(view, state, (), await self._messages.kept(view, state, ()), None)
            return cast("Change[Deleted]", cleared)._replace(result=Deleted(True, cleared.result.etag))

        return await self._writer.mutate(key, request, (), clear)

    @metered
    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def insert(view: View) -> Change[Message]:
            state = existing(view)
            require_log(if_match, state.etag)
            following = await self._messages.following(view, state, at)
            if following is None:
                change = appended(view, state, [draft], None)
                return cast("Change[Message]", change)._replace(result=change.result.messages[0])
            return await self._messages.put_before(view, state, draft, following)

        return await self._writer.mutate(key, request, [draft], insert)

    @metered
    async def replace_message(
        self, key: ThreadKey, message_id: str, draft: Draft, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def replace_message(view: View) -> Change[Message]:
            state = existing(view)
            segment, place = await self._messages.named(view, state, message_id)
            old = segment.messages[place]
            require(if_match, message_etag(old.id, old.revision))
            new = old._replace(text=draft.text, revision=old.revision + 1)
            messages = (*segment.messages[:place], new, *segment.messages[place + 1 :])
            state = state._replace(edits=state.edits + 1)
            return Change(new.message(), state, put=[segment._replace(messages=messages)])

        return await self._writer.mutate(key, request, [draft], replace_message)

    @metered
    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        async def delete(view: View) -> Change[Message | None]:
            state = existing(view)
            if isinstance(message, str):
                segment, place = await self._messages.named(view, state, message)
                old = segment.messages[place]
                require(if_match, message_etag(old.id, old.revision))
            else:
                require_log(if_match, state.etag)
                found = await self._messages.at_index(view, state, message)
                if found is None:
                    await self._reader.unchanged(view.partition, state)
                    if message == -1:
                        return Change(None)
                    raise MessageNotFound(key.id, message)
                segment, place = found
                old = segment.messages[place]
            left = (*segment.messages[:place], *segment.messages[place + 1 :])
            return Change(
                old.message(),
                state._replace(edits=state.edits + 1),
                put=[segment._replace(messages=left)] if left else (),
                drop=() if left else [segment.row],
                due=view.now if segment.large else None,
            )

        return await self._writer.mutate(key, request, (), delete)

    @metered
    async def fork(
        self,
        source: ThreadKey,
        key: ThreadKey,
        through: str | None,
        *,
        if_match: str | None,
        request: Request | None,
    ) -> Thread:
        async def fork(view: View) -> Change[Thread]:
            partition = layout.partition(source.tenant, source.id)
            origin = View(source, partition, await self._reader.known(partition), view.now)
            state = existing(origin)
            require_log(if_match, state.etag)
            properties = await self._properties(origin)
            last = None
            if through is not None:
                segment, place = await self._messages.named(origin, state, through)
                last = segment.messages[place].position
            copied = await self._messages.copied(origin, state, last)
            await self._reader.unchanged(partition, state)
            new = created(view, properties)._replace(expires=state.expires, tail=len(copied))
            segments = [Segment.of(new.generation, row) for row in cut(copied)]
            new = new._replace(widest=widest(segments, new))
            text = properties_text(key.id, properties)
            return Change(
                snapshot(new, key.id, properties), new, text, segments, due=earliest(new.expires, segments)
            )

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
            return change

        return await self._writer.mutate(key, None, (), restore, warm=bool(messages))

    # What an operation is made of

    async def _properties(self, view: View) -> NewThread:
        """The properties of a thread whose header was read, not remembered."""
        known, state = view.known, cast("State", view.known.state)
        header = Entity(view.partition, layout.HEADER, known.properties, known.etag or "")
        return parse_properties(await self._reader.text(header), state.owner)[1]

    async def _thread(self, view: View) -> Thread:
        return snapshot(existing(view), view.key.id, await self._properties(view))


def _restless(key: ThreadKey) -> Unavailable:
    return Unavailable(f"thread {key.id!r} kept changing while it was read: nothing of one moment was found")
