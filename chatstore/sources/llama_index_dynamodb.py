"""What DynamoDBChatStore left in a table: a thread in an item.

``llama-index+dynamodb://TABLE?region=eu-central-1``, with the options ``primary_key``, ``ttl_attribute`` and
``endpoint``; credentials and the region come from where AWS's tools look for them. The table is scanned with
consistent reads, which cost a read unit for every 4 KB of it. Numbers come back as JSON has them, binary data
as the text that LlamaIndex put into it. An item whose time is over is reported and not imported.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import botocore.session  # type: ignore[import-untyped, unused-ignore]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped, unused-ignore]

from chatstore.codec import Json
from chatstore.errors import ConfigurationError, StorageError
from chatstore.importing import BadThread, Conversation
from chatstore.sources.opening import Source
from chatstore.sources.salvage import Part, salvaged
from chatstore.urls import Url, shown

__all__ = ["open_source"]


@contextmanager
def open_source(url: Url) -> Iterator[Source]:
    """The table's threads, in the order of a scan."""
    url.allow("region", "endpoint", "primary_key", "ttl_attribute")
    try:
        client = _client(url)
        try:
            about = client.describe_table(TableName=url.host)["Table"]
            yield Source(_threads(client, url), about.get("ItemCount"))
        finally:
            client.close()
    except (BotoCoreError, ClientError) as error:
        raise StorageError(f"{shown(url.text)} cannot be read ({_reason(error)})") from error


def _client(url: Url) -> Any:
    region, endpoint = url.options.get("region"), url.options.get("endpoint")
    try:
        return botocore.session.get_session().create_client(
            "dynamodb", region_name=region, endpoint_url=endpoint
        )
    except ValueError as error:
        where = shown(endpoint or "")
        raise ConfigurationError(f"no client for DynamoDB at {where}: check endpoint=") from error


def _reason(error: BotoCoreError | ClientError) -> str:
    """DynamoDB's name for what is wrong; the rest of its text may quote what is stored."""
    code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
    return str(code or type(error).__name__)


def _threads(client: Any, url: Url) -> Iterator[Conversation | BadThread]:
    primary_key = url.options.get("primary_key", "SessionId")
    expiry = url.options.get("ttl_attribute", "TTL")
    pages = client.get_paginator("scan").paginate(TableName=url.host, ConsistentRead=True)
    for page in pages:
        for item in page["Items"]:
            yield _thread(item, primary_key, expiry)


def _thread(item: Mapping[str, Mapping[str, Any]], primary_key: str, expiry: str) -> Conversation | BadThread:
    key = _value(item.get(primary_key, {"NULL": True}))
    where = f"item {key!r}"
    if not isinstance(key, str):
        return BadThread(where, f"its {primary_key} is not a string")
    history = _value(item.get("History", {"NULL": True}))
    if not isinstance(history, list):
        return BadThread(where, "it has no list History")
    until = _value(item.get(expiry, {"NULL": True}))
    parts = (Part(f"message {number}", data) for number, data in enumerate(history, 1))
    try:
        expires_at = datetime.fromtimestamp(until, UTC) if isinstance(until, int) else None
    except (ValueError, OverflowError, OSError):
        return BadThread(where, f"its {expiry}, {until}, is no time in seconds since 1970")
    return salvaged(where, key, parts, expires_at=expires_at)


def _value(attribute: Mapping[str, Any]) -> Json:
    """A typed attribute as JSON."""
    [(kind, value)] = attribute.items()
    if kind == "M":
        return {name: _value(inner) for name, inner in value.items()}
    if kind == "L":
        return [_value(inner) for inner in value]
    if kind == "N":
        return int(value) if value.lstrip("-").isdecimal() else float(value)
    if kind == "B":
        return _text(value)
    if kind in ("NS", "BS"):
        return [_value({kind[0]: inner}) for inner in value]
    return None if kind == "NULL" else value


def _text(value: bytes) -> str:
    """Bytes of a block are base64 already; any other are made so."""
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
