"""What backends decide alike: etags and their conditions, patches of threads, when something expires."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from chatstore.codec import Json, encode
from chatstore.contract import ABSENT, UNSET, Listing, MetadataPatch, NewThread, Request, ThreadPatch, Unset
from chatstore.errors import Conflict, InvalidArgument, RequestExpired
from chatstore.models import Message, Origin, Thread, from_micros
from chatstore.wire import micros_of

__all__ = [
    "EXAMINED_BYTES",
    "MAX_MESSAGE_METADATA_BYTES",
    "MAX_PROPERTIES_BYTES",
    "changed_metadata",
    "created",
    "expiry",
    "fitting",
    "forked",
    "has_metadata",
    "listed",
    "log_etag",
    "merge",
    "message_etag",
    "patched",
    "properties_bytes",
    "renewed",
    "require",
    "require_fitting",
    "require_log",
    "require_new_ids",
    "require_small",
    "require_window",
    "restored",
    "restores_nothing",
    "updated",
]

Properties = TypeVar("Properties", Thread, NewThread)

MAX_PROPERTIES_BYTES = 256 * 1024
"""How much JSON the topic, the metadata and the participants of a thread may be together."""

MAX_MESSAGE_METADATA_BYTES = 16 * 1024
"""How much JSON is kept beside a message."""

EXAMINED_BYTES = 2 * 1024 * 1024
"""How much metadata a page of a listing looks through before it ends with what it found, and a cursor."""

_AHEAD = timedelta(minutes=5)


def log_etag(epoch: str, tail: int, edits: int) -> str:
    """Names a log: changes with every append (`tail`), edit (`edits`) and replacement (`epoch`)."""
    return f"{epoch}.{tail}.{edits}"


def message_etag(message_id: str, revision: int) -> str:
    """Names a message as it is: changes with each replacement of it."""
    return f"{message_id[-12:]}.{revision}"


def require(if_match: str | None, current: str | None) -> None:
    """Raise Conflict unless `if_match` is None or holds: it is of `current`, None where nothing is there.

    ``"*"`` holds with something there, `ABSENT` with nothing. Of several, divided by commas, one has to hold.
    """
    if if_match is None:
        return
    held = current is None if if_match == ABSENT else current is not None and _names(if_match, current)
    if not held:
        raise Conflict(current)


def require_log(if_match: str | None, current: str, *, appending: bool = False) -> None:
    """Raise Conflict unless the log's ETag holds; an append leaves the count of edits out."""
    if appending and if_match is not None:
        if_match = ",".join(_without_edits(etag, current) for etag in if_match.split(","))
    require(if_match, current)


def require_window(request: Request | None, now: int, window: timedelta) -> None:
    """Raise RequestExpired if `request` carries a time that lies outside the window before `now`."""
    if request is None or request.sent_at is None:
        return
    if request.sent_at > from_micros(now) + _AHEAD:
        raise RequestExpired(
            f"request id {request.id!r} is more than 5 minutes ahead of the store's time: "
            "set the clock that made it"
        )
    if request.sent_at < from_micros(now) - window:
        raise RequestExpired(
            f"request id {request.id!r} is older than {window}: whether it took effect is no longer "
            "known; read the thread, and send what is missing under a new id"
        )


def _names(if_match: str, current: str) -> bool:
    return any(etag.strip() in ("*", current) for etag in if_match.split(","))


def _without_edits(etag: str, current: str) -> str:
    """`current` where `etag` is of the same epoch and tail, else `etag`."""
    return current if etag.strip().rpartition(".")[0] == current.rpartition(".")[0] else etag


def restored(present: Thread, thread: Thread) -> Thread:
    """What `thread` makes of a thread that is there. Raises InvalidArgument for another owner's."""
    if present.owner != thread.owner:
        raise InvalidArgument(f"thread {thread.id!r} has another owner, which cannot change")
    return replace(thread, active_at=max(present.active_at, thread.active_at), cost=None)


def restores_nothing(present: Thread, thread: Thread, messages: Sequence[Message]) -> bool:
    """Whether a thread that is there is `thread` already, and there are no messages to add."""
    return not messages and replace(present, etag="", cost=None) == replace(thread, etag="", cost=None)


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
    """The properties of a thread after a patch, except when it expires."""
    before = properties
    if patch.topic is not UNSET:
        properties = replace(properties, topic=patch.topic)
    if patch.metadata is not UNSET:
        given = patch.metadata
        merging = patch.merge and given is not None
        metadata = merge(properties.metadata, given or {}) if merging else dict(given or {})
        properties = replace(properties, metadata=metadata)
    if patch.participants is not UNSET:
        properties = replace(properties, participants=patch.participants or ())
    if properties is not before:
        require_fitting(properties, before)
    return properties


