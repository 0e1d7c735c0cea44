"""The contract's operations, each a plan over one thread's header and rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple, cast

from chatstore import position
from chatstore.backends.azure_tables import keys
from chatstore.backends.azure_tables.header import (
    State,
    born,
    buried,
    parse_properties,
    properties_text,
    snapshot,
)
from chatstore.backends.azure_tables.listing import Lister
from chatstore.backends.azure_tables.meter import metered
from chatstore.backends.azure_tables.port import Driver, Entity
from chatstore.backends.azure_tables.reading import Head, Moved, Reader, Seen, chosen
from chatstore.backends.azure_tables.segments import Segment, Stored, cut, expiry_of, stored
from chatstore.backends.azure_tables.sweeping import Sweeper
from chatstore.backends.azure_tables.table import Dialect, Table
from chatstore.backends.azure_tables.writing import Change, View, Writer
from chatstore.conditions import merge, message_etag, require, require_log
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
from chatstore.errors import CursorExpired, MessageNotFound, ThreadExists, ThreadNotFound, Unavailable
from chatstore.ids import token as _revision
from chatstore.models import Appended, Cursor, Deleted, Erased, Message, Page, Swept, Thread

__all__ = ["AzureTablesBackend"]

_MICROSECOND = timedelta(microseconds=1)
_TRIES = 20


class AzureTablesBackend(Backend):
    """Threads in a table of Azure Table Storage, or of Cosmos DB's Table API."""

    capabilities = frozenset(Capability)
    name = "azure-tables"

    def __init__(self, driver: Driver, dialect: Dialect, clock: Clock) -> None:
        self.clock = clock
        self.driver = driver
        self.dialect = dialect
        seen = Seen()
        self._table = Table(driver, dialect)
        self._seen = seen
        self._reader = Reader(self._table, seen)
        self._writer = Writer(self._table, self._reader, seen, clock, self.request_window)

    @property
    def price_list(self) -> str:
        """How costs name the service."""
        return self.dialect.name

    async def close(self) -> None:
        await self.driver.close()

    async def ping(self) -> None:
        await self._table.get("ping", "ping")

    # Threads

    @metered
    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        async def create(view: View) -> Change[Thread]:
            state = _created(view, new)
            text = properties_text(key.id, new)
            return Change(snapshot(state, key.id, new), state, text, due=state.expires)

        return await self._writer.mutate(key, request, (), create, warm=False)

    @metered
    async def get_thread(self, key: ThreadKey) -> Thread:
        partition = keys.partition(key.tenant, key.id)
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
            state = _existing(view)
            require(if_match, state.revision)
            properties = _patched(await self._properties(view), patch)
            state = replace(state, revision=_revision())
            due = None
            if patch.ttl is not UNSET:
                due = _expiry(view.now, patch.ttl)
                state = replace(state, expires=due)
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
        return await Lister(self._table, self._reader).page(tenant, listing, self.clock())

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
            state, text = _writable(view, create, if_match)
            require_log(if_match, state.etag, appending=True)
            return _appended(view, state, drafts, text)

        return await self._writer.mutate(key, request, drafts, append)

    @metered
    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        partition = keys.partition(key.tenant, key.id)
        known = self._seen.get(partition)
        for _ in range(_TRIES):
            if known is not None and known.state is not None and _is_far(known.state, span):
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
                return await self._page(view, state, span, head, checked=not guess)
            except Moved:
                continue
        raise _restless(key)

    @metered
    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        partition = keys.partition(key.tenant, key.id)
        for _ in range(_TRIES):
            view = View(key, partition, await self._reader.known(partition), self.clock())
            try:
                segment, place = await self._named(view, _existing(view), message_id)
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
            state, text = _writable(view, create, if_match)
            require_log(if_match, state.etag)
            kept = 0 if text is not None else await self._kept(view, state, drafts)
            return _replaced(view, state, drafts, kept, text)

        return await self._writer.mutate(key, request, drafts, replace_all)

    @metered
    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        async def clear(view: View) -> Change[Deleted]:
            state = view.state
            require(if_match, None if state is None else state.etag)
            if state is None:
                return Change(Deleted(False))
            cleared = _replaced(view, state, (), await self._kept(view, state, ()), None)
            return replace(cast("Change[Deleted]", cleared), result=Deleted(True, cleared.result.etag))

        return await self._writer.mutate(key, request, (), clear)

    @metered
    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def insert(view: View) -> Change[Message]:
            state = _existing(view)
            require_log(if_match, state.etag)
            following = await self._following(view, state, at)
            if following is None:
                appended = _appended(view, state, [draft], None)
                return replace(cast("Change[Message]", appended), result=appended.result.messages[0])
            return await self._put_before(view, state, draft, following)

        return await self._writer.mutate(key, request, [draft], insert)

    @metered
    async def replace_message(
        self, key: ThreadKey, message_id: str, draft: Draft, *, if_match: str | None, request: Request | None
    ) -> Message:
        async def replace_message(view: View) -> Change[Message]:
            state = _existing(view)
            segment, place = await self._named(view, state, message_id)
            old = segment.messages[place]
            require(if_match, message_etag(old.id, old.revision))
            new = old._replace(text=draft.text, revision=old.revision + 1)
            messages = (*segment.messages[:place], new, *segment.messages[place + 1 :])
            state = replace(state, edits=state.edits + 1)
            return Change(new.message(), state, put=[segment._replace(messages=messages)])

        return await self._writer.mutate(key, request, [draft], replace_message)

    @metered
    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        async def delete(view: View) -> Change[Message | None]:
            state = _existing(view)
            if isinstance(message, str):
                segment, place = await self._named(view, state, message)
                old = segment.messages[place]
                require(if_match, message_etag(old.id, old.revision))
            else:
                require_log(if_match, state.etag)
                found = await self._at_index(view, state, message)
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
                replace(state, edits=state.edits + 1),
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
            partition = keys.partition(source.tenant, source.id)
            origin = View(source, partition, await self._reader.known(partition), view.now)
            state = _existing(origin)
            require_log(if_match, state.etag)
            properties = await self._properties(origin)
            last = None
            if through is not None:
                segment, place = await self._named(origin, state, through)
                last = segment.messages[place].position
            copied = await self._copied(origin, state, last)
            await self._reader.unchanged(partition, state)
            new = replace(_created(view, properties), expires=state.expires, tail=len(copied))
            segments = [Segment.of(new.generation, row) for row in cut(copied)]
            new = replace(new, widest=_widest(segments, new))
            text = properties_text(key.id, properties)
            return Change(
                snapshot(new, key.id, properties), new, text, segments, due=_earliest(new.expires, segments)
            )

        return await self._writer.mutate(key, request, (), fork, warm=False)

    @metered
    async def sweep(self, limit: int) -> Swept:
        return await Sweeper(self._table, self._reader, self.clock()).sweep(limit)

    @metered
    async def erase(self, tenant: str, owner: str) -> Erased:
        return await Sweeper(self._table, self._reader, self.clock()).erase(tenant, owner)

    # What an operation is made of

    async def _properties(self, view: View) -> NewThread:
        """The properties of a thread whose header was read, not remembered."""
        known, state = view.known, cast("State", view.known.state)
        header = Entity(view.partition, keys.HEADER, known.properties, known.etag or "")
        return parse_properties(await self._reader.text(header), state.owner)[1]

    async def _thread(self, view: View) -> Thread:
        return snapshot(_existing(view), view.key.id, await self._properties(view))

    async def _page(
        self, view: View, state: State, span: Span, head: Head, *, checked: bool
    ) -> Page[Message]:
        walk = self._reader.walk(
            view.partition, state, newest=span.newest,
            after=span.after, before=span.before, count=span.limit + 1, head=head if checked else None,
        )  # fmt: skip
        found: list[Stored] = []
        size, more = 0, False
        async for segment in walk:
            messages = chosen(segment.messages, span.after, span.before, view.now)
            for one in reversed(messages) if span.newest else messages:
                size += len(one.text.encode()) if span.max_bytes is not None else 0
                more = len(found) == span.limit or bool(
                    found and span.max_bytes is not None and size > span.max_bytes
                )
                if more:
                    break
                found.append(one)
            if more:
                break
        if walk.beyond or not checked:
            await self._reader.unchanged(view.partition, state)
        items = found[::-1] if span.newest else found
        end = items[-1].position if items else span.after or position.START
        return Page(
            tuple(one.message() for one in items),
            next=Cursor.at(state.generation, found[-1].position) if more else None,
            end=Cursor.at(state.generation, end),
            etag=state.etag,
        )

    async def _named(self, view: View, state: State, message_id: str) -> tuple[Segment, int]:
        found = await self._reader.find(view.partition, state, message_id)
        if found is None or not found[0].messages[found[1]].lives(view.now):
            # The thread itself may have gone meanwhile.
            await self._reader.unchanged(view.partition, state)
            raise MessageNotFound(view.key.id, message_id)
        return found

    async def _at_index(self, view: View, state: State, index: int) -> tuple[Segment, int] | None:
        """The message at an index, counted from the nearer end."""
        newest = index < 0
        left = -index - 1 if newest else index
        async for segment in self._reader.walk(view.partition, state, newest=newest, count=left + 1):
            places = [place for place, one in enumerate(segment.messages) if one.lives(view.now)]
            if left < len(places):
                return segment, places[::-1][left] if newest else places[left]
            left -= len(places)
        return None

    async def _following(self, view: View, state: State, at: InsertAt) -> _Gap | None:
        """The gap in front of the message that `at` names; None for the end."""
        found: tuple[Segment, int] | None
        if at.before is not None:
            found = await self._named(view, state, at.before)
        elif at.after is not None:
            segment, place = await self._named(view, state, at.after)
            for later in range(place + 1, len(segment.messages)):
                if segment.messages[later].lives(view.now):
                    return _Gap(segment, later)
            after = segment.messages[-1].position
            async for segment in self._reader.walk(view.partition, state, newest=False, after=after):
                for one in chosen(segment.messages, after, None, view.now):
                    return _Gap(segment, segment.messages.index(one))
            return None
        else:
            index = cast("int", at.index)
            found = await self._at_index(view, state, index)
            if found is None and index < 0:
                found = await self._at_index(view, state, 0)
        return None if found is None else _Gap(*found)

    async def _put_before(self, view: View, state: State, draft: Draft, gap: _Gap) -> Change[Message]:
        """Insert into the row of the message before, which may have expired."""
        before = gap.segment.messages[gap.place].position
        home = gap.segment if gap.place else await self._row_before(view, state, before)
        earlier = () if home is None else [one for one in home.messages if one.position < before]
        place = position.between(earlier[-1].position if earlier else position.nth(state.base), before)
        expires = expiry_of(view.now, draft)
        new = Stored(keys.message_id(view.now, place), place, view.now, 0, expires, draft.text)
        if position.crowded(place):
            return await self._numbered_anew(view, state, new)
        state = replace(state, edits=state.edits + 1).touched(view.now)
        if home is None:
            return Change(new.message(), state, put=[Segment.of(state.generation, [new])])
        messages = tuple(sorted((*home.messages, new), key=lambda one: one.position))
        return Change(new.message(), state, put=home._replace(messages=messages).halves())

    async def _row_before(self, view: View, state: State, place: str) -> Segment | None:
        """The row of the last message before a position, which begins a row itself."""
        walk = self._reader.walk(view.partition, state, newest=True, before=place, count=2)
        async for segment in walk:
            if segment.messages[0].position < place:
                return segment
        return None

    async def _numbered_anew(self, view: View, state: State, new: Stored) -> Change[Message]:
        """Begin another generation, in which every message has a plain position again."""
        messages = [new]
        async for segment in self._reader.walk(view.partition, state, newest=False, count=1000):
            messages += segment.messages
        messages.sort(key=lambda one: one.position)
        numbered = [
            one._replace(position=position.nth(slot)) for slot, one in enumerate(messages, state.tail + 1)
        ]
        state = replace(state, edits=state.edits + 1, scattered=True)
        change = _anew(view, state, numbered)
        [placed] = [one for one in numbered if one.id == new.id]
        return replace(cast("Change[Message]", change), result=placed.message())

    async def _kept(self, view: View, state: State, drafts: Sequence[Draft]) -> int | None:
        """How many messages there are, if they are the first of `drafts`; None if they are not."""
        count = 0
        walk = self._reader.walk(view.partition, state, newest=False, count=len(drafts) + 1)
        async for segment in walk:
            for one in segment.messages:
                if not one.lives(view.now):
                    continue
                if count == len(drafts) or drafts[count].text != one.text:
                    return None
                count += 1
        if count == len(drafts):
            await self._reader.unchanged(view.partition, state)
        return count

    async def _copied(self, origin: View, state: State, last: str | None) -> list[Stored]:
        """Copies of the living messages up to a position, numbered from one."""
        found: list[Stored] = []
        async for segment in self._reader.walk(origin.partition, state, newest=False, count=1000):
            for one in segment.messages:
                if last is not None and one.position > last:
                    return found
                if one.lives(origin.now):
                    place = position.nth(len(found) + 1)
                    found.append(
                        one._replace(id=keys.message_id(one.created, place), position=place, revision=0)
                    )
        return found


