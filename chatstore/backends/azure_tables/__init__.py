"""Azure Table Storage, and Cosmos DB by its Table API.

``aztables://ACCOUNT/TABLE`` and ``cosmos-table://ACCOUNT/TABLE``. A key (``AZURE_STORAGE_KEY``, for Cosmos
``AZURE_COSMOS_KEY``) or a shared access signature (``AZURE_STORAGE_SAS_TOKEN``) comes from the environment;
where neither is set, the platform's identity is used. Without an account, as in ``aztables:///TABLE``, a
connection string (``AZURE_STORAGE_CONNECTION_STRING``, ``AZURE_COSMOS_CONNECTION_STRING``) names it. Options:

``endpoint``
    Where the tables are, if not at the account's usual address: an emulator, a private endpoint.
``timeout``
    Seconds to wait for an answer before trying again; 30 by default.
``client``
    What asynchronous callers wait for: ``async``, the SDK's asynchronous client, or ``blocking``, its
    blocking one on 16 threads, which loads about 100 ms sooner: for functions, which start often.

A thread is a partition, and every change to it is one group transaction with its header under If-Match.
"""

from __future__ import annotations

from chatstore.backends.azure_tables.account import Account
from chatstore.backends.azure_tables.drivers.blocking import BlockingDriver
from chatstore.backends.clients import beside_loops
from chatstore.clocks import ServerClock, followed
from chatstore.contract import Clock
from chatstore.engines.fenced import Dialect, Driver, FencedBackend
from chatstore.settings import AzureAccess
from chatstore.urls import Url

__all__ = ["COSMOS", "TABLES", "AzureTablesBackend", "Dialect", "open_azure_tables"]

TABLES = Dialect(ordered=True, group_bytes=2_700_000)
COSMOS = Dialect(ordered=False, group_bytes=1_300_000)


class AzureTablesBackend(FencedBackend):
    """Threads in a table of Azure Table Storage, or of Cosmos DB's Table API."""

    name = "azure-tables"


def open_azure_tables(url: Url, *, blocking: bool, clock: Clock) -> AzureTablesBackend:
    """The table that `url` names; it is made when it is first needed and not there."""
    url.allow("endpoint", "timeout", "client")
    cosmos = url.scheme == "cosmos-table"
    clock = followed(clock)
    account = Account.of(url, AzureAccess.from_environment(cosmos=cosmos), cosmos=cosmos)
    if isinstance(clock, ServerClock):
        account.meter.clock = clock
    client = url.choice("client", ("ASYNC", "BLOCKING"))
    backend = AzureTablesBackend(
        _driver(account, client, blocking=blocking), COSMOS if cosmos else TABLES, clock
    )
    backend.beside = beside_loops(blocking=blocking)
    return backend


def _driver(account: Account, client: str, *, blocking: bool) -> Driver:
    if blocking:
        return BlockingDriver(account.client)
    if client == "BLOCKING":
        from chatstore.backends.azure_tables.drivers.threads import ThreadDriver

        return ThreadDriver(BlockingDriver(account.client))
    from chatstore.backends.azure_tables.drivers.asynchronous import AsyncDriver

    return AsyncDriver(account.async_client)
