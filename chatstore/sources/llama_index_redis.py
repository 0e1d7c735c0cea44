"""What RedisChatStore left in a database: a thread in a list.

``llama-index+redis://host:6379/0?match=chat:*``, or ``rediss``, with the options of redis-py; `match` picks
keys, since the store gives its lists no prefix. Only lists are looked at, found by SCAN and read whole. What
is no chat at all is reported as bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast
from urllib.parse import urlencode

import redis

from chatstore.codec import Json
from chatstore.errors import ConfigurationError, StorageError
from chatstore.importing import BadThread, Conversation
from chatstore.sources.opening import Source
from chatstore.sources.salvage import Part, salvaged
from chatstore.urls import Url, shown

__all__ = ["open_source"]

_KEYS_AT_ONCE = 1000
_OPENINGS = ("system", "developer")


@contextmanager
def open_source(url: Url) -> Iterator[Source]:
    """The database's lists, in the order of a scan."""
    options = {name: value for name, value in url.options.items() if name != "match"}
    address = url.text.partition("+")[2].partition("?")[0]
    try:
        opened = redis.Redis.from_url(f"{address}?{urlencode(options)}")
    except ValueError:
        # What it says may quote the password.
        raise ConfigurationError(
            f"{shown(url.text)} cannot be used: write llama-index+redis://HOST:PORT/NUMBER"
        ) from None
    try:
        with opened as client:
            yield Source(_threads(client, url.options.get("match")))
    except redis.RedisError as error:
        raise StorageError(f"{shown(url.text)} cannot be read ({type(error).__name__})") from error


def _threads(client: redis.Redis, match: str | None) -> Iterator[Conversation | BadThread]:
    seen: set[bytes] = set()  # a scan may give a key twice
    for key in client.scan_iter(match=match, count=_KEYS_AT_ONCE, _type="list"):
        if key not in seen:
            seen.add(key)
            yield _thread(client, key)


def _thread(client: redis.Redis, key: bytes) -> Conversation | BadThread:
    where = f"key {key!r}"
    try:
        name = key.decode()
    except UnicodeDecodeError:
        return BadThread(where, "its key is not UTF-8")
    items = cast("list[bytes]", client.lrange(name, 0, -1))
    left = client.pttl(name)
    try:
        expires_at = datetime.now(UTC) + timedelta(milliseconds=left) if left > 0 else None
    except OverflowError:
        return BadThread(
            f"key {name!r}", f"its time to live, {left:,} milliseconds, ends after the year 9999"
        )
    parts = [Part(f"element {number}", item) for number, item in enumerate(items)]
    found = salvaged(f"key {name!r}", name, parts, expires_at=expires_at)
    return _with_doubts(found) if isinstance(found, Conversation) else found


def _with_doubts(found: Conversation) -> Conversation:
    """The store reverses a thread from which it deletes a message; the data tells it at most by its order."""
    if not _looks_reversed([message.to_dict() for message in found.messages]):
        return found
    doubt = "it ends as threads begin, or answers a call before it is made: it looks reversed, and is kept so"
    return replace(found, damage=(*found.damage, doubt))


def _looks_reversed(messages: Sequence[dict[str, Json]]) -> bool:
    if len(messages) > 1 and messages[-1]["role"] in _OPENINGS:
        return True
    answered: set[str] = set()
    for message in messages:
        if any(call in answered for call in _calls(message)):
            return True
        answer = message.get("additional_kwargs", {}).get("tool_call_id")
        if isinstance(answer, str):
            answered.add(answer)
    return False


def _calls(message: dict[str, Json]) -> list[str]:
    """Ids of the tools' calls that a message makes, in LlamaIndex's present form and in OpenAI's."""
    calls = message.get("additional_kwargs", {}).get("tool_calls") or []
    found = [call.get("id") for call in calls if isinstance(call, dict)]
    found += [block.get("tool_call_id") for block in message.get("blocks", []) if isinstance(block, dict)]
    return [call for call in found if isinstance(call, str)]
