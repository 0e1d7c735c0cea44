"""What writes, erasures and sweeps did."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from chatstore.models.cost import Cost
from chatstore.models.message import Message
from chatstore.models.quick import quickly_made

__all__ = ["Appended", "Deleted", "Erased", "Swept"]


@quickly_made
@dataclass(frozen=True, slots=True)
class Appended:
    """What an append or a replace wrote.

    `messages` are those that were stored, with their ids and positions. `kept` counts the leading messages
    that a replace left as they were. `etag` names the log after the write. `thread_etag` names the
    properties, if the write changed or compared them.
    """

    messages: tuple[Message, ...]
    etag: str
    kept: int = 0
    thread_etag: str | None = None
    cost: Cost | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Deleted:
    """Whether the thread to be deleted or cleared was there; `etag` names the log after a clear."""

    existed: bool
    etag: str | None = None
    cost: Cost | None = field(default=None, compare=False, repr=False)

    def __bool__(self) -> bool:
        return self.existed


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure removed: threads, messages, remembered results of requests, and API keys."""

    threads: int
    messages: int
    requests: int
    keys: int = 0
    cost: Cost | None = field(default=None, compare=False, repr=False)

    def __add__(self, then: Erased) -> Erased:
        """What both removed; the cost is that of the later."""
        return replace(
            then,
            threads=self.threads + then.threads,
            messages=self.messages + then.messages,
            requests=self.requests + then.requests,
            keys=self.keys + then.keys,
        )


@dataclass(frozen=True, slots=True)
class Swept:
    """What one step of a sweep removed, and whether there is `more` to remove."""

    threads: int
    messages: int
    requests: int
    more: bool
    cost: Cost | None = field(default=None, compare=False, repr=False)

    @property
    def removed(self) -> dict[str, int]:
        """How many were removed, by what they are."""
        return {"threads": self.threads, "messages": self.messages, "requests": self.requests}

    def __add__(self, then: Swept) -> Swept:
        """What both removed; the rest is as the later says it."""
        return replace(
            then,
            threads=self.threads + then.threads,
            messages=self.messages + then.messages,
            requests=self.requests + then.requests,
        )
