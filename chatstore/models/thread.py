"""A thread's properties, and who takes part in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, final

from chatstore.codec import Json
from chatstore.models.cost import Cost
from chatstore.models.quick import quickly_made

__all__ = ["CHAT", "Origin", "Participant", "Thread"]

CHAT = "chat"
"""The kind of a thread that is a conversation, which is the one that listings show."""


@final
@quickly_made
@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody who takes part in a thread; `metadata` is any JSON object."""

    id: str
    display_name: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)


class Origin(NamedTuple):
    """What a thread was forked from: the other thread's id, and its last message that was copied."""

    thread: str
    message: str | None


@final
@quickly_made
@dataclass(frozen=True, slots=True)
class Thread:
    """A thread's properties; its messages are read on their own.

    `active_at` is when messages were last added; a backend may keep it to the minute. `etag` is the revision
    of the properties. It changes when one of them does, never when messages do. If the expiry slides, the
    thread lives for at least `sliding` after its last append. `message_count` and `preview`, the first 200
    characters of the newest message's text, are set only in a list with previews.
    """

    id: str
    owner: str | None
    topic: str | None
    metadata: Mapping[str, Json]
    participants: tuple[Participant, ...]
    created_at: datetime
    active_at: datetime
    expires_at: datetime | None
    etag: str
    kind: str = CHAT
    sliding: timedelta | None = None
    forked_from: Origin | None = None
    message_count: int | None = field(default=None, compare=False)
    preview: str | None = field(default=None, compare=False)
    cost: Cost | None = field(default=None, compare=False, repr=False)
