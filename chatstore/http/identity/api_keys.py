"""API keys, those of the settings and those of the store."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.types import Scope

from chatstore.api_keys import KNOWN_SECONDS, Key, Keys, digest
from chatstore.codec import Json
from chatstore.errors import ConfigurationError, InvalidArgument
from chatstore.http.identity.headers import bearer
from chatstore.http.identity.model import Identity
from chatstore.http.problems import Unauthenticated
from chatstore.http.service import Service
from chatstore.models import from_micros
from chatstore.recent import Recent

__all__ = ["ApiKeys", "configured"]

PREFIX = "cs_"
UNKNOWN_SECONDS = 2
_REMEMBERED = 1024


class ApiKeys:
    """Keys as ``Authorization: Bearer`` or ``X-API-Key``."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._configured = configured(service.settings.api_keys)
        # Apart, so that no flood of wrong keys makes a right one forgotten.
        self._known = _Recent(KNOWN_SECONDS)
        self._unknown = _Recent(UNKNOWN_SECONDS)
        self._forgotten = 0
        service.forgetting.append(self._forget)

    async def identify(self, request: HTTPConnection) -> Identity | None:
        """Raises Unauthenticated for a key that is unknown, wrong, expired or revoked, all alike."""
        text = request.headers.get("x-api-key")
        if text is None:
            text = bearer(request.headers)
            if text is None or not text.startswith(PREFIX):
                return None
        key = await self._find(text, request.scope)
        if key is None:
            raise Unauthenticated("the API key is unknown, expired or revoked", invalid=True)
        return Identity(key.tenant, key.owner, key.scopes, f"key:{key.id}")

    async def _find(self, text: str, scope: Scope) -> Key | None:
        store = self._service.store
        now = store.backend.clock()
        # By the digest of all that was sent: a wrong secret is no better known than a wrong id.
        sent = digest(text)
        entry = self._known.get(sent, now) or self._unknown.get(sent, now)
        if entry is None:
            key = next((one for one in self._configured if hmac.compare_digest(one.sha256, sent)), None)
            if key is None:
                # Who has tried too often costs the store no read, unless the key was right before.
                if not self._known.has(sent):
                    self._service.rates.require_left(scope)
                forgotten = self._forgotten
                key = await Keys(store).find(text)
                if forgotten != self._forgotten:
                    # It may have been read before it was revoked.
                    key = await Keys(store).find(text)
            (self._unknown if key is None else self._known).put(sent, key, now)
        else:
            key = entry.key
        # Not `now`: the answer may have been the first to say what time it is.
        expired = (
            key is not None
            and key.expires_at is not None
            and key.expires_at <= from_micros(store.backend.clock())
        )
        return None if expired else key

    def _forget(self, tenant: str, owner: str | None) -> None:
        self._forgotten += 1
        self._known.forget(tenant, owner)


class _Entry(NamedTuple):
    key: Key | None
    since: int


class _Recent:
    """What was found lately, for some seconds and at most so many; the oldest goes first."""

    def __init__(self, seconds: int) -> None:
        self._micros = seconds * 1_000_000
        self._entries: Recent[str, _Entry] = Recent(_REMEMBERED)

    def get(self, sent: str, now: int) -> _Entry | None:
        """What was found for `sent`; a clock that was set back makes it forgotten."""
        entry = self._entries.get(sent)
        return entry if entry is not None and 0 <= now - entry.since < self._micros else None

    def forget(self, tenant: str, owner: str | None) -> None:
        """Forget the keys of a tenant's owner, or of all of its owners."""
        for sent, (key, _) in self._entries.items():
            if key is not None and key.tenant == tenant and owner in (None, key.owner):
                self._entries.pop(sent)

    def has(self, sent: str) -> bool:
        """Whether anything was found for `sent`, however long ago."""
        return sent in self._entries

    def put(self, sent: str, key: Key | None, now: int) -> None:
        """Remember what was found for `sent`, or that nothing was."""
        self._entries.put(sent, _Entry(key, now))


def configured(text: str) -> tuple[Key, ...]:
    """The keys of a setting. Raises ConfigurationError, which repeats nothing of it."""
    try:
        forms = json.loads(text or "[]")
        if not isinstance(forms, list) or not all(isinstance(form, dict) for form in forms):
            raise InvalidArgument("it is a JSON list of objects")
        return tuple(_configured(form) for form in forms)
    except (InvalidArgument, json.JSONDecodeError) as error:
        reason = error if isinstance(error, InvalidArgument) else "it is not JSON"
        raise ConfigurationError(f"CHATSTORE_API_KEYS cannot be used: {reason}") from None


def _configured(form: dict[str, Json]) -> Key:
    unknown = form.keys() - {"id", "sha256", "tenant", "owner", "scopes", "expires_at"}
    if unknown:
        raise InvalidArgument("a key has id, sha256, tenant, scopes, and may have owner and expires_at")
    key = Key.from_dict(form.get("id", ""), form)
    if form.get("expires_at") is None:
        return key
    try:
        expires_at: datetime | None = datetime.fromisoformat(form["expires_at"])
    except (TypeError, ValueError):
        expires_at = None
    if expires_at is None or expires_at.tzinfo is None:
        raise InvalidArgument(f"expires_at of key {key.id} is an RFC 3339 time with its zone")
    return replace(key, expires_at=expires_at)
