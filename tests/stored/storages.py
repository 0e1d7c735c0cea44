"""Each storage's raw rows, taken out of it as text and put into an empty one."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.contract import Backend, Clock
from chatstore.engines.fenced.port import Op
from chatstore.urls import open_backend
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.log.memory_table import LogInMemory, MemoryTable

Rows = list[Any]


class Storage(NamedTuple):
    """A backend on an empty storage or on rows, and a look at all of its rows."""

    backend: Backend
    rows: Callable[[], Rows]


def sqlite(folder: Path, clock: Clock, rows: Rows | None = None) -> Storage:
    """The statements that make the file again."""
    path = folder / "chat.db"
    if rows is not None:
        with closing(sqlite3.connect(path)) as file:
            file.executescript("\n".join(rows))
    backend = open_backend(f"sqlite:///{path}", blocking=True, clock=clock)

    def dumped() -> Rows:
        with closing(sqlite3.connect(path)) as file:
            version = file.execute("PRAGMA user_version").fetchone()[0]
            application = file.execute("PRAGMA application_id").fetchone()[0]
            return [
                *file.iterdump(),
                f"PRAGMA user_version={version};",
                f"PRAGMA application_id={application};",
            ]

    return Storage(backend, dumped)


def log(_folder: Path, clock: Clock, rows: Rows | None = None) -> Storage:
    """What is in a table of DynamoDB."""
    table = MemoryTable()
    for row in rows or ():
        whole = {name: _bytes(value) for name, value in row.items()}
        table.rows.setdefault(str(whole["pk"]), {})[str(whole["sk"])] = whole
    return Storage(
        LogInMemory(table, clock),
        lambda: [_texts(row) for present in table.rows.values() for row in present.values()],
    )


def fenced(_folder: Path, clock: Clock, rows: Rows | None = None) -> Storage:
    """What is in a table of Azure; Table Storage and Cosmos DB hold the same."""
    table = FakeTable()
    for partition, row, properties in rows or ():
        whole = {name: _bytes(value) for name, value in properties.items()}
        table.apply(partition, [Op("insert", row, whole)])
    return Storage(
        AzureTablesBackend(FakeDriver(table), TABLES, clock),
        lambda: [[*key, _texts(entity.properties)] for key, entity in sorted(table.rows.items())],
    )


STORAGES: Mapping[str, Callable[[Path, Clock, Rows | None], Storage]] = {
    "sqlite": sqlite,
    "log": log,
    "fenced": fenced,
}


def _texts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in row.items()
    }


def _bytes(value: Any) -> Any:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


__all__: Sequence[str] = ["STORAGES", "Storage"]
