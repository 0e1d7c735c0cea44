"""A running chatstore service as a backend, over its HTTP API.

The URL is ``http://127.0.0.1:8080`` or ``https://host/prefix``. A token is given beside it if the service
asks for one. The options are ``timeout`` (seconds for an answer, 30 by default), ``tenant`` and ``owner``.
The service decides which tenant it serves, and whether it shows only one owner's threads; the options
repeat that. A call for a tenant other than ``tenant`` (``default`` by default), or for another owner's
threads, is refused and not sent.

Every mutation carries a request id, the caller's or a new one, so it is safe to repeat. If a connection
fails, or the answer is 429 or 503, the request is tried again a few times. The pauses grow and are
random, and the number of repetitions is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from chatstore import paths
from chatstore.backends.service import forms
from chatstore.backends.service.connection import Connection, Meant
from chatstore.clocks import ServerClock, followed
from chatstore.conditions import fitting, has_metadata
from chatstore.contract import (
    UNSET,
    Backend,
    Capability,
    Clock,
    Draft,
    Listing,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
    system_clock,
)
from chatstore.errors import ConfigurationError, MessageNotFound
from chatstore.models import Appended, Deleted, Erased, Message, Page, Thread, ThreadCursor, rfc3339
from chatstore.settings import Settings
from chatstore.urls import Url

__all__ = ["ServiceBackend", "open_service"]

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_SHOW_TOKEN = "set CHATSTORE_TOKEN, or pass token= to connect"  # noqa: S105 - says where one goes


def open_service(url: Url, *, blocking: bool, clock: Clock) -> ServiceBackend:
    """``http://host:port/prefix?timeout=30&tenant=default&owner=``; nothing is sent before the first use."""
    if {"token", "key", "api_key", "access_token"} & set(url.options):
        raise ConfigurationError(f"a URL is no place for a token: {_SHOW_TOKEN}")
    url.allow("timeout", "tenant", "owner")
    if "@" in url.host:
        raise ConfigurationError(f"{url.scheme}:// takes no credentials: {_SHOW_TOKEN}")
    path = url.path.rstrip("/")
    if path.endswith(("/v1", "/docs")) or "/v1/" in path:
        prefix = re.split(r"/(v1|docs)(/|$)", path)[0]
        raise ConfigurationError(
            f"a service is named by where it begins, without what follows: {url.scheme}://{url.host}{prefix}"
        )
    address = f"{url.scheme}://{url.host}{path}"
    token = Settings.from_environment().token if url.token is None else url.token
    if token and url.scheme == "http" and urlsplit(address).hostname not in _LOOPBACK:
        raise ConfigurationError(
            f"a token is not sent to {address}, where others could read it: use https://"
        )
    clock = followed(clock)
    told = clock if isinstance(clock, ServerClock) else None
    connection = Connection(
        address, blocking=blocking, seconds=url.seconds("timeout", 30), token=token, clock=told
    )
    tenant, owner = url.options.get("tenant", "default"), url.options.get("owner")
    return ServiceBackend(connection, tenant, owner, clock)


