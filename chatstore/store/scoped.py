"""What every part of the store rests on: a backend, and whose threads are meant."""

from __future__ import annotations

import hashlib
from datetime import datetime
from types import TracebackType
from typing import Self

from chatstore.clocks import ServerClock, present
from chatstore.contract import Backend, Request, ThreadKey
from chatstore.errors import InvalidArgument, ThreadNotFound
from chatstore.ids import uuid7
from chatstore.models import from_micros
from chatstore.store import arguments

__all__ = ["Scoped"]


class Scoped:
    """A backend scoped to a tenant, and perhaps to an owner."""

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

    def for_tenant(self, tenant: str) -> Self:
        """The same store, scoped to another tenant and to no owner. Closing it leaves the backend open."""
        return type(self)(self.backend, tenant=tenant, owns_backend=False)

    def for_owner(self, owner: str) -> Self:
        """The same store, scoped to one owner's threads; new ones are the owner's.

        A thread of another owner does not exist here. But its id is taken, so creating it raises
        ThreadExists. Request ids are remembered for each owner separately. Closing it leaves the backend
        open.
        """
        return type(self)(self.backend, tenant=self.tenant, owner=owner, owns_backend=False)

    async def close(self) -> None:
        """Give back what the backend holds; the next use opens it again."""
        if self._owns_backend:
            await self.backend.close()

    async def ping(self) -> None:
        """Return if the storage answers; raise StorageError if it does not. Costs a trip."""
        await self.backend.ping()

    async def now(self) -> datetime:
        """The time by which messages are stamped and expire: a server's, if one keeps the threads.

        Costs a trip if no answer of the server has come yet.
        """
        return from_micros(await present(self.backend.clock, self.backend.ping))

    async def must_exist(self) -> None:
        """Raise ConfigurationError if there is no storage yet and the first use would make one."""
        await self.backend.must_exist()

    async def prepare(self) -> None:
        """Make what the storage needs before its first use, such as a table. Safe to repeat."""
        await self.backend.prepare()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

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
        if request_id is None:
            return None
        clock = self.backend.clock
        now = None if isinstance(clock, ServerClock) and clock.offset is None else clock()
        return arguments.request_of(request_id, now, self.backend.request_window, what)
