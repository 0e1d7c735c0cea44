"""What AzureChatStore left in Table Storage: a message in a row, and a table that counts them.

``llama-index+azure-tables://?chat_table=ChatMessages&metadata_table=ChatMetadata``; the account is the one of
``AZURE_STORAGE_CONNECTION_STRING``. All rows of the chat table are read, in their order; the metadata is held
in memory, a name and a number for each thread. Its partition is named like the chat table, unless the store
was told otherwise: ``metadata_partition``.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.data.tables import TableServiceClient

from chatstore.codec import Json
from chatstore.errors import ConfigurationError, StorageError
from chatstore.importing import BadThread, Conversation
from chatstore.settings import AzureAccess
from chatstore.sources.opening import Source
from chatstore.sources.salvage import Part, salvaged
from chatstore.urls import Url

__all__ = ["open_source"]

_PART = re.compile(r"(.+)_part_(\d+)")
_AS_JSON = ("role", "additional_kwargs", "blocks")
_KEYS = ("PartitionKey", "RowKey")
_NAMED_AT_MOST = 10


@contextmanager
def open_source(url: Url) -> Iterator[Source]:
    """The threads, in the order of their keys; those that the metadata alone knows come last."""
    url.allow("chat_table", "metadata_table", "metadata_partition")
    chat_table = url.options.get("chat_table", "ChatMessages")
    metadata_table = url.options.get("metadata_table", "ChatMetadata")
    connection = AzureAccess.from_environment().connection_string
    if not connection:
        raise ConfigurationError("set AZURE_STORAGE_CONNECTION_STRING, which names the account")
    try:
        client = TableServiceClient.from_connection_string(connection)
    except ValueError as error:
        raise ConfigurationError("AZURE_STORAGE_CONNECTION_STRING is not one that the SDK accepts") from error
    try:
        with client as service:
            partition = url.options.get("metadata_partition", chat_table)
            counts = _counts(service, metadata_table, partition)
            yield Source(_threads(service, chat_table, counts), len(counts))
    except AzureError as error:
        raise StorageError(f"Azure Tables cannot be read ({_reason(error)})") from error


def _reason(error: AzureError) -> str:
    """The service's name for what is wrong; the rest of its text may quote what is stored."""
    code = getattr(error, "error_code", None) or getattr(error, "status_code", None)
    return str(getattr(code, "value", code) or type(error).__name__)


def _counts(service: TableServiceClient, table: str, partition: str) -> dict[str, object]:
    """How many messages the metadata counts for each thread; none where there is no such table."""
    rows = service.get_table_client(table).query_entities(
        "PartitionKey eq @partition", parameters={"partition": partition}
    )
    try:
        return {row["RowKey"]: row.get("MessageCount") for row in rows}
    except ResourceNotFoundError:
        return {}


def _threads(
    service: TableServiceClient, table: str, counts: dict[str, object]
) -> Iterator[Conversation | BadThread]:
    rows = service.get_table_client(table).list_entities()
    for key, group in itertools.groupby(rows, lambda row: str(row["PartitionKey"])):
        found = list(group)
        damage = _damage([row["RowKey"] for row in found], counts.pop(key, None))
        parts = (Part(f"row {row['RowKey']}", _message(row)) for row in found)
        yield salvaged(f"table {table}, key {key!r}", key, parts, damage)
    for key, count in counts.items():
        lost = [f"the metadata counts {count} messages, and there are none"] if count else []
        yield salvaged(f"table {table}, key {key!r}", key, [], lost)


def _damage(row_keys: Sequence[str], count: object) -> list[str]:
    numbers = {int(row_key) for row_key in row_keys if row_key.isdecimal()}
    if len(numbers) < len(row_keys):
        return ["rows that the store did not write are among its own"]
    last = max(numbers)
    found = []
    if missing := sorted(set(range(last)) - numbers):
        more = f" and {len(missing) - _NAMED_AT_MOST} more" if len(missing) > _NAMED_AT_MOST else ""
        named = ", ".join(map(str, missing[:_NAMED_AT_MOST]))
        found.append(f"messages {named}{more} were deleted or never written")
    if count is None:
        found.append("the metadata does not know it: its first message was written only half")
    elif count != last + 1:
        found.append(f"the metadata counts {count} messages, the last one is number {last}")
    return found


def _message(row: Mapping[str, Any]) -> dict[str, Json]:
    """A row's properties, those that were split put together again."""
    whole: dict[str, Json] = {}
    parts: dict[str, dict[int, str]] = {}
    for name, value in row.items():
        if name in _KEYS:
            continue
        if split := _PART.fullmatch(name):
            parts.setdefault(split[1], {})[int(split[2])] = value
        else:
            whole[name] = value
    whole |= {name: "".join(texts[number] for number in sorted(texts)) for name, texts in parts.items()}
    return {name: _decoded(value) if name in _AS_JSON else value for name, value in whole.items()}


def _decoded(value: Json) -> Json:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value
