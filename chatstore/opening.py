"""Opens a store by its URL."""

from __future__ import annotations

from chatstore.contract import Clock, system_clock
from chatstore.settings import Settings
from chatstore.store import AsyncChatStore, ChatStore
from chatstore.store.arguments import callers_tenant
from chatstore.urls import Url, open_backend

__all__ = ["aconnect", "connect", "is_service"]


def connect(
    url: str | None = None,
    *,
    tenant: str | None = None,
    token: str | None = None,
    clock: Clock = system_clock,
) -> ChatStore:
    """The store at `url`, for callers that block; ``CHATSTORE_URL`` without one.

    Connects on first use. `tenant` is ``CHATSTORE_TENANT`` or ``"default"`` unless given. A running
    service is shown `token`, an API key or a token of its issuer, or ``CHATSTORE_TOKEN``. `clock` is
    the time by which things are stamped and expire. Raises ConfigurationError, and InvalidArgument for
    a tenant whose name begins with ``chatstore:``.
    """
    settings = Settings.from_environment()
    backend = open_backend(settings.url if url is None else url, blocking=True, clock=clock, token=token)
    return ChatStore(backend, tenant=callers_tenant(settings.tenant if tenant is None else tenant))


def aconnect(
    url: str | None = None,
    *,
    tenant: str | None = None,
    token: str | None = None,
    clock: Clock = system_clock,
) -> AsyncChatStore:
    """Open the store that a URL names, for an event loop; use it with ``async with``, or close it.

    One that is kept at module level serves call after call of ``asyncio.run``.
    """
    settings = Settings.from_environment()
    backend = open_backend(settings.url if url is None else url, blocking=False, clock=clock, token=token)
    return AsyncChatStore(backend, tenant=callers_tenant(settings.tenant if tenant is None else tenant))


def is_service(url: str | None = None) -> bool:
    """Whether `url`, or ``CHATSTORE_URL`` without one, is of a running service and not of a storage."""
    named = Settings.from_environment().url if url is None else url
    return Url.parse(named).scheme in {"http", "https"}
