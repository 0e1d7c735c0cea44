"""Goes over everything that a store has: its tenants, their threads, and each thread's messages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from chatstore.api_keys import TENANT as KEYS
from chatstore.contract import Capability
from chatstore.exporting import history
from chatstore.models import Message, Thread
from chatstore.store import ChatStore

__all__ = ["Chosen", "Gone", "Kept", "all_threads", "has_all_tenants", "kept_threads", "over", "tenants"]

_MARGIN = timedelta(minutes=5)
"""How far a clock may be off, and an activity that is kept to the minute."""


class Gone(Exception):
    """The thread was deleted, or has expired, since it was named."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A thread as it was: `messages` gives them from the oldest on, anew with each call, or raises `Gone`."""

    tenant: str
    thread: Thread
    messages: Callable[[], Iterator[Message]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What of a store is meant: a tenant or all, an owner or all, and whether API keys go along."""

    tenant: str | None = None
    owner: str | None = None
    keys: bool = True

    def takes(self, kept: Kept) -> bool:
        """Whether a thread is among it. A tenant's keys are; an owner's are not: they say nothing of her."""
        if kept.tenant == KEYS:
            its_tenant = kept.thread.metadata.get("tenant")
            return self.keys and self.owner is None and self.tenant in (None, its_tenant)
        return self.tenant in (None, kept.tenant) and self.owner in (None, kept.thread.owner)


def has_all_tenants(store: ChatStore) -> bool:
    """Whether the store gives out all its tenants; a service serves its caller's alone."""
    return Capability.TENANTS in store.backend.capabilities


def tenants(store: ChatStore, chosen: Chosen) -> Iterator[str]:
    """The tenants to go over, that of the API keys the last: what a key opens is there before it."""
    whole = has_all_tenants(store)
    if chosen.tenant is not None:
        yield chosen.tenant
    elif whole:
        yield from (tenant for tenant in store.iter_tenants() if tenant != KEYS)
    else:
        yield store.tenant
    if whole and chosen.keys and chosen.owner is None:
        yield KEYS


def kept_threads(store: ChatStore, chosen: Chosen) -> Iterator[Kept]:
    """Every chosen thread that was there at the beginning and still is, each once.

    What is written meanwhile may be in it or not, thread by thread. Of each thread given, some 80 bytes are
    kept in memory.
    """
    for tenant in tenants(store, chosen):
        scoped = store.for_tenant(tenant)
        for thread in all_threads(scoped, chosen.owner):
            kept = Kept(tenant, thread, _reading(scoped, thread.id))
            if chosen.takes(kept):
                yield kept


def over(expires_at: datetime | None, store: ChatStore) -> bool:
    """Whether what lives until then has expired by the store's clock."""
    return expires_at is not None and expires_at <= store.now()


def all_threads(store: ChatStore, owner: str | None = None) -> Iterator[Thread]:
    """All threads of a tenant, of every kind.

    One that becomes active while they are listed moves to pages that were read already. So those that
    are active of late come last, listed again until no thread of before is new among them.
    """
    began = store.now()
    since = began - _MARGIN
    given: set[bytes] = set()
    for thread in store.iter_threads(owner=owner, kind=None):
        if thread.active_at < since:
            given.add(_named(thread))
            yield thread
    missing = True
    while missing:
        missing = False
        for thread in store.iter_threads(owner=owner, kind=None, active_since=since):
            if _named(thread) not in given:
                given.add(_named(thread))
                missing |= thread.created_at < began
                yield thread


def _named(thread: Thread) -> bytes:
    """A thread's id in the few bytes that are remembered of each."""
    return hashlib.blake2b(thread.id.encode(), digest_size=12).digest()


def _reading(store: ChatStore, thread_id: str) -> Callable[[], Iterator[Message]]:
    def messages() -> Iterator[Message]:
        for page in history(store, thread_id):
            if page.end is None:
                raise Gone
            yield from page

    return messages
