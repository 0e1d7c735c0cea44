"""Credentials of the platform's identity, for where neither a key nor a signature is given.

Azure's hosts give a process an address to ask for tokens. Asking there takes the standard library alone.
Where there is no such address, azure-identity is used: it knows every other way, and takes long to load.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from chatstore.settings import AzureAccess

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

__all__ = ["Credential", "async_credential", "credential"]

_VERSION = "2019-08-01"
_SECONDS = 10
_DEFAULT = "/.default"


class Credential(TokenCredential, Protocol):
    """A credential that holds connections of its own."""

    def close(self) -> None:
        """Give them back: a client does not."""


def credential(access: AzureAccess) -> Credential:
    """For blocking callers."""
    if _is_platform(access):
        return _Platform(access)
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def async_credential(access: AzureAccess) -> AsyncTokenCredential:
    """For event loops."""
    if _is_platform(access):
        return _AsyncPlatform(access)
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()


def _is_platform(access: AzureAccess) -> bool:
    # A machine of Azure Arc names an address as well, and wants to be asked in another way.
    return bool(access.identity_endpoint and access.identity_header)


class _Platform:
    """Asks the host for tokens; azure-core keeps each until it is about to expire."""

    def __init__(self, access: AzureAccess) -> None:
        self._access = access
        # The host's own address: no proxy is asked for it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for one resource. Raises ClientAuthenticationError where the host refuses one."""
        query = {"api-version": _VERSION, "resource": scopes[0].removesuffix(_DEFAULT)}
        if self._access.client_id:
            query["client_id"] = self._access.client_id
        request = urllib.request.Request(  # noqa: S310 - the host's own address
            f"{self._access.identity_endpoint}?{urlencode(query)}",
            headers={"X-IDENTITY-HEADER": self._access.identity_header},
        )
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                form = json.load(answer)
            return AccessToken(form["access_token"], int(form.get("expires_on") or time.time() + 300))
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (408, 429) or error.code >= 500:
                    raise ServiceRequestError(f"the host gives no token for now: {error}") from error
                raise ClientAuthenticationError(f"the host gives no token: {error}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ServiceRequestError(f"the host gives no token for now: {error}") from error

    def close(self) -> None:
        """Nothing is open."""


class _AsyncPlatform:
    """The platform's credential for event loops. Asks for a token in a Python thread, rarely."""

    def __init__(self, access: AzureAccess) -> None:
        self._platform = _Platform(access)

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for one resource."""
        return await asyncio.to_thread(self._platform.get_token, *scopes)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> _AsyncPlatform:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
