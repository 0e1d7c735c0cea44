"""`AsyncChatStore`: the source of both faces."""

from __future__ import annotations

import functools
import hashlib
import operator
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from types import TracebackType

from chatstore.codec import Json
from chatstore.contract import (
    UNSET,
    Backend,
    InsertAt,
    Listing,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
    Unset,
)
from chatstore.errors import Conflict, CursorExpired, InvalidArgument, MessageNotFound, ThreadNotFound
from chatstore.ids import uuid7
from chatstore.models import (
    Appended,
    Deleted,
    Erased,
    Message,
    Page,
    Participant,
    Place,
    Swept,
    Thread,
    ThreadCursor,
    Window,
    from_micros,
)
from chatstore.store import arguments
from chatstore.window import PINNED_AT_MOST, Counter, WindowBuilder

__all__ = ["AsyncChatStore"]

_PAGE_BYTES = 4 * 1024 * 1024
_RESTARTS = 5


class AsyncChatStore:
    """Threads of ordered messages, for one tenant.

    Every mutation is atomic and takes two options. `request_id` makes it safe to repeat: within the
    backend's window (24 hours at least for ids that carry their time, such as `chatstore.uuid7`),
    the same request gives the first result again and has no further effect; the same id with
    anything else raises RequestMismatch, an id from outside the window RequestExpired. `if_match`
    is an ETag that must still hold, or Conflict is raised with the one that does: a thread's own for
    `update_thread` and `delete_thread`, a message's where one is named by its id, otherwise that of
    the log, as pages and appends carry it. An append is disturbed only by other appends, the rest
    of the log's operations by edits too.

    A thread that does not exist has no messages: `read`, `window` and `iter_messages` give none,
    `clear` and `delete_thread` have nothing to do; everything else raises ThreadNotFound. Arguments that
    cannot be used raise InvalidArgument before anything is done, storage that fails StorageError.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        tenant: str = "default",
        owner: str | None = None,
        owns_backend: bool = True,
    ) -> None:
        self.backend = backend
        self.tenant = arguments.text("tenant", tenant, arguments.MAX_TENANT_BYTES, empty=False)
        self.owner = arguments.owner_or_none(owner)
        self._owns_backend = owns_backend

    def for_tenant(self, tenant: str) -> AsyncChatStore:
        """The same store, scoped to another tenant and to no owner. Closing it leaves the backend open."""
        return AsyncChatStore(self.backend, tenant=tenant, owns_backend=False)

    def for_owner(self, owner: str) -> AsyncChatStore:
        """The same store, scoped to one owner's threads; new ones are the owner's.

        A thread of anybody else is not there, but that its id is taken: creating it raises ThreadExists.
        Request ids are remembered for each owner apart. Closing it leaves the backend open.
        """
        return AsyncChatStore(self.backend, tenant=self.tenant, owner=owner, owns_backend=False)

    async def close(self) -> None:
        """Give back what the backend holds; the next use opens it again."""
        if self._owns_backend:
            await self.backend.close()

    async def ping(self) -> None:
        """Return if the storage answers; raise StorageError if it does not. Costs a trip."""
        await self.backend.ping()

    async def __aenter__(self) -> AsyncChatStore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Threads

    async def create_thread(
        self,
        thread_id: str | None = None,
        *,
        topic: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        participants: Iterable[Participant | Mapping[str, Json]] = (),
        ttl: arguments.Ttl = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Thread:
        """Create an empty thread; without an id it gets one, the same again for the same `request_id`.

        `owner` is for ever, `ttl` counts from now. Raises ThreadExists. An `if_match` can name
        nothing that is still to be created: it is always a Conflict, with what is there.
        """
        new = NewThread(
            self._owner(owner),
            arguments.topic_or_none(topic),
            arguments.metadata_of(metadata),
            arguments.participants_of(participants),
            arguments.duration("ttl", ttl),
        )
        request = self._request(
            request_id, "create_thread", thread_id, topic, owner, new.metadata, new.participants, new.ttl
        )
        key = self._key(self.new_id(request_id) if thread_id is None else thread_id)
        if arguments.etag_or_none(if_match) is not None:
            raise Conflict(await self._etag(key))
        return await self.backend.create_thread(key, new, request=request)

    async def get_thread(self, thread_id: str) -> Thread:
        """The thread's properties."""
        return await self.backend.get_thread(self._key(thread_id))

    async def update_thread(
        self,
        thread_id: str,
        *,
        topic: str | Unset | None = UNSET,
        metadata: Mapping[str, Json] | Unset | None = UNSET,
        participants: Iterable[Participant | Mapping[str, Json]] | Unset | None = UNSET,
        ttl: arguments.Ttl | Unset = UNSET,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Thread:
        """Change properties: those not given stay, None removes one.

        `metadata` is merged into what is there (RFC 7396: a None inside removes that key);
        `participants` replace those that are there; `ttl` counts anew, from now.
        """
        patch = ThreadPatch(
            topic if isinstance(topic, Unset) else arguments.topic_or_none(topic),
            arguments.changed(metadata, arguments.metadata_of),
            arguments.changed(participants, arguments.participants_of),
            ttl if isinstance(ttl, Unset) else arguments.duration("ttl", ttl),
        )
        request = self._request(
            request_id, "update_thread", patch.topic, patch.metadata, patch.participants, patch.ttl
        )
        return await self.backend.update_thread(
            self._key(thread_id), patch, if_match=arguments.etag_or_none(if_match), request=request
        )

    async def delete_thread(
        self, thread_id: str, *, request_id: str | None = None, if_match: str | None = None
    ) -> Deleted:
        """Remove a thread with all its messages; says whether it was there."""
        request = self._request(request_id, "delete_thread")
        return await self.backend.delete_thread(
            self._key(thread_id), if_match=arguments.etag_or_none(if_match), request=request
        )

    async def list_threads(
        self,
        *,
        owner: str | None = None,
        active_since: datetime | None = None,
        metadata: Mapping[str, Json] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Thread]:
        """Threads, newest activity first: when messages were last added, or the thread was created.

        `metadata` selects threads that have each of its keys with an equal value. Such a page may
        hold fewer than `limit`, even none, and still have a `next`. A thread that becomes active
        while pages are read may be missed by them.
        """
        listing = Listing(
            limit=arguments.page_limit(limit),
            owner=self._owner(owner),
            active_since=arguments.aware("active_since", active_since),
            metadata=arguments.metadata_of(metadata),
            before=None if cursor is None else ThreadCursor.parse(cursor),
        )
        return await self.backend.list_threads(self.tenant, listing)

    async def iter_threads(
        self,
        *,
        owner: str | None = None,
        active_since: datetime | None = None,
        metadata: Mapping[str, Json] | None = None,
    ) -> AsyncIterator[Thread]:
        """All that `list_threads` would give, page after page, in constant memory."""
        cursor: str | None = None
        while True:
            page = await self.list_threads(
                owner=owner, active_since=active_since, metadata=metadata, cursor=cursor
            )
            for thread in page:
                yield thread
            if page.next is None:
                return
            cursor = page.next

    async def fork(
        self,
        thread_id: str,
        new_id: str | None = None,
        *,
        through: str | None = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Thread:
        """A new thread with this one's properties and its messages up to and including `through`.

        The copies have ids of their own, and expire when the originals do; all messages without
        `through`. `if_match` is of this thread's log. Raises ThreadExists, MessageNotFound.
        """
        if through is not None:
            arguments.message_id_of(through)
        request = self._request(request_id, "fork", thread_id, new_id, through)
        key = self._key(self.new_id(request_id) if new_id is None else new_id)
        return await self.backend.fork(
            self._key(thread_id), key, through, if_match=arguments.etag_or_none(if_match), request=request
        )

    # Messages

    async def append(
        self,
        thread_id: str,
        *messages: arguments.MessageLike,
        create: bool = True,
        owner: str | None = None,
        ttl: arguments.Ttl = None,
        expires_in: arguments.Ttl = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Appended:
        """Add messages at the end as one turn: visible together, adjacent, in this order, or not at all.

        A thread that is not there is created, with `owner` and `ttl`, unless `create` is False;
        both are ignored where it is. `expires_in` is these messages' own time to live.
        """
        new = NewThread(owner=self._owner(owner), ttl=arguments.duration("ttl", ttl))
        drafts = arguments.drafts_of(messages, arguments.duration("expires_in", expires_in))
        if not drafts:
            raise InvalidArgument("append needs at least one message")
        request = self._request(request_id, "append", create, owner, new.ttl, drafts)
        return await self.backend.append(
            self._key(thread_id),
            drafts,
            create=new if create else None,
            if_match=arguments.etag_or_none(if_match),
            request=request,
        )

    async def read(
        self,
        thread_id: str,
        *,
        last: int | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        max_bytes: int | None = None,
    ) -> Page[Message]:
        """A page of messages, oldest first, at most 1,000 of them.

        `last` gives the newest; `after` those that follow a cursor or position, up to `limit` (100
        by default); `before` alone those just before one; both, those between, from `after` on. With
        `max_bytes` the page ends early once it holds that much text, never without a message.
        Raises CursorExpired if the history that a cursor came from was replaced.
        """
        if last is not None and (after is not None or before is not None or limit is not None):
            raise InvalidArgument("last stands alone: pass either last, or after, before and limit")
        span = arguments.span_of(
            after, before, arguments.page_limit(limit if last is None else last), newest=last is not None
        )
        span = span._replace(max_bytes=arguments.page_bytes(max_bytes))
        return await self.backend.read(self._key(thread_id), span)

    async def window(
        self,
        thread_id: str,
        *,
        max_tokens: int,
        counter: Counter | None = None,
        keep: Iterable[str] = ("system", "developer"),
        max_bytes: int | None = None,
    ) -> Window[Message]:
        """The newest messages that fit into `max_tokens`, oldest first.

        The thread's leading messages of the roles in `keep`, at most 20, come first and count
        too; reading them is one extra read. A tool's result whose call did not fit is left out. A
        message's own ``tokens`` or ``usage`` counts, else a token for every four bytes of its
        JSON; `counter` replaces both. Reads back only as far as it needs. With `max_bytes` it holds no
        more text than that either, but for a single message.
        """
        if type(max_tokens) is not int or max_tokens < 0:
            raise InvalidArgument(f"max_tokens is a number of tokens, 0 or more, not {max_tokens!r}")
        key, roles = self._key(thread_id), tuple(keep)
        for left in reversed(range(_RESTARTS)):
            try:
                builder = WindowBuilder(max_tokens, counter, roles, max_bytes)
                return await self._window(key, builder, pinning=bool(roles))
            except CursorExpired:
                # The history was replaced between two reads: begin again with the new one.
                if not left:
                    raise
        raise AssertionError("unreachable")

    async def _window(self, key: ThreadKey, builder: WindowBuilder, *, pinning: bool) -> Window[Message]:
        newest = page = await self.backend.read(key, Span(PINNED_AT_MOST, newest=True, max_bytes=_PAGE_BYTES))
        costs = [page.cost]
        if pinning:
            first = page
            if page.next is not None:
                epoch = Place.parse(page.next).epoch
                first = await self.backend.read(key, Span(PINNED_AT_MOST, epoch=epoch, max_bytes=_PAGE_BYTES))
                costs.append(first.cost)
            builder.pin(first.items)
        builder.extend(page.items)
        limit = PINNED_AT_MOST
        while page.next is not None and not builder.full:
            limit = min(limit * 2, arguments.MAX_LIMIT)
            span = arguments.span_of(None, page.next, limit, newest=True)
            page = await self.backend.read(key, span._replace(max_bytes=_PAGE_BYTES))
            costs.append(page.cost)
            builder.extend(page.items)
        reported = [cost for cost in costs if cost is not None]
        return Window(
            builder.finish(),
            end=newest.end,
            etag=newest.etag,
            cost=functools.reduce(operator.add, reported) if reported else None,
            tokens=builder.tokens,
            counter=builder.counter,
        )

    async def iter_messages(
        self, thread_id: str, *, after: str | None = None, before: str | None = None
    ) -> AsyncIterator[Message]:
        """All messages, oldest first, page after page, in constant memory.

        Messages added meanwhile are reached too; a history replaced meanwhile raises CursorExpired.
        """
        key = self._key(thread_id)
        span = arguments.span_of(after, before, arguments.DEFAULT_LIMIT)._replace(
            newest=False, max_bytes=_PAGE_BYTES
        )
        while True:
            page = await self.backend.read(key, span)
            for message in page:
                yield message
            if page.next is None:
                return
            epoch, position = Place.parse(page.next)
            span = span._replace(epoch=epoch, after=position)

    async def get_message(self, thread_id: str, message_id: str) -> Message:
        """One message. Raises MessageNotFound."""
        return await self.backend.get_message(self._key(thread_id), arguments.message_id_of(message_id))

    async def insert(
        self,
        thread_id: str,
        message: arguments.MessageLike,
        *,
        index: int | None = None,
        before: str | None = None,
        after: str | None = None,
        expires_in: arguments.Ttl = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Message:
        """Add a message in front of or behind another, named by id, or at an index as ``list.insert`` does.

        Exactly one place is given. An index is looked for from the nearer end, so its cost grows with
        the distance. Raises MessageNotFound.
        """
        if sum(place is not None for place in (index, before, after)) != 1:
            raise InvalidArgument("insert needs exactly one of index, before and after")
        at = InsertAt(
            arguments.index_or_none(index),
            None if before is None else arguments.message_id_of(before),
            None if after is None else arguments.message_id_of(after),
        )
        [draft] = arguments.drafts_of([message], arguments.duration("expires_in", expires_in))
        request = self._request(request_id, "insert", draft, at.index, at.before, at.after)
        return await self.backend.insert(
            self._key(thread_id), draft, at, if_match=arguments.etag_or_none(if_match), request=request
        )

    async def replace_message(
        self,
        thread_id: str,
        message_id: str,
        message: arguments.MessageLike,
        *,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Message:
        """Put another content in a message's place; its id, position, time and expiry stay.

        `if_match` is of the message. Raises MessageNotFound.
        """
        [draft] = arguments.drafts_of([message], None)
        request = self._request(request_id, "replace_message", message_id, draft)
        return await self.backend.replace_message(
            self._key(thread_id),
            arguments.message_id_of(message_id),
            draft,
            if_match=arguments.etag_or_none(if_match),
            request=request,
        )

    async def delete_message(
        self,
        thread_id: str,
        message_id: str | None = None,
        *,
        index: int | None = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Message:
        """Take out one message, by its id or by an index (negative from the end), and return it.

        `if_match` is of the message when it is named by id, of the log otherwise. Raises MessageNotFound.
        """
        if (message_id is None) == (index is None):
            raise InvalidArgument("delete_message needs either a message id or an index")
        target: str | int | None = (
            arguments.index_or_none(index) if message_id is None else arguments.message_id_of(message_id)
        )
        assert target is not None  # noqa: S101 - the check above leaves one of the two
        request = self._request(request_id, "delete_message", message_id, index)
        key = self._key(thread_id)
        deleted = await self.backend.delete_message(
            key, target, if_match=arguments.etag_or_none(if_match), request=request
        )
        if deleted is None:
            raise MessageNotFound(thread_id, target)
        return deleted

    async def pop(
        self, thread_id: str, *, request_id: str | None = None, if_match: str | None = None
    ) -> Message | None:
        """Take out the newest message and return it; None where there is none. `if_match` is of the log."""
        request = self._request(request_id, "pop")
        return await self.backend.delete_message(
            self._key(thread_id), -1, if_match=arguments.etag_or_none(if_match), request=request
        )

    async def clear(
        self, thread_id: str, *, request_id: str | None = None, if_match: str | None = None
    ) -> Deleted:
        """Remove all messages and keep the thread; says whether it was there. `if_match` is of the log."""
        request = self._request(request_id, "clear")
        return await self.backend.clear(
            self._key(thread_id), if_match=arguments.etag_or_none(if_match), request=request
        )

    async def replace_all(
        self,
        thread_id: str,
        messages: Iterable[arguments.MessageLike],
        *,
        create: bool = False,
        owner: str | None = None,
        ttl: arguments.Ttl = None,
        expires_in: arguments.Ttl = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Appended:
        """Replace the whole history at once: a reader sees the old one or the new one, never a part.

        A history that only grew is an append: what is there stays, ids and all. With `create` a
        thread that is not there is created, with `owner` and `ttl`. `if_match` is of the log.
        """
        new = NewThread(owner=self._owner(owner), ttl=arguments.duration("ttl", ttl))
        drafts = arguments.drafts_of(messages, arguments.duration("expires_in", expires_in))
        request = self._request(request_id, "replace_all", create, owner, new.ttl, drafts)
        return await self.backend.replace_all(
            self._key(thread_id),
            drafts,
            create=new if create else None,
            if_match=arguments.etag_or_none(if_match),
            request=request,
        )

    async def sweep(self, *, limit: int = 1000) -> Swept:
        """Remove at most about `limit` rows of what has expired, for every tenant; call it until not `more`.

        What has expired is not given out in any case; this frees its space.
        """
        if type(limit) is not int or limit < 1:
            raise InvalidArgument(f"limit is a positive number of rows, not {limit!r}")
        return await self.backend.sweep(limit)

    async def erase(self, owner: str) -> Erased:
        """Remove every trace of an owner: threads, messages, results of requests, and the space they took.

        Not one atomic step: after a failure, call it again. Other owners' threads stay, whatever they say.
        """
        if self.owner not in (None, owner):
            raise InvalidArgument("a store that is scoped to an owner erases only that owner")
        named = arguments.text("owner", owner, arguments.MAX_OWNER_BYTES, empty=False)
        return await self.backend.erase(self.tenant, named)

    # Arguments

    def _key(self, thread_id: str) -> ThreadKey:
        named = arguments.text("a thread id", thread_id, arguments.MAX_THREAD_ID_BYTES)
        return ThreadKey(self.tenant, named, self.owner)

    def _owner(self, owner: str | None) -> str | None:
        if self.owner is not None and owner not in (None, self.owner):
            raise InvalidArgument("a store that is scoped to an owner serves no other owner")
        return self.owner or arguments.owner_or_none(owner)

    def new_id(self, request_id: str | None = None) -> str:
        """An id for a new thread: the one that `create_thread` and `fork` give it under this `request_id`."""
        if request_id is None:
            return uuid7()
        scope = "\0".join((self.tenant, self.owner or "", request_id))
        return hashlib.sha256(scope.encode()).hexdigest()[:32]

    async def _etag(self, key: ThreadKey) -> str | None:
        try:
            return (await self.backend.get_thread(key)).etag
        except ThreadNotFound:
            return None

    def _request(self, request_id: str | None, *what: object) -> Request | None:
        now = from_micros(self.backend.clock())
        return arguments.request_of(request_id, now, self.backend.request_window, what)