class _Gap(NamedTuple):
    """The gap in front of a message, given by its row and its place in there."""

    segment: Segment
    place: int


def _existing(view: View) -> State:
    state = view.state
    if state is None:
        raise ThreadNotFound(view.key.id)
    return state


def _created(view: View, new: NewThread) -> State:
    before = view.known.state
    if before is not None and before.lives(view.now):
        raise ThreadExists(view.key.id)
    return born(before, view.key.tenant, new, view.now, _expiry(view.now, new.ttl))


def _writable(view: View, create: NewThread | None, if_match: str | None) -> tuple[State, str | None]:
    """The thread, or a new one with its properties where there is none and nothing is expected of it."""
    state = view.state
    if state is not None:
        return state, None
    require(if_match, None)
    if create is None:
        raise ThreadNotFound(view.key.id)
    return _created(view, create), properties_text(view.key.id, create)


def _appended(
    view: View, state: State, drafts: Sequence[Draft], text: str | None, kept: int = 0
) -> Change[Appended]:
    """`drafts` at the end of the log of `state`, which is a new thread's if it comes with its properties."""
    messages = stored(drafts, state.tail, view.now)
    segments = [Segment.of(state.generation, row) for row in cut(messages)]
    state = replace(state, tail=state.tail + len(messages))
    state = replace(state, widest=_widest(segments, state))
    if messages:
        state = state.touched(view.now)
    due = None
    if text is not None:
        # What is left of an earlier life is not waited for.
        due = state.expires if view.known.state is None else view.now
    result = Appended(tuple(one.message() for one in messages), state.etag, kept)
    return Change(result, state, text, segments, due=due)


