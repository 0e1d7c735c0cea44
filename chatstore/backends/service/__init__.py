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
from typing import Any
from urllib.parse import quote, urlsplit

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
    Cut,
    Draft,
    Listing,
    MetadataPatch,
    NewThread,
    Query,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
    Unset,
    system_clock,
)
from chatstore.errors import ConfigurationError, MessageNotFound
from chatstore.models import Appended, Deleted, Erased, Found, Message, Page, Thread, ThreadCursor
from chatstore.settings import Settings
from chatstore.thread_form import thread_of
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
            f"the URL of a service ends before /v1 and /docs: write {url.scheme}://{url.host}{prefix}"
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
            # Whether the service's own storage has these two is known to that alone: if not, calls say so.
            Capability.COUNT,
            Capability.SEARCH,
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
        body = {"id": key.id} | forms.new_thread(new)
        meant = Meant(key.id, new_thread=key.id)
        return await self._connection.write(
            thread_of,
            "POST",
            self._threads_path(key.tenant, key.owner),
            forms.as_json(body),
            None,
            request,
            meant,
        )

    async def get_thread(self, key: ThreadKey) -> Thread:
        return await self._connection.call(thread_of, "GET", self._thread_path(key), meant=Meant(key.id))

    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        given, path = forms.as_json(forms.patch(patch)), self._thread_path(key)
        return await self._connection.write(thread_of, "PATCH", path, given, if_match, request, Meant(key.id))

    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        path = self._thread_path(key)
        return await self._connection.write(
            forms.deleted, "DELETE", path, None, if_match, request, Meant(key.id)
        )

    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        path = self._threads_path(tenant, self._owner)
        page = await self._connection.call(forms.threads, "GET", path, query=forms.listing(listing))
        # A query can ask for texts only; whatever else is wanted is looked for here.
        found = tuple(thread for thread in page if has_metadata(thread.metadata, listing.metadata))
        kept = found[: fitting(found, listing.max_bytes)]
        if len(kept) < len(found):
            return Page(kept, next=ThreadCursor(kept[-1].active_at, kept[-1].id).text())
        return Page(found, next=page.next)

    async def count_threads(self, tenant: str, owner: str | None, kind: str | None) -> int:
        path = f"{self._base(tenant, self._owner)}/count"
        query = [("kind", kind or "*"), *([] if owner is None else [("owner", owner)])]
        return await self._connection.call(lambda form: int(form["threads"]), "GET", path, query=query)

    async def search(self, tenant: str, query: Query) -> Page[Found]:
        path = f"{self._base(tenant, self._owner)}/search"
        return await self._connection.call(forms.found, "GET", path, query=forms.search(query))

    async def fork(
        self,
        source: ThreadKey,
        key: ThreadKey,
        cut: Cut | None,
        *,
        patch: ThreadPatch | None = None,
        owner: str | Unset | None = UNSET,
        if_match: str | None,
        request: Request | None,
    ) -> Thread:
        path = f"{self._thread_path(source)}/fork"
        form: dict[str, Any] = {"id": key.id} | ({} if patch is None else forms.patch(patch))
        if cut is not None:
            form["through" if cut.behind else "before"] = cut.message
        if not isinstance(owner, Unset):
            form["owner"] = owner
        meant = Meant(source.id, message="" if cut is None else cut.message, new_thread=key.id)
        return await self._connection.write(
            thread_of, "POST", path, forms.as_json(form), if_match, request, meant
        )

    # Messages

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
        path, meant = self._messages_path(key), Meant(key.id, "" if cut is None else cut.message)
        if cut is not None and not drafts:
            path = f"{path}?{'after' if cut.behind else 'from'}={quote(cut.message, safe='')}"
            return await self._connection.write(
                forms.appended, "DELETE", path, None, if_match, request, meant
            )
        body = forms.turn(drafts, create, cut, patch, if_thread)
        return await self._connection.write(forms.appended, "POST", path, body, if_match, request, meant)

    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        path, query = self._messages_path(key), forms.query(span)
        meant = Meant(key.id, span.after_message or span.before_message or "")
        page = await self._connection.call(forms.messages, "GET", path, query=query, meant=meant)
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
        path, meant = await self._message_path(key, message_id), Meant(key.id, message_id)
        if draft is not None and metadata is None and if_thread is None:
            body = draft.text.encode()
            return await self._connection.write(forms.message, "PUT", path, body, if_match, request, meant)
        body = forms.change(draft, metadata or MetadataPatch({}), if_thread)
        return await self._connection.write(forms.message, "PATCH", path, body, if_match, request, meant)

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
                "a service serves one tenant, which its settings name; if it is this one, add ?tenant="
            )
        if owner not in (None, self._owner):
            raise ConfigurationError(
                f"{self._connection.address} is not opened for the owner {owner!r}: the service "
                "decides whose threads a caller sees; if they are only this owner's, add ?owner= to the URL"
            )
        return "/v1"

    def _threads_path(self, tenant: str, owner: str | None) -> str:
        return f"{self._base(tenant, owner)}/threads"

    def _thread_path(self, key: ThreadKey) -> str:
        return f"{self._threads_path(key.tenant, key.owner)}/{paths.segment(key.id)}"

    def _messages_path(self, key: ThreadKey) -> str:
        return f"{self._thread_path(key)}/messages"

    async def _message_path(self, key: ThreadKey, message_id: str) -> str:
        segment = paths.segment(message_id)
        if not re.fullmatch(paths.MESSAGE_PATTERN, segment):
            await self.get_thread(key)  # which may be the one that is missing
            raise MessageNotFound(key.id, message_id)
        return f"{self._messages_path(key)}/{segment}"
