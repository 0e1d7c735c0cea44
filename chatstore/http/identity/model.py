"""Whom a credential stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import HTTPConnection

from chatstore.api_keys import Scope
from chatstore.codec import Json
from chatstore.errors import InvalidArgument
from chatstore.http.problems import Forbidden, Unauthenticated
from chatstore.settings import Settings
from chatstore.store import AsyncChatStore
from chatstore.store.arguments import callers_tenant, owner_or_none

__all__ = ["ALL_SCOPES", "Authenticator", "Identity", "from_claims"]

ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Identity:
    """A tenant, the owner that it is confined to if there is one, and what it allows.

    `credential` names what was shown, for logs and limits, and is no secret.
    """

    tenant: str
    owner: str | None
    scopes: frozenset[Scope]
    credential: str
    confined: str | None = field(init=False, repr=False, compare=False)
    """The owner whose threads it is confined to; None with ADMIN."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "confined", None if Scope.ADMIN in self.scopes else self.owner)

    @property
    def restricted(self) -> bool:
        """Whether it is confined to its owner's threads; ADMIN is not."""
        return self.confined is not None

    @property
    def caller(self) -> tuple[str, str | None]:
        """Whose share of what all use a request takes: a tenant's, or that of the owner it is confined to."""
        return self.tenant, self.confined

    def require(self, scopes: Iterable[Scope]) -> None:
        """Raise Forbidden unless all of `scopes` are allowed."""
        if Scope.ADMIN in self.scopes:
            return
        for scope in scopes:
            if scope not in self.scopes:
                raise Forbidden(f"this needs the scope {scope}: use a credential that has it")

    def require_names(self, *, thread_id: str | None = None, owner: str | None = None) -> None:
        """Raise Forbidden if a restricted credential chooses a new thread's id, or another's owner.

        If it could choose an id, one that is taken would tell it that somebody else has a thread there.
        """
        if self.confined is None:
            return
        if thread_id is not None:
            raise Forbidden(
                "this credential is of one owner, whose ids of threads the service makes: leave the id out"
            )
        if owner not in (None, self.owner):
            raise Forbidden("this credential is of one owner: leave the owner out, or name that one")

    def scoped(self, store: AsyncChatStore) -> AsyncChatStore:
        """`store` as this identity sees it."""
        mine = store if store.tenant == self.tenant else store.for_tenant(self.tenant)
        return mine if self.confined is None else mine.for_owner(self.confined)


class Authenticator(Protocol):
    """One kind of credential."""

    async def identify(self, request: HTTPConnection) -> Identity | None:
        """Who calls; None without a credential of this kind. Raises Unauthenticated for a bad one."""


def from_claims(claims: Mapping[str, Json], settings: Settings, kind: str) -> Identity:
    """Whom verified claims stand for. Raises Unauthenticated if one that the settings name is missing."""
    tenant = _named(claims, settings.jwt_tenant_claim, settings.tenant)
    owner = _named(claims, settings.jwt_owner_claim, None)
    # A subject is often an address of a person, which has no place in logs.
    who = "\0".join((tenant or "", str(claims.get("iss")), str(claims.get("sub")), owner or ""))
    try:
        return Identity(
            callers_tenant(tenant or ""),
            owner_or_none(owner),
            frozenset(_scopes(claims.get(settings.jwt_scope_claim))),
            f"{kind}:{hashlib.sha256(who.encode(errors='surrogatepass')).hexdigest()[:16]}",
        )
    except InvalidArgument as error:
        raise Unauthenticated("the token's tenant or owner cannot be used", invalid=True) from error


def _named(claims: Mapping[str, Json], name: str, default: str | None) -> str | None:
    if not name:
        return default
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise Unauthenticated(f"the token lacks a text in its claim {name}", invalid=True)
    return value


def _scopes(value: Json) -> Iterable[Scope]:
    names = value.strip("[]").split() if isinstance(value, str) else value
    for name in names if isinstance(names, list) else ():
        plain = name.removeprefix("chatstore.") if isinstance(name, str) else None
        if plain in set(Scope):
            yield Scope(plain)
