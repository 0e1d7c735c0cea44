"""What a store must amount to: each thread a plain list, as the state machine expects it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from chatstore.codec import Json
from chatstore.models import Message, Thread
from chatstore.window import count_tokens

__all__ = ["History", "Version", "merged", "newest_that_fit"]


class Version(NamedTuple):
    """What an etag of a log stands for: which history, how often appended to, how often edited."""

    life: int
    appends: int
    edits: int


@dataclass
class History:
    """One thread: its properties as last given out, and its messages in order, expired ones too."""

    thread: Thread
    active_at: datetime
    version: Version
    messages: list[Message] = field(default_factory=list)
    etags: dict[str, Version] = field(default_factory=dict)

    def living(self, now: datetime) -> list[Message]:
        """The messages that are there."""
        return [one for one in self.messages if one.expires_at is None or one.expires_at > now]

    def appended(self, messages: Sequence[Message]) -> None:
        """Note an append."""
        self.messages.extend(messages)
        if messages:
            self.version = self.version._replace(appends=self.version.appends + 1)

    def cut(self, end: int) -> None:
        """Note that all but the first `end` messages were taken away."""
        del self.messages[end:]
        self.version = self.version._replace(appends=self.version.appends + 1)

    def edited(self) -> None:
        """Note an edit."""
        self.version = self.version._replace(edits=self.version.edits + 1)

    def replaced(self, messages: Sequence[Message], life: int) -> None:
        """Note another history."""
        self.messages = list(messages)
        self.version = Version(life, 0, 0)


def merged(target: Json, patch: Json) -> Json:
    """MergePatch, as RFC 7396 writes it down."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def newest_that_fit(messages: Sequence[Message], budget: int, keep: Sequence[str]) -> list[Message]:
    """A window over messages that neither call tools nor answer for them."""
    pinned: list[Message] = []
    for message in messages[:20]:
        tokens, _ = count_tokens(message)
        if message.role not in keep or tokens > budget:
            break
        pinned.append(message)
        budget -= tokens
    newest: list[Message] = []
    for message in reversed(messages[len(pinned) :]):
        tokens, _ = count_tokens(message)
        if tokens > budget:
            break
        newest.insert(0, message)
        budget -= tokens
    return pinned + newest
