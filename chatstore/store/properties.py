"""Properties of threads as callers pass them, checked and as a backend stores them.

They raise InvalidArgument, with what to change, before anything is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from chatstore.codec import Json, decode, encode
from chatstore.conditions import require_fitting
from chatstore.contract import UNSET, NewThread, ThreadPatch, Unset
from chatstore.errors import InvalidArgument
from chatstore.models import CHAT, Origin, Participant, Thread
from chatstore.store.arguments import (
    MAX_KIND_BYTES,
    MAX_METADATA_BYTES,
    MAX_PARTICIPANTS,
    MAX_THREAD_ID_BYTES,
    MAX_TOPIC_BYTES,
    Ttl,
    aware,
    duration,
    owner_or_none,
    stamp_of,
    text,
    topic_or_none,
)

T = TypeVar("T")
R = TypeVar("R")


def metadata_of(metadata: Mapping[str, Json] | None) -> dict[str, Json]:
    """A copy of `metadata`, if it is JSON and not too large."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidArgument(f"metadata is a JSON object, not {type(metadata).__name__}")
    written = encode(dict(metadata), "metadata", floats_only=True)
    if len(written.encode()) > MAX_METADATA_BYTES:
        raise InvalidArgument(f"metadata takes at most {MAX_METADATA_BYTES:,} bytes of JSON")
    copied: dict[str, Json] = decode(written)
    return copied


def participants_of(participants: Iterable[Participant | Mapping[str, Json]]) -> tuple[Participant, ...]:
    """Participants, each named once."""
    found = tuple([_participant(one) for one in participants])
    if len(found) > MAX_PARTICIPANTS:
        raise InvalidArgument(f"a thread takes at most {MAX_PARTICIPANTS:,} participants, not {len(found):,}")
    if len({one.id for one in found}) < len(found):
        raise InvalidArgument("a participant appears twice: ids within a thread are unique")
    return found


def _participant(one: Participant | Mapping[str, Json]) -> Participant:
    if isinstance(one, Mapping):
        unknown = set(one) - {"id", "display_name", "metadata"}
        if unknown or "id" not in one:
            raise InvalidArgument("a participant has an id, and may have a display_name and metadata")
        one = Participant(**one)
    if not isinstance(one, Participant):
        raise InvalidArgument(f"a participant is a Participant or a mapping, not {type(one).__name__}")
    name = one.display_name
    return Participant(
        text("a participant's id", one.id, MAX_THREAD_ID_BYTES),
        None if name is None else text("a participant's name", name, MAX_TOPIC_BYTES),
        metadata_of(one.metadata),
    )


_PATCHED = set(ThreadPatch._fields)


def patch_of(
    topic: str | Unset | None = UNSET,
    metadata: Mapping[str, Json] | Unset | None = UNSET,
    participants: Iterable[Participant | Mapping[str, Json]] | Unset | None = UNSET,
    ttl: Ttl | Unset = UNSET,
    sliding: bool = False,
    merge: bool = True,
) -> ThreadPatch:
    """Changes to a thread's properties."""
    if sliding and (ttl is None or isinstance(ttl, Unset)):
        raise InvalidArgument("sliding says how a ttl counts: pass a ttl with it")
    return ThreadPatch(
        topic if isinstance(topic, Unset) else topic_or_none(topic),
        changed(metadata, metadata_of),
        changed(participants, participants_of),
        ttl if isinstance(ttl, Unset) else duration("ttl", ttl),
        bool(sliding),
        bool(merge),
    )


def patch_or_none(patch: Mapping[str, Any] | None) -> ThreadPatch | None:
    """Changes to a thread's properties that go with an append, by the names that `update_thread` has."""
    if patch is None:
        return None
    if set(patch) - _PATCHED:
        raise InvalidArgument(f"a patch is a mapping of {', '.join(sorted(_PATCHED))}")
    return patch_of(**patch)


def kind_of(kind: str) -> str:
    """What a thread is kept for, if it can be that."""
    if text("kind", kind, MAX_KIND_BYTES, empty=False) == "*":
        raise InvalidArgument("a kind is a name of your choice; '*' stands for every kind in a listing")
    return kind


def new_thread(
    owner: str | None,
    ttl: Ttl,
    sliding: bool,
    topic: str | None,
    metadata: Mapping[str, Json] | None,
    participants: Iterable[Participant | Mapping[str, Json]],
    kind: str,
) -> NewThread:
    """The properties of a thread that is to be made."""
    if sliding and ttl is None:
        raise InvalidArgument("sliding says how a ttl counts: pass a ttl with it")
    if topic is None and metadata is None and ttl is None and participants == () and kind == CHAT:
        return NewThread(owner)
    new = NewThread(
        owner,
        topic_or_none(topic),
        metadata_of(metadata),
        participants_of(participants),
        duration("ttl", ttl),
        bool(sliding),
        kind if kind == CHAT else kind_of(kind),
    )
    if new.topic or new.metadata or new.participants:
        require_fitting(new)
    return new


def changed(value: T | Unset | None, check: Callable[[T], R]) -> R | Unset | None:
    """A property of an update: None and UNSET as they are, anything else checked."""
    return value if value is None or isinstance(value, Unset) else check(value)


def thread_of(thread: Thread) -> Thread:
    """A thread's properties as they are to be restored."""
    created, active = (stamp_of(name, getattr(thread, name)) for name in ("created_at", "active_at"))
    return Thread(
        text("a thread id", thread.id, MAX_THREAD_ID_BYTES),
        owner_or_none(thread.owner),
        topic_or_none(thread.topic),
        metadata_of(thread.metadata),
        participants_of(thread.participants),
        created,
        active,
        aware("expires_at", thread.expires_at),
        thread.etag,
        kind_of(thread.kind),
        duration("sliding", thread.sliding),
        None if thread.forked_from is None else Origin(*thread.forked_from),
    )
