"""What reads and searches give: parts of histories and of listings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from chatstore.models.cost import Cost
from chatstore.models.message import Message
from chatstore.models.quick import quickly_made
from chatstore.wire import entries_text

__all__ = ["Entries", "Found", "Page", "Window"]

T = TypeVar("T")


@quickly_made
@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a listing.

    `items` are oldest first for messages, newest activity first for threads. `next` is None at the end. After
    a read with ``last`` or ``before``, pass it as ``before``, otherwise as ``after``; pass it as ``cursor``
    to a list. `end` is where a page of messages ends, or None for an unknown thread. Pass it as ``after``,
    now or later, to see what was added since. `etag` names the log as it was read, for ``if_match``.
    """

    items: tuple[T, ...]
    next: str | None = None
    end: str | None = None
    etag: str | None = None
    cost: Cost | None = field(default=None, compare=False, repr=False)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Window(Page[T]):
    """The newest messages that fit a number of tokens: a page that says how it counted.

    `tokens` is the sum over its messages. `counter` is ``messages`` if every message carried its own count,
    ``estimate`` if at least one was estimated, and ``caller`` if a counter was passed.
    """

    tokens: int = 0
    counter: str = "messages"


@quickly_made
@dataclass(frozen=True, slots=True)
class Entries:
    """A page of messages as JSON text, ready for the wire: their entries, as `Message.entry_text` gives them.

    `text` has commas between the entries; the rest is as in a `Page`.
    """

    text: str
    next: str | None = None
    end: str | None = None
    etag: str | None = None
    cost: Cost | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, page: Page[Message]) -> Entries:
        """The messages of `page`. Raises CorruptData where the text of one is damaged."""
        return cls(cls.text_of(page.items), page.next, page.end, page.etag, page.cost)

    @staticmethod
    def text_of(messages: Iterable[Message]) -> str:
        """The entries of messages, with commas between. Raises CorruptData as `Message.entry_text` does."""
        return entries_text([message._entry() for message in messages])


@dataclass(frozen=True, slots=True)
class Found:
    """A message that a search found, the thread that it is in, and a snippet of its text."""

    thread_id: str
    message: Message
    snippet: str
