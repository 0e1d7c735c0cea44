"""`ChatStore`: the other face, stepped to its end without an event loop."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from chatstore.blocking import iterate, run
from chatstore.contract import Backend
from chatstore.store.asynchronous import AsyncChatStore

__all__ = ["ChatStore"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[AsyncChatStore, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[ChatStore, P], R]:
    """`method` for a caller that blocks: same arguments, same result, run to its end at once."""

    @functools.wraps(method)
    def call(self: ChatStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return run(method(self._source, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[AsyncChatStore, P], AsyncIterator[T]],
) -> Callable[Concatenate[ChatStore, P], Iterator[T]]:
    """The same for a method that yields."""

    @functools.wraps(method)
    def call(self: ChatStore, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return iterate(method(self._source, *args, **kwargs))

    return call


class ChatStore:
    """`AsyncChatStore` for callers that block: the same methods, arguments, results and errors.

    Safe to use from any thread, inside a running event loop (which it blocks), and after a fork.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        tenant: str = "default",
        owner: str | None = None,
        owns_backend: bool = True,
    ) -> None:
        self._source = AsyncChatStore(backend, tenant=tenant, owner=owner, owns_backend=owns_backend)

    @property
    def backend(self) -> Backend:
        """What keeps the threads."""
        return self._source.backend

    @property
    def tenant(self) -> str:
        """Whose threads these are."""
        return self._source.tenant

    @property
    def owner(self) -> str | None:
        """Whose threads alone these are; None for everybody's."""
        return self._source.owner

    def for_tenant(self, tenant: str) -> ChatStore:
        """The same store, scoped to another tenant and to no owner. Closing it leaves the backend open."""
        return ChatStore(self.backend, tenant=tenant, owns_backend=False)

    def for_owner(self, owner: str) -> ChatStore:
        """The same store, scoped to one owner's threads, as `AsyncChatStore.for_owner` says."""
        return ChatStore(self.backend, tenant=self.tenant, owner=owner, owns_backend=False)

    def __enter__(self) -> ChatStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    close = _blocking(AsyncChatStore.close)
    ping = _blocking(AsyncChatStore.ping)
    now = _blocking(AsyncChatStore.now)
    must_exist = _blocking(AsyncChatStore.must_exist)
    prepare = _blocking(AsyncChatStore.prepare)
    create_thread = _blocking(AsyncChatStore.create_thread)
    get_thread = _blocking(AsyncChatStore.get_thread)
    update_thread = _blocking(AsyncChatStore.update_thread)
    delete_thread = _blocking(AsyncChatStore.delete_thread)
    list_threads = _blocking(AsyncChatStore.list_threads)
    iter_threads = _iterating(AsyncChatStore.iter_threads)
    count_threads = _blocking(AsyncChatStore.count_threads)
    changes = _blocking(AsyncChatStore.changes)
    search = _blocking(AsyncChatStore.search)
    fork = _blocking(AsyncChatStore.fork)
    append = _blocking(AsyncChatStore.append)
    truncate = _blocking(AsyncChatStore.truncate)
    read = _blocking(AsyncChatStore.read)
    read_entries = _blocking(AsyncChatStore.read_entries)
    window = _blocking(AsyncChatStore.window)
    iter_messages = _iterating(AsyncChatStore.iter_messages)
    get_message = _blocking(AsyncChatStore.get_message)
    insert = _blocking(AsyncChatStore.insert)
    replace_message = _blocking(AsyncChatStore.replace_message)
    update_message = _blocking(AsyncChatStore.update_message)
    delete_message = _blocking(AsyncChatStore.delete_message)
    pop = _blocking(AsyncChatStore.pop)
    clear = _blocking(AsyncChatStore.clear)
    replace_all = _blocking(AsyncChatStore.replace_all)
    sweep = _blocking(AsyncChatStore.sweep)
    erase = _blocking(AsyncChatStore.erase)
    erase_tenant = _blocking(AsyncChatStore.erase_tenant)
    iter_tenants = _iterating(AsyncChatStore.iter_tenants)
    restore = _blocking(AsyncChatStore.restore)
