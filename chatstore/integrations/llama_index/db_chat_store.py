"""`LlamaIndexAsyncDBChatStore`: an `AsyncDBChatStore`, which `Memory` keeps its messages in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

from chatstore.errors import ConfigurationError, Conflict, CursorExpired, ThreadNotFound
from chatstore.integrations.llama_index import histories
from chatstore.integrations.llama_index.faces import with_options
from chatstore.integrations.llama_index.histories import TRIES
from chatstore.integrations.llama_index.messages import read, write
from chatstore.integrations.statuses import (
    ACTIVE,
    ActiveReader,
    Entry,
    archived,
    mark,
    statuses,
    written,
)
from chatstore.models import Message
from chatstore.opening import aconnect
from chatstore.store import MAX_LIMIT, AsyncChatStore

__all__ = ["LlamaIndexAsyncDBChatStore"]

_PAGE_BYTES = 4 * 1024 * 1024
_FIRST_PAGE = 100


class _Active(NamedTuple):
    """A thread's active messages; `etag` names the log as it was read, None for an unknown thread."""

    messages: list[Message]
    etag: str | None


class LlamaIndexAsyncDBChatStore(AsyncDBChatStore):
    """The store behind LlamaIndex's `Memory`, kept by chatstore: every call is one atomic step.

    A key is a thread's id, as for `LlamaIndexChatStore`; use a key through one of the two. The order is
    that in which the store took the messages. What is returned is a snapshot. Storage that fails raises
    `chatstore.StorageError`; after ``asyncio.run`` ended, the next one may use the same store.
    """

    url: str | None = Field(default=None, description="Where threads are kept.")
    tenant: str = Field(default="default", description="Whose threads these are.")
    owner: str | None = Field(default=None, description="Whose threads alone these are.")
    ttl: float | None = Field(default=None, description="Seconds that a new thread lives; None for ever.")

    _store: AsyncChatStore = PrivateAttr()

    def __init__(
        self,
        url: str | None = None,
        *,
        tenant: str = "default",
        owner: str | None = None,
        ttl: float | None = None,
        store: AsyncChatStore | None = None,
    ) -> None:
        """Open `url`, or stand on a `store` that is open; see `from_url` and `from_store`."""
        if store is not None:
            tenant, owner = store.tenant, store.owner
        elif url is not None:
            opened = aconnect(url, tenant=tenant)
            store = opened if owner is None else AsyncChatStore(opened.backend, tenant=tenant, owner=owner)
        else:
            raise ConfigurationError("a LlamaIndexAsyncDBChatStore needs a url or an open store")
        super().__init__(url=url, tenant=tenant, owner=owner, ttl=ttl)  # type: ignore[call-arg]
        self._store = store

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex knows it."""
        return "LlamaIndexAsyncDBChatStore"

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        tenant: str = "default",
        owner: str | None = None,
        ttl: float | None = None,
        **options: object,
    ) -> Self:
        """The store at `url`; the arguments are those of `LlamaIndexChatStore.from_url`."""
        return cls(with_options(url, options), tenant=tenant, owner=owner, ttl=ttl)

    @classmethod
    def from_store(cls, store: AsyncChatStore, *, ttl: float | None = None) -> Self:
        """On a store that is open already, with its tenant and owner; it stays the caller's to close."""
        return cls(store=store, ttl=ttl)

    async def aclose(self) -> None:
        """Give back what the store holds; the next use opens it again."""
        await self._store.close()

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """The messages of a status (None: of each) in the store's order, `limit` of them after `offset`.

        For the active ones it reads back as far as they go, for the others the whole thread.
        """
        found = await self._messages(key, status)
        first = max(offset or 0, 0)
        return read(found[first:] if limit is None else found[first : first + max(limit, 0)])

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        """How many messages of a status there are; reads what `get_messages` would."""
        return len(await self._messages(key, status))

    async def add_message(
        self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Add one message at the end; one trip."""
        await self.add_messages(key, [message], status)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Add messages at the end, adjacent and visible together; one trip."""
        if messages:
            await self._store.append(key, *(_draft(message, status) for message in messages), ttl=self.ttl)

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Replace the messages of a status, and leave those of the other alone.

        Reads the whole thread and replaces it, again where somebody else was faster.
        """
        new = [Entry(write(message), status) for message in messages]

        def replaced(entries: list[Entry]) -> list[Entry]:
            return [*(entry for entry in entries if entry.status != status), *new]

        await self._rewrite(key, replaced, create=True)

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Take out and return the active message at `idx`, negative from the end; None where there is none.

        Rewrites the thread, as `set_messages` does.
        """
        taken = await self._take_active(key, slice(idx, idx + 1 or None))
        return taken[0] if taken else None

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Remove the thread in one trip; with a status its messages alone, by rewriting the thread."""
        if status is None:
            await self._store.delete_thread(key)
        else:
            await self._rewrite(key, lambda entries: [entry for entry in entries if entry.status != status])

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Take out and return the oldest `n` active messages, or all there are; rewrites the thread."""
        return await self._take_active(key, slice(max(n, 0)))

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Archive and return the oldest `n` active messages, or as many as there are.

        Reads the active messages and appends a mark under the condition that nobody added any.
        """
        for _ in range(TRIES):
            active, etag = await self._active(key)
            taken = active[: max(n, 0)]
            if not taken:
                return []
            try:
                await self._store.append(key, mark(len(active) - len(taken)), create=False, if_match=etag)
            except Conflict:
                continue
            return read(taken)
        raise Conflict(None)

    async def get_keys(self) -> list[str]:
        """Every thread's id, the most recently active first; one trip for each page."""
        return await histories.keys(self._store)

    async def _messages(self, key: str, status: MessageStatus | None) -> list[Message]:
        if status == MessageStatus.ACTIVE:
            return (await self._active(key)).messages
        found = await histories.history(self._store, key)
        return [entry.message for entry in statuses(found.messages) if status in (None, entry.status)]

    async def _active(self, key: str) -> _Active:
        """The active messages, read backwards in growing pages, again where the log is replaced meanwhile."""
        store = self._store
        for _ in range(TRIES):
            reader, limit = ActiveReader(), _FIRST_PAGE
            try:
                page = await store.read(key, last=limit, max_bytes=_PAGE_BYTES)
                etag = page.etag
                reader.take(page.items)
                while page.next is not None and not reader.done:
                    limit = min(limit * 2, MAX_LIMIT)
                    page = await store.read(key, before=page.next, limit=limit, max_bytes=_PAGE_BYTES)
                    reader.take(page.items)
            except CursorExpired:
                continue
            return _Active(reader.active, etag)
        raise CursorExpired

    async def _take_active(self, key: str, which: slice) -> list[ChatMessage]:
        """Take out those active messages that `which` picks among them."""
        taken: list[Message] = []

        def remaining(entries: list[Entry]) -> list[Entry]:
            active = [number for number, entry in enumerate(entries) if entry.status == ACTIVE]
            chosen = active[which]
            taken[:] = [entries[number].message for number in chosen]
            return [entry for number, entry in enumerate(entries) if number not in chosen]

        await self._rewrite(key, remaining)
        return read(taken)

    async def _rewrite(
        self, key: str, change: Callable[[list[Entry]], list[Entry]], *, create: bool = False
    ) -> None:
        """Replace a whole thread by what `change` makes of it, under the condition that nobody else wrote."""
        for _ in range(TRIES):
            found = await histories.history(self._store, key)
            if found.etag is None:
                if not create:
                    return
                await histories.create(self._store, key, self.ttl)
                continue
            before = statuses(found.messages)
            after = change(before)
            if after == before:
                return
            try:
                await histories.rewrite(self._store, key, written(after), found.etag)
            except (Conflict, ThreadNotFound):
                continue
            return
        raise Conflict(None)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __getstate__(self) -> dict[Any, Any]:
        return dict(self.__dict__)

    def __setstate__(self, state: dict[Any, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _draft(message: ChatMessage, status: MessageStatus) -> Message:
    return archived(write(message)) if status == MessageStatus.ARCHIVED else write(message)
