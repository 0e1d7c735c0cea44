"""Messages as callers pass them, checked and as a backend stores them.

They raise InvalidArgument, with what to change, before anything is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from chatstore.codec import Json, decode, encode
from chatstore.conditions import require_small
from chatstore.contract import Draft, MetadataPatch
from chatstore.errors import InvalidArgument, InvalidMessage, MessageTooLarge
from chatstore.models import NAMED_BY_KEY, Message, message_text
from chatstore.store.arguments import (
    MAX_KEY_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_THREAD_ID_BYTES,
    Keys,
    MessageLike,
    MessageMetadata,
    Ttls,
    aware,
    duration,
    stamp_of,
    text,
)

T = TypeVar("T")


def drafts_of(
    messages: Iterable[MessageLike],
    expires_in: Ttls = None,
    metadata: MessageMetadata = None,
    key: Keys = None,
) -> Sequence[Draft]:
    """Messages as they are to be stored. Raises InvalidArgument for a key that is there twice."""
    drafts = [_draft(message) for message in messages]
    count = len(drafts)
    if expires_in is not None:
        times = expires_in if isinstance(expires_in, Sequence) else [expires_in] * count
        for index, one in _numbered("expires_in", times, count):
            drafts[index] = drafts[index]._replace(ttl=duration("expires_in", one))
    if metadata is not None:
        beside = metadata if isinstance(metadata, Sequence) else [metadata] * count
        for index, kept in _numbered("metadata", beside, count):
            if kept is not None:
                drafts[index] = drafts[index]._replace(metadata=message_metadata(kept))
    if key is not None:
        for index, name in _numbered("key", [key] if isinstance(key, str) else key, count):
            if name is not None:
                drafts[index] = drafts[index]._replace(key=key_of(name))
    named = [draft.key for draft in drafts if draft.key is not None]
    if len(set(named)) < len(named):
        raise InvalidArgument("a key appears twice: each key names one message of a thread")
    return drafts


def _numbered(name: str, given: Sequence[T], count: int) -> Iterable[tuple[int, T]]:
    if isinstance(given, str) or len(given) != count:
        raise InvalidArgument(
            f"{name} has {len(given):,} values for {count:,} messages: pass one for each, or one for all"
        )
    return enumerate(given)


def key_of(key: str) -> str:
    """A client's name for a message, if it can be one."""
    return text("a key", key, MAX_KEY_BYTES, empty=False)


def message_metadata(metadata: Mapping[str, Json]) -> str | None:
    """What is kept beside a message as JSON text, if it is JSON and not too large; None for nothing."""
    if not isinstance(metadata, Mapping):
        raise InvalidArgument(f"a message's metadata is a JSON object, not {type(metadata).__name__}")
    if not metadata:
        return None
    written = encode(dict(metadata), "metadata")
    require_small(written)
    return written


def metadata_change(metadata: Mapping[str, Json] | None, *, merge: bool) -> MetadataPatch:
    """A change of what is kept beside a message; None takes all of it away."""
    if metadata is None:
        return MetadataPatch({}, merge=False)
    message_metadata(metadata)
    copied: dict[str, Json] = decode(encode(dict(metadata), "metadata"))
    return MetadataPatch(copied, bool(merge))


def kept_message(message: Message) -> Message:
    """A message as it is to be restored."""
    if message.id is None:
        raise InvalidArgument("a message to be restored needs its id")
    if message.id.startswith(NAMED_BY_KEY):
        raise InvalidArgument(f"a message id that begins with {NAMED_BY_KEY!r} would be taken for a key")
    draft = _draft(message)
    return Message(
        draft.text,
        text("a message id", message.id, MAX_THREAD_ID_BYTES, empty=False),
        created_at=stamp_of("created_at", message.created_at),
        expires_at=aware("expires_at", message.expires_at),
        metadata=message.metadata,
        key=draft.key,
    )


def _draft(message: MessageLike) -> Draft:
    if isinstance(message, Draft):
        draft = message
    elif isinstance(message, Message):
        # It may have been made by hand around any text, so it is read again like a mapping.
        draft = Draft(
            message_text(_reread(message)),
            metadata=message_metadata(message.metadata),
            key=None if message.key is None else key_of(message.key),
        )
    else:
        draft = Draft(message_text(message))
    if len(draft.text) * 4 > MAX_MESSAGE_BYTES and len(draft.text.encode()) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"a message takes at most {MAX_MESSAGE_BYTES:,} bytes of JSON")
    return draft


def _reread(message: Message) -> dict[str, Json]:
    try:
        data = decode(message.text)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidMessage(f"a Message's text is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidMessage("a Message's text is not a JSON object")
    return data
