"""What backends decide alike: etags and their conditions, patches of threads, when something expires."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from chatstore.codec import Json, encode
from chatstore.contract import UNSET, NewThread, ThreadPatch
from chatstore.errors import Conflict, InvalidArgument
from chatstore.models import Message, Thread, from_micros

__all__ = [
    "expiry",
    "has_metadata",
    "log_etag",
    "merge",
    "message_etag",
    "patched",
    "require",
    "require_log",
    "require_new_ids",
    "restored",
    "updated",
]

Properties = TypeVar("Properties", Thread, NewThread)

_MICROSECOND = timedelta(microseconds=1)


def log_etag(epoch: str, tail: int, edits: int) -> str:
    """Names a log: changes with every append (`tail`), edit (`edits`) and replacement (`epoch`)."""
    return f"{epoch}.{tail}.{edits}"


def message_etag(message_id: str, revision: int) -> str:
    """Names a message as it is: changes with each replacement of it."""
    return f"{message_id[-12:]}.{revision}"


def require(if_match: str | None, current: str | None) -> None:
    """Raise Conflict unless `if_match` is None, ``"*"`` with something there, or `current`."""
    if if_match is not None and (current is None or if_match not in ("*", current)):
        raise Conflict(current)


def require_log(if_match: str | None, current: str, *, appending: bool = False) -> None:
    """The same for a log; an append is not disturbed by edits, so it leaves their count out."""
    if appending and if_match is not None and if_match.rpartition(".")[0] == current.rpartition(".")[0]:
        return
    require(if_match, current)


def restored(present: Thread, thread: Thread) -> Thread:
    """What `thread` makes of a thread that is there. Raises InvalidArgument for another owner's."""
    if present.owner != thread.owner:
        raise InvalidArgument(f"thread {thread.id!r} has another owner, and keeps it for ever")
    return replace(thread, active_at=max(present.active_at, thread.active_at), cost=None)


def require_new_ids(messages: Sequence[Message], present: Collection[str | None]) -> None:
    """Raise InvalidArgument where a message to be restored has an id that the thread has already."""
    known = set(present)
    for message in messages:
        if message.id in known:
            raise InvalidArgument(f"the thread has a message with the id {message.id!r} already")
        known.add(message.id)


def merge(target: Mapping[str, Json], patch: Mapping[str, Json]) -> dict[str, Json]:
    """`target` with `patch` merged in, as RFC 7396 says: None removes a key, objects merge."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            present = merged.get(key)
            merged[key] = merge(present if isinstance(present, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def patched(properties: Properties, patch: ThreadPatch) -> Properties:
    """The properties of a thread as a patch leaves them, but for when it expires."""
    if patch.topic is not UNSET:
        properties = replace(properties, topic=patch.topic)
    if patch.metadata is not UNSET:
        metadata = {} if patch.metadata is None else merge(properties.metadata, patch.metadata)
        properties = replace(properties, metadata=metadata)
    if patch.participants is not UNSET:
        properties = replace(properties, participants=patch.participants or ())
    return properties


def updated(thread: Thread, patch: ThreadPatch, now: int) -> Thread:
    """The same, and when it expires."""
    thread = patched(thread, patch)
    if patch.ttl is UNSET:
        return thread
    expires = expiry(now, patch.ttl)
    return replace(thread, expires_at=None if expires is None else from_micros(expires))


def expiry(now: int, ttl: timedelta | None) -> int | None:
    """When something of that time to live expires, in microseconds; None for never."""
    return None if ttl is None else now + ttl // _MICROSECOND


def has_metadata(metadata: Mapping[str, Json], wanted: Mapping[str, Json]) -> bool:
    """Whether every key of `wanted` is there with an equal value, equal as JSON text."""
    return all(key in metadata and encode(metadata[key]) == encode(value) for key, value in wanted.items())
