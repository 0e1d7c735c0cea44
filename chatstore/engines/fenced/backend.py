"""The contract's operations, each a plan over one thread's header and rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from chatstore.conditions import created as combined
from chatstore.conditions import (
    message_etag,
    require,
    require_log,
)
from chatstore.contract import (
    UNSET,
    Cut,
    Draft,
    InsertAt,
    MetadataPatch,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
)
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import Change, View
from chatstore.engines.fenced.header import properties_text
from chatstore.engines.fenced.keys import released
from chatstore.engines.fenced.plans import (
    appended,
    existing,
    replaced,
    writable,
)
from chatstore.engines.fenced.reading import Moved
from chatstore.engines.fenced.threads import TRIES, FencedThreads, restless
from chatstore.errors import MessageNotFound
from chatstore.metering import metered
from chatstore.models import Appended, Deleted, Message, Page

__all__ = ["FencedBackend"]


class FencedBackend(FencedThreads):
    """The contract over a `Driver`; a subclass brings the driver and a name."""

    @metered
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
        if create is not None and patch is not None:
            create = combined(create, patch)

        async def append(view: View) -> Change[Appended]:
            present = view.state
            if present is None:
                require(if_match, None)
                require(if_thread, None)
            state, text = writable(view, None if cut else create, if_match, appending=cut is None)
            if present is not None:
                require(if_thread, present.revision)
            cutting = None if cut is None else await self._messages.cut(view, state, cut, len(drafts))
            change = appended(view, state, drafts, text, cutting=cutting)
            if patch is not None and present is not None:
                thread, state = await self._patched(view, change.state or state, patch)
                due = change.due if patch.ttl is UNSET else state.expires
                change = change._replace(state=state, properties=properties_text(thread), due=due)
            first = None if cutting is None else cutting.first
            change = await self._keys.claimed(change, view, change.result.messages, first=first)
            if patch is None and if_thread is None:
                return change
            return change._replace(result=replace(change.result, thread_etag=state.revision))

        if cut is None and patch is None and if_match is None and if_thread is None:
            return await self._appender.append(key, request, drafts, append)
        return await self._writer.mutate(key, request, drafts, append, warm=patch is None)

    @metered
    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        partition = layout.partition(key.tenant, key.id)
        known = self._seen.get(partition)
        for _ in range(TRIES):
            try:
                return await self._messages.read(key, partition, span, known, self.clock)
            except Moved:
                known = None
        raise restless(key)

    @metered
    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        partition = layout.partition(key.tenant, key.id)
        for _ in range(TRIES):
            view = View(key, partition, await self._reader.known(partition), self.clock())
            try:
                segment, place = await self._messages.named(view, existing(view), message_id)
                return segment.messages[place].message()
            except Moved:
                continue
        raise restless(key)

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
            change = replaced(view, state, drafts, kept, text)
            return await self._keys.claimed(change, view, change.result.messages)

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
                placed = cast("Change[Message]", change)._replace(result=change.result.messages[0])
            else:
                placed = await self._messages.put_before(view, state, draft, following)
            return await self._keys.claimed(placed, view, [placed.result])

        return await self._writer.mutate(key, request, [draft], insert)

    @metered
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
        async def replace_message(view: View) -> Change[Message]:
            state = existing(view)
            require(if_thread, state.revision)
            segment, place = await self._messages.to_change(view, state, message_id)
            old = segment.messages[place]
            require(if_match, message_etag(old.id, old.revision))
            new = old.changed(draft, metadata)
            messages = (*segment.messages[:place], new, *segment.messages[place + 1 :])
            state = state._replace(edits=state.edits + 1)
            return Change(new.message(), state, put=[segment._replace(messages=messages)])

        drafts = () if draft is None else (draft,)
        return await self._writer.mutate(key, request, drafts, replace_message)

    @metered
    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        async def delete(view: View) -> Change[Message | None]:
            state = existing(view)
            if isinstance(message, str):
                segment, place = await self._messages.to_change(view, state, message)
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
                drop=[*(() if left else [segment.row]), *released([old])],
                due=view.now if segment.large else None,
            )

        return await self._writer.mutate(key, request, (), delete)
