"""Tablestore: the log over a table of Alibaba Cloud's, with two columns of text as its key.

An append to a thread that this process knows is one conditional put of one row.
`chatstore.engines.log.writing` says how, and docs/tablestore.md what each operation costs.
"""

from __future__ import annotations

import re
from typing import Final

from chatstore.backends.calls import BlockingCalls, Calls, ThreadCalls
from chatstore.backends.clients import beside_loops
from chatstore.backends.tablestore.client import Client, Place
from chatstore.backends.tablestore.table import TablestoreTable
from chatstore.clocks import ServerClock, followed
from chatstore.contract import Capability, Clock
from chatstore.engines.log import LogBackend
from chatstore.errors import ConfigurationError
from chatstore.settings import credential
from chatstore.urls import Url

__all__ = ["TablestoreBackend", "open_tablestore"]

_INSTANCE: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,14}[A-Za-z0-9]")
_TABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


def open_tablestore(url: Url, *, blocking: bool, clock: Clock) -> TablestoreBackend:
    """``tablestore://INSTANCE/TABLE?region=cn-hangzhou&endpoint=https://…``.

    Credentials come from the environment. Without `endpoint` it is the region's public one; without
    `region` requests are signed in the older form, which needs none. ``timeout`` is in seconds, for one
    round trip.
    """
    url.allow("region", "endpoint", "timeout")
    clock = followed(clock)
    client = Client(
        _place(url), url.seconds("timeout", 5.0), clock if isinstance(clock, ServerClock) else None
    )
    calls: Calls = BlockingCalls(client) if blocking else ThreadCalls(client)
    backend = TablestoreBackend(TablestoreTable(calls, client.table), clock)
    backend.beside = beside_loops(blocking=blocking)
    return backend


class TablestoreBackend(LogBackend):
    """The contract over one table."""

    name = "tablestore"
    capabilities = frozenset(Capability) - {Capability.FORK, Capability.COUNT, Capability.SEARCH}

    async def prepare(self) -> None:
        """Make the table, if it is not there, and wait until it can be used."""
        if isinstance(self.table, TablestoreTable):
            await self.table.create()


def _place(url: Url) -> Place:
    if "@" in url.host:
        raise ConfigurationError(
            "tablestore:// takes no credentials: put them into TABLESTORE_ACCESS_KEY_ID and "
            "TABLESTORE_ACCESS_KEY_SECRET"
        )
    instance, table = url.host, url.path.strip("/")
    if not _INSTANCE.fullmatch(instance) or not _TABLE.fullmatch(table):
        raise ConfigurationError(
            "name the instance and the table: tablestore://INSTANCE/TABLE. An instance's name has 3 to 16 "
            "letters, digits and hyphens, a table's up to 255 letters, digits and underscores"
        )
    region, endpoint = url.options.get("region"), url.options.get("endpoint")
    if not region and not endpoint:
        raise ConfigurationError(
            f"name the region: tablestore://{instance}/{table}?region=cn-hangzhou, or the endpoint"
        )
    # A key and its secret come from the same pair of variables, with the token that belongs to them.
    prefix = "TABLESTORE" if credential("TABLESTORE_ACCESS_KEY_ID") else "ALIBABA_CLOUD"
    key_id, secret = (credential(f"{prefix}_ACCESS_KEY_{part}") for part in ("ID", "SECRET"))
    token = credential("TABLESTORE_SESSION_TOKEN" if prefix == "TABLESTORE" else f"{prefix}_SECURITY_TOKEN")
    if not key_id or not secret:
        raise ConfigurationError(
            "Tablestore needs a key: set TABLESTORE_ACCESS_KEY_ID and TABLESTORE_ACCESS_KEY_SECRET, or "
            "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET"
        )
    endpoint = endpoint or f"https://{instance}.{region}.ots.aliyuncs.com"
    return Place(instance, table, endpoint, region or None, key_id, secret, token or None)
