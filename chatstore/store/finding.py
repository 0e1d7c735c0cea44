"""The store's operations that find threads and messages: lists, counts, searches, what changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

from chatstore.codec import Json
from chatstore.contract import Listing, Query
from chatstore.errors import InvalidArgument
from chatstore.models import CHAT, Found, Page, Thread, ThreadCursor
from chatstore.store import arguments, properties
from chatstore.store.scoped import Scoped

__all__ = ["Finding"]

_PAGE_BYTES = 1024 * 1024
_SETTLED = timedelta(minutes=10)
"""How long after its time an activity is in every list: more than a write takes and lists are coarse by."""


class Finding(Scoped):
    """Finds threads by their properties and activity, and messages by their words."""

    async def list_threads(
        self,
        *,
        owner: str | None = None,
        active_since: datetime | None = None,
        active_before: datetime | None = None,
        created_since: datetime | None = None,
        created_before: datetime | None = None,
        topic_prefix: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        kind: str | None = CHAT,
        forked_from: str | None = None,
        oldest_first: bool = False,
        preview: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        max_bytes: int | None = None,
    ) -> Page[Thread]:
        """Threads, newest activity first: when messages were last added, or the thread was created.

        With `oldest_first` the order is reversed. A range includes its `since` and excludes its `before`.
        `topic_prefix` selects topics that begin with it, `metadata` selects threads that have each of its
        keys with an equal value, and `forked_from` selects the forks of a thread. `kind` selects a kind; None
        or ``"*"`` means every kind. With `preview` each thread has its `message_count` and the `preview` of
        its newest message, which is read for that.

        A page that filters may hold fewer than `limit`, even none, and still have a `next`: it looks through
        about 2 MiB of properties. With `max_bytes` a page ends early once its threads' properties have that
        much JSON, but it has at least one thread. Pages may miss a thread that becomes active while they are
        read.
        """
        listing = Listing(
            limit=arguments.page_limit(limit),
            owner=self._owner(owner),
            active_since=arguments.aware("active_since", active_since),
            active_before=arguments.aware("active_before", active_before),
            created_since=arguments.aware("created_since", created_since),
            created_before=arguments.aware("created_before", created_before),
            topic_prefix=arguments.topic_or_none(topic_prefix) or None,
            metadata=properties.metadata_of(metadata),
            kind=None if kind in (None, "*") else properties.kind_of(kind),
            forked_from=arguments.thread_id_or_none(forked_from),
            oldest_first=bool(oldest_first),
            preview=bool(preview),
            beyond=None if cursor is None else ThreadCursor.parse(cursor),
            max_bytes=arguments.page_bytes(max_bytes),
        )
        return await self.backend.list_threads(self.tenant, listing)

    async def iter_threads(
        self,
        *,
        owner: str | None = None,
        active_since: datetime | None = None,
        active_before: datetime | None = None,
        created_since: datetime | None = None,
        created_before: datetime | None = None,
        topic_prefix: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        kind: str | None = CHAT,
        forked_from: str | None = None,
        oldest_first: bool = False,
        preview: bool = False,
    ) -> AsyncIterator[Thread]:
        """All that `list_threads` would give, page after page, in constant memory."""
        cursor: str | None = None
        while True:
            page = await self.list_threads(
                owner=owner,
                active_since=active_since,
                active_before=active_before,
                created_since=created_since,
                created_before=created_before,
                topic_prefix=topic_prefix,
                metadata=metadata,
                kind=kind,
                forked_from=forked_from,
                oldest_first=oldest_first,
                preview=preview,
                cursor=cursor,
                max_bytes=_PAGE_BYTES,
            )
            for thread in page:
                yield thread
            if page.next is None:
                return
            cursor = page.next

    async def count_threads(self, *, owner: str | None = None, kind: str | None = CHAT) -> int:
        """How many threads an owner, or the whole tenant, has. Raises Unsupported if that is not cheap."""
        wanted = None if kind in (None, "*") else properties.kind_of(kind)
        return await self.backend.count_threads(self.tenant, self._owner(owner), wanted)

    async def changes(
        self, cursor: str | None = None, *, limit: int | None = None, kind: str | None = None
    ) -> Page[Thread]:
        """Threads in which messages were added, or that were created, since `cursor`, oldest activity first.

        Without a cursor it begins with the oldest thread. There is always a `next`: keep it, and pass it
        later to continue. A page of fewer than `limit` threads is the last for now. A thread comes at least
        once for each time that it became active. What was active in the last ten minutes comes again in the
        next round, so that no write under way is missed. Edits, changed properties and deletions are not
        reported. `kind` is None or ``"*"`` for every kind. Costs as much as a list.
        """
        again, at = _places(cursor)
        page = await self.list_threads(
            kind=kind, oldest_first=True, limit=limit, cursor=at, max_bytes=_PAGE_BYTES
        )
        # A write that is under way may still be given a time behind this one, so the next round begins there.
        settled = ThreadCursor(await self.now() - _SETTLED, "")
        reached = settled
        if page.next is not None:
            reached = ThreadCursor.parse(page.next)
        elif page.items:
            reached = ThreadCursor(page.items[-1].active_at, page.items[-1].id)
        if page.next is None and len(page) < arguments.page_limit(limit):
            following = again or min(reached, settled).text()
        elif again is None and reached <= settled:
            following = reached.text()
        else:
            following = f"{again or settled.text()}.{reached.text()}"
        return Page(page.items, next=following, cost=page.cost)

    async def search(
        self,
        text: str,
        *,
        owner: str | None = None,
        newest_first: bool = True,
        limit: int | None = None,
        cursor: str | None = None,
        max_bytes: int | None = None,
    ) -> Page[Found]:
        """Messages that have every word of `text`, with their threads and a snippet of each.

        Newest first, or the best first. Only conversations are searched: threads of the kind chat. With
        `max_bytes` a page ends early once its messages have that much text, but it has at least one. Raises
        Unsupported if the storage has no index of words.
        """
        words = arguments.text("text", text, arguments.MAX_TOPIC_BYTES)
        if not words.strip():
            raise InvalidArgument("search needs a word to look for")
        query = Query(
            words,
            arguments.page_limit(limit),
            self._owner(owner),
            bool(newest_first),
            cursor,
            arguments.page_bytes(max_bytes),
        )
        return await self.backend.search(self.tenant, query)


def _places(cursor: str | None) -> tuple[str | None, str | None]:
    """Where the next round of `changes` begins, if this one is past that, and where this one goes on.

    Raises InvalidCursor.
    """
    again, _, at = (cursor or "").rpartition(".")
    if again:
        ThreadCursor.parse(again)
    return again or None, at or None
