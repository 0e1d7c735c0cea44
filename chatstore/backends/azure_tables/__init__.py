"""Azure Table Storage, and Cosmos DB by its Table API.

``aztables://ACCOUNT/TABLE`` and ``cosmos-table://ACCOUNT/TABLE``. A key (``AZURE_STORAGE_KEY``, for Cosmos
``AZURE_COSMOS_KEY``) or a shared access signature (``AZURE_STORAGE_SAS_TOKEN``) comes from the environment;
where neither is set, the platform's identity is used. Without an account, as in ``aztables:///TABLE``, a
connection string (``AZURE_STORAGE_CONNECTION_STRING``, ``AZURE_COSMOS_CONNECTION_STRING``) names it. Options:

``endpoint``
    Where the tables are, if not at the account's usual address: an emulator, a private endpoint.
``timeout``
    Seconds to wait for an answer before trying again; 30 by default.

A thread is a partition, and every change to it is one group transaction with its header under If-Match.
"""

from __future__ import annotations

from chatstore.backends.azure_tables.account import Account
from chatstore.backends.azure_tables.backend import AzureTablesBackend
from chatstore.backends.azure_tables.drivers import AsyncDriver, BlockingDriver
from chatstore.backends.azure_tables.table import Dialect
from chatstore.contract import Clock
from chatstore.settings import AzureAccess
from chatstore.urls import Url

__all__ = ["COSMOS", "TABLES", "AzureTablesBackend", "Dialect", "open_azure_tables"]

TABLES = Dialect("azure-tables", ordered=True, group_bytes=2_700_000)
COSMOS = Dialect("cosmos-table", ordered=False, group_bytes=1_300_000)


def open_azure_tables(url: Url, *, blocking: bool, clock: Clock) -> AzureTablesBackend:
    """The table that `url` names; it is made when it is first needed and not there."""
    url.allow("endpoint", "timeout")
    cosmos = url.scheme == "cosmos-table"
    account = Account.of(url, AzureAccess.from_environment(cosmos=cosmos), cosmos=cosmos)
    driver = BlockingDriver(account.client) if blocking else AsyncDriver(account.async_client)
    return AzureTablesBackend(driver, COSMOS if cosmos else TABLES, clock)
