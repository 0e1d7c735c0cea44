"""Brings threads into a store as they were, and says what became of each.

What the store has already is compared, not remembered: run again, it adds nothing, and one that was
killed goes on where it was.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from chatstore.backup.comparing import pairs, properties, same
from chatstore.backup.reading import Chosen, Gone, Kept, kept_threads, over
from chatstore.batching import batches
from chatstore.errors import Conflict, CursorExpired, StorageError, ThreadExists, ThreadNotFound
from chatstore.exporting import history
from chatstore.models import Message
from chatstore.store import ChatStore

__all__ = ["Outcome", "Pace", "Status", "remove_others", "restore_threads"]

_MESSAGES, _BYTES = 500, 1024 * 1024
"""What is handed to the store at once."""

_TRIES = 5

Pace = Callable[[int], None]
"""Called before so many messages are written; it may wait."""


class Status(enum.Enum):
    """What became of a thread."""

    ADDED = "added"
    RESUMED = "resumed"
    UPDATED = "updated"
    REPLACED = "replaced"
    REMOVED = "removed"
    UNCHANGED = "unchanged"
    EXPIRED = "expired"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done about one thread: `messages` counts those that were added."""

    tenant: str
    thread_id: str
    status: Status
    messages: int = 0
    reason: str | None = None


def restore_threads(
    store: ChatStore, kept: Iterable[Kept], *, mirror: bool = False, pace: Pace = lambda _: None
) -> Iterator[Outcome]:
    """Bring each thread into the store, yielding after each what was done.

    A thread of which the store has the beginning gets the rest. One that is another there is left alone
    and reported as changed; with `mirror` it is made what it was. Raises StorageError where the store fails;
    what was yielded before that is kept.
    """
    for one in kept:
        yield _restore(store.for_tenant(one.tenant), one, mirror, pace)


def remove_others(store: ChatStore, source: ChatStore, chosen: Chosen) -> Iterator[Outcome]:
    """Remove from the store what the source does not have, of what is chosen."""
    for kept in kept_threads(store, chosen):
        try:
            source.for_tenant(kept.tenant).get_thread(kept.thread.id)
        except ThreadNotFound:
            store.for_tenant(kept.tenant).delete_thread(kept.thread.id)
            yield Outcome(kept.tenant, kept.thread.id, Status.REMOVED)


def _restore(store: ChatStore, kept: Kept, mirror: bool, pace: Pace) -> Outcome:
    writing = _Writing(store, kept, pace)
    for _ in range(_TRIES):
        if over(kept.thread.expires_at, store):
            return writing.outcome(Status.EXPIRED)
        try:
            return writing.once(mirror)
        except Gone:
            return writing.outcome(Status.EXPIRED)
        except (Conflict, CursorExpired, ThreadExists, ThreadNotFound):
            continue  # somebody else is writing, on either side: look again
    return writing.outcome(Status.CHANGED, "somebody else keeps writing to it")


class _Writing:
    """The tries at one thread."""

    def __init__(self, store: ChatStore, kept: Kept, pace: Pace) -> None:
        self._store = store
        self._kept = kept
        self._pace = pace
        self._added = 0
        self._made: Status | None = None

    def outcome(self, status: Status, reason: str | None = None) -> Outcome:
        return Outcome(self._kept.tenant, self._kept.thread.id, status, self._added, reason)

    def once(self, mirror: bool) -> Outcome:
        thread = self._kept.thread
        try:
            present = self._store.get_thread(thread.id)
        except ThreadNotFound:
            self._made = self._made or Status.ADDED
            self._write(self._living(), None)
            return self.outcome(self._made)
        found = self._missing()
        # What a thread keeps for ever can only be set when it is made.
        another = present.owner != thread.owner or present.active_at > thread.active_at
        if mirror and (found is None or another):
            self._store.delete_thread(thread.id)
            self._made = Status.REPLACED
            raise Conflict(None)  # and begin again, with nothing there
        if found is None:
            return self.outcome(Status.CHANGED, "the store has other messages under this id")
        rest, etag = found
        differs = properties(present) != properties(thread)
        if differs and not mirror:
            return self.outcome(Status.CHANGED, "the store's thread of this id has other properties")
        if differs:
            etag = self._store.restore(thread, (), if_match=etag).etag
        self._write(rest, etag)
        status = Status.RESUMED if self._added else Status.UPDATED if differs else Status.UNCHANGED
        return self.outcome(self._made or status)

    def _living(self) -> Iterator[Message]:
        return (one for one in self._kept.messages() if not over(one.expires_at, self._store))

    def _missing(self) -> tuple[Iterator[Message], str] | None:
        """The messages that the store lacks, and its log's etag; None where it has others."""
        etag: str | None = None

        def there() -> Iterator[Message]:
            nonlocal etag
            for page in history(self._store, self._kept.thread.id):
                if page.etag is None:
                    raise ThreadNotFound(self._kept.thread.id)
                etag = page.etag
                yield from page

        source = self._living()
        first: list[Message] = []
        for mine, other in pairs(self._store, source, there()):
            if mine is None or (other is not None and not same(mine, other)):
                return None
            if other is None:
                first = [mine]
        if etag is None:
            raise ThreadNotFound(self._kept.thread.id)
        return chain(first, source), etag

    def _write(self, messages: Iterator[Message], etag: str | None) -> None:
        thread, there = self._kept.thread, etag is not None
        for batch in batches(messages, _length, most=_MESSAGES, size_most=_BYTES):
            left = batch
            self._pace(len(left))
            while left:
                done = self._store.restore(thread, left, if_match=etag)
                if etag is not None and not done.messages:
                    raise StorageError(f"thread {thread.id!r}: the store takes no more messages")
                etag = done.etag
                self._added += len(done.messages)
                left = left[len(done.messages) :]
        if etag is None:
            self._pace(1)
        if etag is None or there:
            # Who made a thread that is there may have been killed before lists had it.
            self._store.restore(thread, (), if_match=etag)


def _length(message: Message) -> int:
    return len(message.text.encode())
