"""Which account and table a URL names, and how it is opened."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.request import getproxies

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.data.tables import TableClient

from chatstore.backends.azure_tables.meter import COSMOS_PRICES, TABLES_PRICES, Meter
from chatstore.errors import ConfigurationError
from chatstore.settings import AzureAccess
from chatstore.urls import Url, shown

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline.transport import RequestsTransport
    from azure.data.tables.aio import TableClient as AsyncTableClient
    from requests import Session

    from chatstore.backends.azure_tables.identity import Credential

__all__ = ["CONNECTIONS", "Account"]

_Given: TypeAlias = AzureNamedKeyCredential | AzureSasCredential
_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
_CONNECT_SECONDS = 5.0
CONNECTIONS = 16
"""How many a blocking client keeps: as many as an instance answers requests at once."""

_SUFFIX, _COSMOS_SUFFIX = "table.core.windows.net", "table.cosmos.azure.com"


class Account(NamedTuple):
    """Opens clients for a table: by connection string, key, signature or identity, in this order."""

    access: AzureAccess
    table: str
    endpoint: str
    """Empty where the connection string says it."""

    name: str
    seconds: float
    meter: Meter

    @classmethod
    def of(cls, url: Url, access: AzureAccess, *, cosmos: bool) -> Account:
        """Raises ConfigurationError for a URL that names no table, or an account that nothing opens."""
        table = url.path.strip("/")
        if not _TABLE.fullmatch(table) or "@" in url.host:
            raise ConfigurationError(
                f"{url.scheme}:// names an account and a table of 3 to 63 letters and digits, such as "
                f"{url.scheme}://myaccount/chat, and no secret, because secrets come from the environment"
            )
        seconds, meter = url.seconds("timeout", 30), Meter(COSMOS_PRICES if cosmos else TABLES_PRICES)
        endpoint = url.options.get("endpoint")
        if endpoint is not None and not endpoint.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"endpoint={shown(endpoint)} is not an address that begins with https://"
            )
        if not url.host:
            if endpoint is not None:
                raise ConfigurationError(
                    f"{shown(url.text)} names no account, so the address of its tables comes from "
                    f"{access.prefix}_CONNECTION_STRING: leave endpoint= out, or write {url.scheme}://ACCOUNT/{table}"
                )
            if not access.connection_string:
                raise ConfigurationError(
                    f"{shown(url.text)} names no account, so {access.prefix}_CONNECTION_STRING must: set it, "
                    f"or write {url.scheme}://ACCOUNT/{table}"
                )
            return cls(access, table, "", "", seconds, meter)
        if endpoint is None:
            endpoint = f"https://{url.host}.{_COSMOS_SUFFIX if cosmos else _SUFFIX}"
        return cls(access, table, endpoint, url.host, seconds, meter)

    @property
    def connection_string(self) -> str:
        """What opens the account where the URL names none; empty where it does."""
        return "" if self.name else self.access.connection_string

    @contextlib.contextmanager
    def client(self) -> Iterator[TableClient]:
        """A client for blocking callers. Raises ConfigurationError for what the SDK cannot use."""
        from requests.utils import get_environ_proxies

        from chatstore.backends.azure_tables.identity import credential

        given: Credential | _Given | None = self._given()
        session = self._session()
        options = self._options() | {"transport": self._transport(session)}
        with contextlib.ExitStack() as closing:
            with self._configured():
                if self.connection_string:
                    client = TableClient.from_connection_string(self.connection_string, self.table, **options)
                else:
                    if given is None:
                        given = credential(self.access)
                        closing.callback(given.close)
                    client = TableClient(self.endpoint, self.table, credential=given, **options)
            closing.callback(client.close)
            # Read here once, where `requests` would read all of the environment for each request.
            session.proxies = dict(get_environ_proxies(client.url, no_proxy=None))
            session.trust_env = False
            yield client

    @contextlib.asynccontextmanager
    async def async_client(self) -> AsyncIterator[AsyncTableClient]:
        """A client for the running event loop. Raises ConfigurationError for what the SDK cannot use."""
        from azure.data.tables.aio import TableClient as AsyncTableClient

        from chatstore.backends.azure_tables.identity import async_credential

        given: AsyncTokenCredential | _Given | None = self._given()
        # Where there is no proxy, aiohttp would still look for a password in a file before each request.
        options = self._options() | {"use_env_settings": bool(getproxies())}
        async with contextlib.AsyncExitStack() as closing:
            with self._configured():
                if self.connection_string:
                    client = AsyncTableClient.from_connection_string(
                        self.connection_string, self.table, **options
                    )
                else:
                    if given is None:
                        given = async_credential(self.access)
                        closing.push_async_callback(given.close)
                    client = AsyncTableClient(self.endpoint, self.table, credential=given, **options)
            closing.push_async_callback(client.close)
            yield client

    @contextlib.contextmanager
    def _configured(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError) as error:
            given = shown(self.endpoint or "") or f"{self.access.prefix}_CONNECTION_STRING"
            raise ConfigurationError(
                f"no client for the table {self.table} of {given}: {shown(str(error))}"
            ) from error

    def _given(self) -> _Given | None:
        if self.access.key:
            return AzureNamedKeyCredential(self.name, self.access.key)
        return AzureSasCredential(self.access.sas) if self.access.sas else None

    def _session(self) -> Session:
        from requests import Session
        from requests.adapters import HTTPAdapter

        session, adapter = Session(), HTTPAdapter(pool_maxsize=CONNECTIONS)
        for scheme in ("https://", "http://"):
            session.mount(scheme, adapter)
        return session

    def _transport(self, session: Session) -> RequestsTransport:
        from azure.core.pipeline.transport import RequestsTransport

        # For no address: which certificates are believed depends on none, and this one may be unreadable.
        found = session.merge_environment_settings("", {}, None, None, None)
        return RequestsTransport(session=session, connection_verify=found["verify"], **self._timeouts())

    def _timeouts(self) -> dict[str, float]:
        return {
            "connection_timeout": min(self.seconds, _CONNECT_SECONDS),
            "read_timeout": self.seconds,
        }

    def _options(self) -> dict[str, Any]:
        return {
            # Trying again is decided above, where it is known what a repetition would do.
            "retry_total": 0,
            **self._timeouts(),
            "raw_request_hook": self.meter.sent,
            "raw_response_hook": self.meter.answered,
        }
