"""API keys: who may use a service, kept in the store itself, of each key no more than its SHA-256.

A key is ``cs_ID_SECRET`` with a secret of 256 random bits, so a plain hash of it tells nothing. Keys
are threads of a tenant of their own, which no credential, setting or option can name.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chatstore import audit
from chatstore.codec import Json
from chatstore.errors import CorruptData, InvalidArgument, ThreadNotFound
from chatstore.models import Erased, Thread
from chatstore.store import AsyncChatStore
from chatstore.store.arguments import RESERVED_TENANTS, callers_tenant, owner_or_none

__all__ = [
    "KNOWN_SECONDS",
    "TENANT",
    "Key",
    "Keys",
    "Scope",
    "digest",
    "erase",
    "erase_tenant",
    "new_key",
    "scopes_of",
]

KNOWN_SECONDS = 10
"""How long a service believes a key without asking the store: so long may a revoked one still work."""

PROCESS = "this process"
"""Who does something where nobody is named."""

TENANT = f"{RESERVED_TENANTS}keys"
"""The tenant whose threads are the keys."""

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_TEXT = re.compile(rf"cs_({_ID.pattern})_[A-Za-z0-9_-]{{43}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_DIGEST = "0" * 64


class Scope(enum.StrEnum):
    """What a credential allows; ADMIN allows the others too, on every owner's threads of its tenant."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of an API key; without an `owner` it is good for all threads of its tenant."""

    id: str
    sha256: str
    tenant: str
    owner: str | None
    scopes: frozenset[Scope]
    created_at: datetime | None = None
    expires_at: datetime | None = None
    note: str | None = None

    @classmethod
    def from_dict(cls, id: Json, form: Mapping[str, Json]) -> Key:
        """A key from JSON with ``sha256``, ``tenant``, ``owner`` and ``scopes``. Raises InvalidArgument."""
        sha256, scopes = form.get("sha256"), form.get("scopes")
        if not isinstance(id, str) or not _ID.fullmatch(id):
            raise InvalidArgument("a key's id is 1 to 64 letters, digits and -")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise InvalidArgument(f"key {id} needs a sha256 of the whole key, in 64 hexadecimal digits")
        if not isinstance(scopes, list):
            raise InvalidArgument(f"key {id} needs a list of scopes")
        tenant = callers_tenant(form.get("tenant", ""))
        return cls(id, sha256, tenant, owner_or_none(form.get("owner")), scopes_of(scopes))


def scopes_of(names: Iterable[str]) -> frozenset[Scope]:
    """The scopes of these names, one at least. Raises InvalidArgument."""
    try:
        scopes = frozenset(Scope(name) for name in names)
    except ValueError as error:
        raise InvalidArgument(f"{error}; there are: {', '.join(Scope)}") from error
    if not scopes:
        raise InvalidArgument(f"a key needs a scope: {', '.join(Scope)}")
    return scopes


def digest(text: str) -> str:
    """What is kept of a key: the SHA-256 of all of its text, in hexadecimal."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def new_key() -> tuple[str, str]:
    """The id and the text of a new key."""
    id = secrets.token_hex(8)
    return id, f"cs_{id}_{secrets.token_urlsafe(32)}"


class Keys:
    """The keys of a store, of all its tenants. Needs a backend with EXPIRY, and LIST to list them."""

    def __init__(self, store: AsyncChatStore, *, by: str = PROCESS) -> None:
        self.store = store.for_tenant(TENANT)
        self._by = by

    async def create(
        self,
        tenant: str,
        scopes: Iterable[str],
        *,
        owner: str | None = None,
        ttl: timedelta | None = None,
        note: str | None = None,
    ) -> tuple[Key, str]:
        """Make a key; its text is given here and nowhere again. Raises InvalidArgument."""
        id, text = new_key()
        form: dict[str, Json] = {
            "sha256": digest(text), "tenant": tenant, "owner": owner, "scopes": sorted(set(scopes)),
        }  # fmt: skip
        Key.from_dict(id, form)
        key = _key(await self.store.create_thread(id, topic=note, metadata=form, ttl=ttl))
        audit.note("create-key", self._by, tenant, owner, key=id, scopes=sorted(key.scopes))
        return key, text

    async def find(self, text: str) -> Key | None:
        """The key of this text, if it is there and has not expired.

        An unknown id and a wrong secret cost the same: one read and one comparison.
        """
        parts = _TEXT.fullmatch(text)
        if parts is None:
            return None
        try:
            key = _key(await self.store.get_thread(parts[1]))
        except ThreadNotFound:
            key = None
        right = hmac.compare_digest(digest(text), _NO_DIGEST if key is None else key.sha256)
        return key if right else None

    async def list(self) -> AsyncIterator[Key]:
        """All keys that have not expired, the newest first."""
        async for thread in self.store.iter_threads():
            yield _key(thread)

    async def revoke_owned(self, tenant: str, owner: str | None) -> int:
        """Remove all keys of an owner, or without one of a tenant; how many."""
        owned = [key.id async for key in self.list() if key.tenant == tenant and owner in (None, key.owner)]
        for id in owned:
            await self.revoke(id)
        return len(owned)

    async def revoke(self, id: str) -> bool:
        """Remove a key; says whether it was there. A service may honour it for ten seconds more."""
        existed = bool(await self.store.delete_thread(id))
        if existed:
            audit.note("revoke-key", self._by, TENANT, None, key=id)
        return existed


def _nothing() -> None:
    """What a process does that remembers no keys."""


async def erase(
    store: AsyncChatStore, owner: str, *, by: str = PROCESS, forget: Callable[[], None] = _nothing
) -> Erased:
    """Erase an owner of the store's tenant, the owner's API keys included.

    The keys go first, so that their space is freed with the rest, and so that nobody writes with them what is
    not erased: `forget` is called when they are revoked, and makes this process forget them. Another one may
    know them for `KNOWN_SECONDS` more. Raises as `AsyncChatStore.erase`.
    """
    revoked = await Keys(store, by=by).revoke_owned(store.tenant, owner)
    forget()
    return _noted("erase-owner", by, store.tenant, owner, await store.erase(owner), revoked)


async def erase_tenant(
    store: AsyncChatStore, *, by: str = PROCESS, forget: Callable[[], None] = _nothing
) -> Erased:
    """Remove every trace of the store's tenant, its keys first, and note it in the audit.

    Raises as `AsyncChatStore.erase_tenant`.
    """
    revoked = await Keys(store, by=by).revoke_owned(store.tenant, None)
    forget()
    return _noted("erase-tenant", by, store.tenant, None, await store.erase_tenant(), revoked)


def _noted(action: str, by: str, tenant: str, owner: str | None, erased: Erased, revoked: int) -> Erased:
    audit.note(
        action, by, tenant, owner,
        threads=erased.threads, messages=erased.messages, requests=erased.requests, keys=revoked,
    )  # fmt: skip
    return replace(erased, keys=revoked)


def _key(thread: Thread) -> Key:
    try:
        kept = Key.from_dict(thread.id, thread.metadata)
    except (InvalidArgument, TypeError) as error:
        raise CorruptData(f"the API key {thread.id!r} in the store is damaged: revoke it") from error
    return Key(
        kept.id, kept.sha256, kept.tenant, kept.owner, kept.scopes,
        created_at=thread.created_at, expires_at=thread.expires_at, note=thread.topic,
    )  # fmt: skip
