"""Stores of every kind, empty, by a test's clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

from chatstore import ChatStore
from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
from chatstore.backends.memory import MemoryBackend
from chatstore.backup import Chosen
from chatstore.contract import Backend, Clock
from chatstore.urls import open_backend
from tests.azure_tables.azurite import ACCOUNT
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.dynamodb.servers import url_for
from tests.log.memory_table import LogInMemory, MemoryTable
from tests.servers import table_for

_numbers = itertools.count()


def sqlite(folder: Path, clock: Clock) -> Backend:
    """A file of its own."""
    return open_backend(f"sqlite:///{folder}/{next(_numbers)}.db", blocking=True, clock=clock)


def memory(_folder: Path, clock: Clock) -> Backend:
    """A memory of its own."""
    return MemoryBackend(clock=clock)


def log(_folder: Path, clock: Clock) -> Backend:
    """What DynamoDB runs, on a table in memory whose pages are short."""
    return LogInMemory(MemoryTable(page=7), clock)


def azure(dialect: Dialect) -> Callable[[Path, Clock], Backend]:
    """Table Storage, or Cosmos DB, as its port describes it."""

    def opened(_folder: Path, clock: Clock) -> Backend:
        return AzureTablesBackend(FakeDriver(FakeTable(), page=7), dialect, clock)

    return opened


PLACES: Mapping[str, Callable[[Path, Clock], Backend]] = {
    "memory": memory,
    "sqlite": sqlite,
    "log": log,
    "tables": azure(TABLES),
    "cosmos": azure(COSMOS),
}


def on_servers(moto: str, azurite: str) -> Mapping[str, Callable[[Path, Clock], Backend]]:
    """DynamoDB and Table Storage as their SDKs reach them, a table for each store."""

    def opener(url: Callable[[Path], str]) -> Callable[[Path, Clock], Backend]:
        return lambda folder, clock: open_backend(
            url(folder / f"{next(_numbers)}"), blocking=True, clock=clock
        )

    return {
        "dynamodb": opener(lambda name: url_for(moto, name)),
        "azurite": opener(lambda name: f"aztables://{ACCOUNT}/{table_for(name)}?endpoint={azurite}"),
    }


SERVED = Chosen("default", keys=False)
"""What a service gives out, and takes."""


def opened(
    kind: str,
    folder: Path,
    clock: Clock,
    places: Mapping[str, Callable[[Path, Clock], Backend]] = PLACES,
) -> ChatStore:
    """An empty store."""
    return ChatStore(places[kind](folder, clock))
