"""`LlamaIndexChatStore`: a `BaseChatStore` on any of chatstore's backends."""

from __future__ import annotations

from typing import Any, Self

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.storage.chat_store.base import BaseChatStore

from chatstore.errors import ConfigurationError
from chatstore.integrations.llama_index import histories
from chatstore.integrations.llama_index.faces import Faces, with_options
from chatstore.integrations.llama_index.histories import History
from chatstore.integrations.llama_index.messages import read, write
from chatstore.integrations.llama_index.replacing import LastReading, Reading, replace
from chatstore.models import Message
from chatstore.store import AsyncChatStore, ChatStore

__all__ = ["LlamaIndexChatStore"]


class LlamaIndexChatStore(BaseChatStore):
    """LlamaIndex's chat store with the semantics of its `SimpleChatStore`, kept by chatstore.

    A key is a thread's id: any string of up to 1,024 bytes of UTF-8, the empty one included; a longer
    one raises InvalidArgument. What is returned is a snapshot: changing it changes nothing in the store.
    The blocking methods may be called from any thread and inside a running loop, which they block; the
    asynchronous ones across calls of ``asyncio.run``. Storage that fails raises `chatstore.StorageError`.

    Written as a component it keeps its URL, tenant, owner and ttl, and no messages: reading it back opens
    the same store. Credentials belong into the environment, not into the URL.
    """

    url: str | None = Field(default=None, description="Where threads are kept.")
    tenant: str = Field(default="default", description="Whose threads these are.")
    owner: str | None = Field(default=None, description="Whose threads alone these are.")
    ttl: float | None = Field(default=None, description="Seconds that a new thread lives; None for ever.")

    _faces: Faces = PrivateAttr()
    _last: LastReading = PrivateAttr(default_factory=LastReading)

    def __init__(
        self,
        url: str | None = None,
        *,
        tenant: str = "default",
        owner: str | None = None,
        ttl: float | None = None,
        store: ChatStore | None = None,
        asynchronous: AsyncChatStore | None = None,
        class_name: str | None = None,  # noqa: ARG002 - a part of what LlamaIndex writes
    ) -> None:
        """Open `url`, or stand on a `store` that is open; see `from_url` and `from_store`.

        Raises ConfigurationError without either, and for a URL that cannot be used.
        """
        if store is not None:
            tenant, owner = store.tenant, store.owner
        super().__init__(url=url, tenant=tenant, owner=owner, ttl=ttl)  # type: ignore[call-arg]
        if store is not None:
            self._faces = Faces.of(store, asynchronous)
        elif url is not None:
            self._faces = Faces.open(url, tenant, owner)
        else:
            raise ConfigurationError(
                "a LlamaIndexChatStore needs a url; one made from an open store cannot be read back"
            )

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex writes and finds it."""
        return "LlamaIndexChatStore"

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
        """The store at `url`, such as ``sqlite:///chat.db``; connects on first use.

        `owner` confines it to one owner's threads, `ttl` is in seconds and given to new threads; further
        `options` are the URL's own (``synchronous="NORMAL"``). Raises ConfigurationError.
        """
        return cls(with_options(url, options), tenant=tenant, owner=owner, ttl=ttl)

    @classmethod
    def from_store(
        cls, store: ChatStore, asynchronous: AsyncChatStore | None = None, *, ttl: float | None = None
    ) -> Self:
        """On a store that is open already, with its tenant and owner.

        `asynchronous` is the same store for event loops; without it asynchronous calls run in threads.
        """
        return cls(store=store, asynchronous=asynchronous, ttl=ttl)

    def close(self) -> None:
        """Give back what blocking calls hold; the next use opens it again."""
        self._faces.close()

    async def aclose(self) -> None:
        """Give back what both kinds of calls hold."""
        await self._faces.aclose()

    # Blocking

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Replace the history of `key` at once, making the key if need be; one trip.

        Directly after this thread's `get_messages` of `key`, perhaps with `delete_messages` between, it
        replaces what was read: what others have added since stays, behind `messages`.
        """
        reading = self._last.take(key)
        drafts = [write(message) for message in messages]
        self._faces.call(lambda store: replace(store, key, drafts, self.ttl, reading))

    def get_messages(self, key: str) -> list[ChatMessage]:
        """The history of `key`, none for an unknown one; a trip for each 1,000 messages or 4 MiB."""
        found = self._faces.call(lambda store: histories.history(store, key))
        self._last.reading = Reading(key, found)
        return read(found.messages)

    def add_message(self, key: str, message: ChatMessage, idx: int | None = None) -> None:
        """Add at the end, one trip; with `idx` as ``list.insert`` does. Makes the key if need be."""
        self._last.take()
        self._faces.call(lambda store: self._add(store, key, write(message), idx))

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Remove `key` and return its history; None for an unknown one. Two trips.

        A history that LlamaIndex cannot hold is removed all the same, before CorruptData is raised.
        """
        reading = self._last.take(key)
        found = self._faces.call(lambda store: histories.delete(store, key))
        if reading is not None:
            self._last.reading = reading.deleted(found.messages)
        return _read_all(found)

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Take out and return one message; None for an unknown key and where there is no such message.

        Raises CorruptData for a message that LlamaIndex cannot hold, which is deleted all the same.
        """
        self._last.take()
        return _read_one(self._faces.call(lambda store: histories.delete_at(store, key, idx)))

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Take out and return the newest; None for an unknown key and for an empty history."""
        self._last.take()
        return _read_one(self._faces.call(lambda store: histories.delete_at(store, key, -1)))

    def get_keys(self) -> list[str]:
        """Every key, the most recently active first; one trip for each page."""
        return self._faces.call(histories.keys)

    # The same awaited

    async def aset_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """`set_messages`, always replacing everything."""
        self._last.take()
        drafts = [write(message) for message in messages]
        await self._faces.acall(lambda store: replace(store, key, drafts, self.ttl))

    async def aget_messages(self, key: str) -> list[ChatMessage]:
        """`get_messages`."""
        found = await self._faces.acall(lambda store: histories.history(store, key))
        return read(found.messages)

    async def async_add_message(self, key: str, message: ChatMessage, idx: int | None = None) -> None:
        """`add_message`."""
        self._last.take()
        await self._faces.acall(lambda store: self._add(store, key, write(message), idx))

    async def adelete_messages(self, key: str) -> list[ChatMessage] | None:
        """`delete_messages`."""
        self._last.take()
        return _read_all(await self._faces.acall(lambda store: histories.delete(store, key)))

    async def adelete_message(self, key: str, idx: int) -> ChatMessage | None:
        """`delete_message`."""
        self._last.take()
        return _read_one(await self._faces.acall(lambda store: histories.delete_at(store, key, idx)))

    async def adelete_last_message(self, key: str) -> ChatMessage | None:
        """`delete_last_message`."""
        self._last.take()
        return _read_one(await self._faces.acall(lambda store: histories.delete_at(store, key, -1)))

    async def aget_keys(self) -> list[str]:
        """`get_keys`."""
        return await self._faces.acall(histories.keys)

    async def _add(self, store: AsyncChatStore, key: str, message: Message, idx: int | None) -> None:
        if idx is None:
            await store.append(key, message, ttl=self.ttl)
        else:
            await histories.insert(store, key, message, idx, self.ttl)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __getstate__(self) -> dict[Any, Any]:
        return {"__dict__": dict(self.__dict__)}


def _read_all(found: History) -> list[ChatMessage] | None:
    return None if found.etag is None else read(found.messages)


def _read_one(message: Message | None) -> ChatMessage | None:
    return None if message is None else read([message])[0]