class ServiceBackend(Backend):
    """Threads of a running service: of the one tenant that it serves its caller."""

    name = "service"
    capabilities = frozenset(
        {
            Capability.LIST,
            Capability.EDIT,
            Capability.FORK,
            Capability.EXPIRY,
            Capability.REQUESTS,
            Capability.ERASE,
            Capability.RESTORE,
            Capability.DURABLE,
            Capability.SHARED,
        }
    )

    def __init__(
        self, connection: Connection, tenant: str, owner: str | None = None, clock: Clock = system_clock
    ) -> None:
        self.clock = clock
        self._connection = connection
        self._tenant = tenant
        self._owner = owner

    async def close(self) -> None:
        await self._connection.close()

    async def ping(self) -> None:
        await self._connection.call(bool, "GET", "/readyz", tries=1)

    # Threads

    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        body = {
            "id": key.id,
            "topic": new.topic,
            "owner": new.owner,
            "metadata": new.metadata,
            "participants": forms.participants(new.participants),
        } | forms.ttl(new.ttl)
        meant = Meant(key.id, new_thread=key.id)
        return await self._connection.write(
            forms.thread,
            "POST",
            self._threads_path(key.tenant, key.owner),
            forms.as_json(body),
            None,
            request,
            meant,
        )

    async def get_thread(self, key: ThreadKey) -> Thread:
        return await self._connection.call(forms.thread, "GET", self._thread_path(key), meant=Meant(key.id))

    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        people = patch.participants
        body = {
            "topic": patch.topic,
            "metadata": patch.metadata,
            "participants": forms.participants(people) if isinstance(people, tuple) else people,
            "ttl": forms.seconds(patch.ttl) if isinstance(patch.ttl, timedelta) else patch.ttl,
        }
        given = forms.as_json({name: value for name, value in body.items() if value is not UNSET})
        path = self._thread_path(key)
        return await self._connection.write(
            forms.thread, "PATCH", path, given, if_match, request, Meant(key.id)
        )

    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        path = self._thread_path(key)
        return await self._connection.write(
            forms.deleted, "DELETE", path, None, if_match, request, Meant(key.id)
        )

    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        query = [("limit", str(listing.limit))]
        if listing.owner is not None:
            query.append(("owner", listing.owner))
        if listing.active_since is not None:
            query.append(("active_since", rfc3339(listing.active_since)))
        if listing.before is not None:
            query.append(("cursor", ThreadCursor(*listing.before).text()))
        # A query can ask for texts only; whatever else is wanted is looked for here.
        for name, value in listing.metadata.items():
            if isinstance(value, str) and name and not set("[]") & set(name):
                query.append((f"metadata[{name}]", value))
        path = self._threads_path(tenant, self._owner)
        page = await self._connection.call(forms.threads, "GET", path, query=query)
        found = tuple(thread for thread in page if has_metadata(thread.metadata, listing.metadata))
        kept = found[: fitting(found, listing.max_bytes)]
        if len(kept) < len(found):
            return Page(kept, next=ThreadCursor(kept[-1].active_at, kept[-1].id).text())
        return Page(found, next=page.next)

    async def fork(
        self,
        source: ThreadKey,
        key: ThreadKey,
        through: str | None,
        *,
        if_match: str | None,
        request: Request | None,
    ) -> Thread:
        path = f"{self._thread_path(source)}/fork"
        body = forms.as_json({"id": key.id, "through": through})
        meant = Meant(source.id, message=through or "", new_thread=key.id)
        return await self._connection.write(forms.thread, "POST", path, body, if_match, request, meant)

    # Messages

    async def append(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        path, body = self._messages_path(key), forms.turn(drafts, create)
        return await self._connection.write(
            forms.appended, "POST", path, body, if_match, request, Meant(key.id)
        )

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        path, query = self._messages_path(key), forms.query(span)
        page = await self._connection.call(forms.messages, "GET", path, query=query, meant=Meant(key.id))
        return page if span.max_bytes is None else forms.shortened(page, span, span.max_bytes)

    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        path = await self._message_path(key, message_id)
        return await self._connection.call(forms.message, "GET", path, meant=Meant(key.id, message_id))

    async def replace_all(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        path, body = self._messages_path(key), forms.turn(drafts, create)
        return await self._connection.write(
            forms.appended, "PUT", path, body, if_match, request, Meant(key.id)
        )

    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        path = self._messages_path(key)
        return await self._connection.write(
            forms.deleted, "DELETE", path, None, if_match, request, Meant(key.id)
        )

    async def replace_message(
        self, key: ThreadKey, message_id: str, draft: Draft, *, if_match: str | None, request: Request | None
    ) -> Message:
        path, body = await self._message_path(key, message_id), draft.text.encode()
        meant = Meant(key.id, message_id)
        return await self._connection.write(forms.message, "PUT", path, body, if_match, request, meant)

    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        if isinstance(message, int):
            raise self._unsupported(Capability.INDEX)
        path = await self._message_path(key, message)
        return await self._connection.write(
            forms.message, "DELETE", path, None, if_match, request, Meant(key.id, message)
        )

    async def erase(self, tenant: str, owner: str | None) -> Erased:
        named = f"tenants/{paths.segment(tenant)}" if owner is None else f"owners/{paths.segment(owner)}"
        path = f"{self._base(tenant, self._owner)}/{named}"
        return await self._connection.call(forms.erased, "DELETE", path)

    # Backups

    async def restore(
        self, key: ThreadKey, thread: Thread, messages: Sequence[Message], *, if_match: str | None
    ) -> Appended:
        path = f"{self._thread_path(key)}/restore"
        body, meant = forms.restoration(thread, messages), Meant(key.id, new_thread=key.id)
        return await self._connection.repeatable(forms.appended, "POST", path, body, if_match, meant)

    # Paths

    def _base(self, tenant: str, owner: str | None) -> str:
        if tenant != self._tenant:
            raise ConfigurationError(
                f"{self._connection.address} is opened for the tenant {self._tenant!r}, not {tenant!r}: "
                "which one a service serves is its own setting; if this is it, add ?tenant= to the URL"
            )
        if owner not in (None, self._owner):
            raise ConfigurationError(
                f"{self._connection.address} is not opened for the owner {owner!r}: whose threads a caller "
                "sees is the service's to say; if they are this owner's alone, add ?owner= to the URL"
            )
        return "/v1"

    def _threads_path(self, tenant: str, owner: str | None) -> str:
        return f"{self._base(tenant, owner)}/threads"

    def _thread_path(self, key: ThreadKey) -> str:
        return f"{self._threads_path(key.tenant, key.owner)}/{paths.segment(key.id)}"

    def _messages_path(self, key: ThreadKey) -> str:
        return f"{self._thread_path(key)}/messages"

    async def _message_path(self, key: ThreadKey, message_id: str) -> str:
        if message_id in {".", ".."} or not re.fullmatch(paths.MESSAGE_PATTERN, message_id):
            await self.get_thread(key)  # which may be the one that is missing
            raise MessageNotFound(key.id, message_id)
        return f"{self._messages_path(key)}/{message_id}"