def _replaced(
    view: View, state: State, drafts: Sequence[Draft], kept: int | None, text: str | None
) -> Change[Appended]:
    """`drafts` as the history, by adding what is new where the rest is there already."""
    if kept is not None:
        if kept == len(drafts) and text is None:
            return Change(Appended((), state.etag, kept))
        return _appended(view, state, drafts[kept:], text, kept)
    return _anew(view, replace(state, scattered=False), stored(drafts, state.tail, view.now))


def _anew(view: View, state: State, messages: Sequence[Stored]) -> Change[Appended]:
    """`messages` as a history of its own, in the slots above the old one's."""
    generation = keys.next_generation(state.generation, view.now)
    segments = [Segment.of(generation, row) for row in cut(messages)]
    state = replace(state, generation=generation, base=state.tail, tail=state.tail + len(messages), widest=1)
    state = replace(state, widest=_widest(segments, state))
    if messages:
        state = state.touched(view.now)
    result = Appended(tuple(one.message() for one in messages), state.etag)
    return Change(result, state, put=segments, due=view.now)


def _widest(segments: Sequence[Segment], state: State) -> int:
    return max([state.widest, *(len(segment.messages) for segment in segments)])


def _earliest(expires: int | None, segments: Sequence[Segment]) -> int | None:
    return min(
        [one for one in (expires, *(row.expires for row in segments)) if one is not None], default=None
    )


def _patched(properties: NewThread, patch: ThreadPatch) -> NewThread:
    if patch.topic is not UNSET:
        properties = replace(properties, topic=patch.topic)
    if patch.metadata is not UNSET:
        metadata = {} if patch.metadata is None else merge(properties.metadata, patch.metadata)
        properties = replace(properties, metadata=metadata)
    if patch.participants is not UNSET:
        properties = replace(properties, participants=patch.participants or ())
    return properties


def _expiry(now: int, ttl: timedelta | None) -> int | None:
    return None if ttl is None else now + ttl // _MICROSECOND


def _is_far(state: State, span: Span) -> bool:
    """Whether a page lies too deep to come along with the header."""
    if span.newest:
        return span.before is not None and keys.slots_around(span.before)[1] + span.limit < state.tail
    begins = state.base if span.after is None else keys.slots_around(span.after)[0]
    return state.tail - begins > span.limit + 1


def _restless(key: ThreadKey) -> Unavailable:
    return Unavailable(f"thread {key.id!r} kept changing while it was read: nothing of one moment was found")
