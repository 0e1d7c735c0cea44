"""The store's operations for backups: which tenants there are, and threads taken back as they were."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from chatstore.contract import ThreadKey
from chatstore.errors import InvalidArgument
from chatstore.models import Appended, Message, Thread
from chatstore.store import arguments, drafts, properties
from chatstore.store.scoped import Scoped

__all__ = ["Restoring"]

_TENANTS = 100


class Restoring(Scoped):
    """What a backup needs beside reading."""

    async def iter_tenants(self) -> AsyncIterator[str]:
        """Names of all tenants of the storage, including those for a service's own data.

        A tenant that has no threads any more may still be named.
        """
        if self.owner is not None:
            raise InvalidArgument("a store that is scoped to an owner knows no other tenants")
        after: str | None = None
        while True:
            page = await self.backend.list_tenants(after, _TENANTS)
            for tenant in page:
                yield tenant
            if page.next is None:
                return
            after = page.next

    async def restore(
        self, thread: Thread, messages: Sequence[Message] = (), *, if_match: str | None = None
    ) -> Appended:
        """Take a thread back as it was: its properties, and messages with their ids and times at its end.

        Without `if_match` it makes the thread, or raises ThreadExists. With the log's etag it adds to a
        thread, or raises Conflict. It takes as many of the first messages as the storage writes in one atomic
        step, and returns those: call it again for the rest. What had expired stays expired. Etags and
        positions are new. With nothing new it changes nothing, but makes sure that lists have the thread.
        Raises InvalidArgument for a message without an id or a time.
        """
        if self.owner not in (None, thread.owner):
            raise InvalidArgument("a store that is scoped to an owner restores only that owner's threads")
        if len(messages) > arguments.MAX_LIMIT:
            raise InvalidArgument(f"restore takes at most {arguments.MAX_LIMIT:,} messages at once")
        key = ThreadKey(self.tenant, arguments.text("a thread id", thread.id, arguments.MAX_THREAD_ID_BYTES))
        return await self.backend.restore(
            key,
            properties.thread_of(thread),
            [drafts.kept_message(message) for message in messages],
            if_match=arguments.etag_or_none(if_match),
        )