def properties_bytes(properties: Thread | NewThread) -> int:
    """How much JSON a thread's topic, metadata and participants are."""
    # Each by itself: within a list, metadata would be nested deeper than it may be.
    texts: list[Json] = [properties.topic, dict(properties.metadata)]
    for one in properties.participants:
        texts += [one.id, one.display_name, dict(one.metadata)]
    return sum(len(encode(text).encode()) for text in texts)


def require_fitting(properties: Thread | NewThread, before: Thread | NewThread | None = None) -> None:
    """Raise InvalidArgument where a thread's properties are too large together, and larger than `before`."""
    size = properties_bytes(properties)
    if size > MAX_PROPERTIES_BYTES and (before is None or size > properties_bytes(before)):
        raise InvalidArgument(
            f"a thread's topic, metadata and participants take at most {MAX_PROPERTIES_BYTES:,} bytes of "
            f"JSON together, not {size:,}: keep the rest elsewhere, or take some of it out"
        )


def require_small(metadata: str | None) -> None:
    """Raise InvalidArgument where what is kept beside a message is too much JSON text."""
    if metadata is not None and len(metadata.encode()) > MAX_MESSAGE_METADATA_BYTES:
        raise InvalidArgument(
            f"a message's metadata takes at most {MAX_MESSAGE_METADATA_BYTES:,} bytes of JSON: put the rest "
            "into the message"
        )


def changed_metadata(present: Mapping[str, Json], change: MetadataPatch) -> dict[str, Json]:
    """What is kept beside a message after a change of it. Raises InvalidArgument where that is too much."""
    metadata = merge(present, change.value) if change.merge else dict(change.value)
    require_small(encode(metadata))
    return metadata


def fitting(threads: Sequence[Thread], most_bytes: int | None) -> int:
    """How many of `threads` a page holds that ends before their properties are more than `most_bytes`.

    One at least, where there is one.
    """
    if most_bytes is None:
        return len(threads)
    size = 0
    for count, thread in enumerate(threads):
        size += properties_bytes(thread)
        if count and size > most_bytes:
            return count
    return len(threads)


def created(new: NewThread, patch: ThreadPatch) -> NewThread:
    """The properties of a new thread with those of a patch."""
    new = patched(new, patch)
    if patch.ttl is UNSET:
        return new
    return replace(new, ttl=patch.ttl, sliding=patch.sliding)


def forked(
    source: Thread,
    id: str,
    origin: Origin,
    patch: ThreadPatch | None,
    owner: str | Unset | None,
    now: int,
) -> Thread:
    """The properties of a fork that is made at `now` of the thread `source`; its etag is still to be set."""
    thread = source if patch is None else patched(source, patch)
    at = from_micros(now)
    thread = replace(thread, id=id, forked_from=origin, created_at=at, active_at=at, cost=None)
    if owner is not UNSET:
        thread = replace(thread, owner=owner)
    return renewed(thread, now)


def updated(thread: Thread, patch: ThreadPatch, now: int) -> Thread:
    """A thread as patched, and when it expires."""
    thread = patched(thread, patch)
    if patch.ttl is UNSET:
        return thread
    expires = expiry(now, patch.ttl)
    return replace(
        thread,
        expires_at=None if expires is None else from_micros(expires),
        sliding=patch.ttl if patch.sliding else None,
    )


def renewed(thread: Thread, now: int) -> Thread:
    """A thread whose expiry slides as an append at `now` leaves it.

    The expiry is renewed when less than the time to live is left: to that time and an eighth more. So not
    each append changes the properties. Without a change it is the same object.
    """
    if thread.sliding is None or thread.expires_at is None:
        return thread
    least = from_micros(now) + thread.sliding
    return thread if thread.expires_at >= least else replace(thread, expires_at=least + thread.sliding / 8)


def listed(thread: Thread, listing: Listing) -> bool:
    """Whether a listing shows a thread, but for where its page begins and ends."""
    return (
        (listing.owner is None or thread.owner == listing.owner)
        and (listing.kind is None or thread.kind == listing.kind)
        and _within(thread.active_at, listing.active_since, listing.active_before)
        and _within(thread.created_at, listing.created_since, listing.created_before)
        and (listing.topic_prefix is None or (thread.topic or "").startswith(listing.topic_prefix))
        and (listing.forked_from is None or (thread.forked_from or (None,))[0] == listing.forked_from)
        and has_metadata(thread.metadata, listing.metadata)
    )


def _within(time: datetime, since: datetime | None, before: datetime | None) -> bool:
    return (since is None or time >= since) and (before is None or time < before)


def expiry(now: int, ttl: timedelta | None) -> int | None:
    """When something of that time to live expires, in microseconds; None for never."""
    return None if ttl is None else now + micros_of(ttl)


def has_metadata(metadata: Mapping[str, Json], wanted: Mapping[str, Json]) -> bool:
    """Whether every key of `wanted` is there with an equal value, equal as JSON text."""
    return all(key in metadata and encode(metadata[key]) == encode(value) for key, value in wanted.items())
