"""The store's operations on threads and owners."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime

from chatstore.codec import Json
from chatstore.conditions import require_fitting
from chatstore.contract import ABSENT, UNSET, Listing, NewThread, ThreadPatch, Unset
from chatstore.errors import Conflict, InvalidArgument
from chatstore.models import Deleted, Erased, Page, Participant, Swept, Thread, ThreadCursor
from chatstore.store import arguments
from chatstore.store.scoped import Scoped

__all__ = ["Threads"]

_PAGE_BYTES = 1024 * 1024


class Threads(Scoped):
    """Creates, finds, changes and removes threads."""

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
        require_fitting(new)
        request = self._request(
            request_id, "create_thread", thread_id, topic, owner, new.metadata, new.participants, new.ttl
        )
        key = self._key(self.new_id(request_id) if thread_id is None else thread_id)
        if arguments.etag_or_none(if_match) not in (None, ABSENT):
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
        max_bytes: int | None = None,
    ) -> Page[Thread]:
        """Threads, newest activity first: when messages were last added, or the thread was created.

        `metadata` selects threads that have each of its keys with an equal value. Such a page may
        hold fewer than `limit`, even none, and still have a `next`: it looks through about 2 MiB of
        metadata. With `max_bytes` a page ends early once its threads' properties are that much JSON,
        never without a thread. A thread that becomes active while pages are read may be missed by them.
        """
        listing = Listing(
            limit=arguments.page_limit(limit),
            owner=self._owner(owner),
            active_since=arguments.aware("active_since", active_since),
            metadata=arguments.metadata_of(metadata),
            before=None if cursor is None else ThreadCursor.parse(cursor),
            max_bytes=arguments.page_bytes(max_bytes),
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
                owner=owner,
                active_since=active_since,
                metadata=metadata,
                cursor=cursor,
                max_bytes=_PAGE_BYTES,
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

    async def erase_tenant(self) -> Erased:
        """Remove every trace of the store's tenant, as `erase` does of an owner; its name may stay."""
        if self.owner is not None:
            raise InvalidArgument("a store that is scoped to an owner erases only that owner")
        return await self.backend.erase(self.tenant, None)
