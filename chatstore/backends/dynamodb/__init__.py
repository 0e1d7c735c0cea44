"""DynamoDB: the log over a table with a partition key ``pk`` and a sort key ``sk``, both text.

An append to a thread that this process knows is one conditional put of one row.
`chatstore.engines.log.writing` says how, and docs/dynamodb.md what each operation costs.
"""

from __future__ import annotations

from typing import Final

from chatstore.backends.calls import BlockingCalls, Calls, ThreadCalls
from chatstore.backends.clients import beside_loops
from chatstore.backends.dynamodb.client import Client
from chatstore.backends.dynamodb.table import DynamoTable
from chatstore.clocks import ServerClock, followed
from chatstore.contract import Capability, Clock
from chatstore.engines.log import LogBackend, Table
from chatstore.errors import ConfigurationError
from chatstore.urls import Url

__all__ = ["DynamoBackend", "open_dynamodb"]

_READS: Final = ("CONSISTENT", "EVENTUAL")
_TRANSACTIONS: Final = ("ON", "OFF")


def open_dynamodb(url: Url, *, blocking: bool, clock: Clock) -> DynamoBackend:
    """``dynamodb://TABLE?region=us-east-1&endpoint=http://127.0.0.1:8000``.

    Credentials come by the SDK's usual chain.
    ``reads=eventual`` halves the price of a page's first trip and lets pages lag behind by moments.
    ``transactions=off`` is for servers that know none: threads cannot be forked there. ``timeout`` is
    in seconds, for one round trip.
    """
    if not url.host or url.path.strip("/"):
        raise ConfigurationError("name the table: dynamodb://TABLE")
    url.allow("region", "endpoint", "reads", "transactions", "timeout")
    clock = followed(clock)
    client = Client(
        url.host,
        url.options.get("region"),
        url.options.get("endpoint"),
        url.seconds("timeout", 5.0),
        clock if isinstance(clock, ServerClock) else None,
    )
    calls: Calls = BlockingCalls(client) if blocking else ThreadCalls(client)
    table = DynamoTable(calls, client)
    table.atomic_pairs = url.choice("transactions", _TRANSACTIONS) == "ON"
    backend = DynamoBackend(table, clock, stale=url.choice("reads", _READS) == "EVENTUAL")
    backend.beside = beside_loops(blocking=blocking)
    return backend


class DynamoBackend(LogBackend):
    """The contract over one table."""

    name = "dynamodb"

    def __init__(self, table: Table, clock: Clock, *, stale: bool = False) -> None:
        super().__init__(table, clock, stale=stale)
        self.capabilities = frozenset(Capability) - {Capability.COUNT, Capability.SEARCH}
        if not table.atomic_pairs:
            self.capabilities -= {Capability.FORK}

    async def prepare(self) -> None:
        """Make the table, if it is not there, and wait until it can be used."""
        if isinstance(self.table, DynamoTable):
            await self.table.create()
