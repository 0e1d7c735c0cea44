"""The contract between the store and a backend: everything a backend must do.

The store checks arguments; a backend may rely on them. A backend keeps the promises, on every
operation alike:

- a mutation happens whole or not at all, and messages take their order from the storage;
- `if_match` is compared in the same atomic step as the write. Update and delete compare a thread's `etag`. An
  operation that names one message by its id compares that message's. All others compare the log's; an append
  that cuts nothing compares only the log's epoch and tail. `if_thread`, of an append or the change of a
  message, is compared with the thread's etag in the same step. ``"*"`` requires only that the target exists,
  `ABSENT` that it does not. Of several, separated by commas, one must match. If none does, raise `Conflict`
  with the current etag (`chatstore.conditions` compares so);
- with a `request`, its record is written in the same atomic step, and found again before anything else is
  looked at: the same id and digest give the first result again, another digest raises `RequestMismatch`.
  Failures are not recorded;
- what has expired by the backend's clock does not exist any more, even if it is not removed yet;
- a message may be named by its key instead of its id, as ``key:`` and the key. The key of a message is free
  again once the message has expired, or was cut, deleted or replaced with its history;
- the tenant is part of every key. Errors of a driver become `StorageError`, ``from`` their cause.
"""

from __future__ import annotations

import enum
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypeVar

from chatstore.contract.values import (
    SHORT_CHARACTERS,
    UNSET,
    Cut,
    Draft,
    InsertAt,
    Listing,
    MetadataPatch,
    NewThread,
    Query,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
    Unset,
)
from chatstore.errors import Unsupported
from chatstore.models import Appended, Deleted, Entries, Erased, Found, Message, Page, Swept, Thread

if TYPE_CHECKING:
    from chatstore.fair_threads import Beside

__all__ = ["Backend", "Capability", "Clock", "system_clock"]

T = TypeVar("T")

Clock: TypeAlias = Callable[[], int]
"""Gives the present in microseconds since 1970, UTC."""


def system_clock() -> int:
    """The machine's own clock."""
    return time.time_ns() // 1000


class Capability(enum.Enum):
    """What a backend may do or not; the rest of the contract is not optional.

    If a capability is declared, it must pass the contract suite. If not, its calls raise `Unsupported`.
    """

    LIST = "lists threads, newest activity first"
    EDIT = "replaces and deletes single messages by id"
    INDEX = "finds a message by its index: to delete it, to pop the newest, to insert in front of it"
    INSERT = "inserts messages between others"
    FORK = "copies a history into a new thread in one atomic step"
    EXPIRY = "keeps a time to live for threads and messages"
    REQUESTS = "recognises a repeated request id"
    SWEEP = "removes what has expired when asked to"
    ERASE = "removes every trace of an owner"
    RESTORE = "takes threads back as they were"
    TENANTS = "names all its tenants"
    DURABLE = "keeps an acknowledged write when its process is killed"
    SHARED = "serves several processes at once"
    COUNT = "counts an owner's threads cheaply"
    SEARCH = "finds messages by their words"
    COST = "reports what each operation cost"


class Backend(ABC):
    """Where threads are kept. Every method is one atomic step unless its docstring says otherwise.

    The first use opens what the backend needs; `close` gives it back, and it may be opened again.
    """

    name: ClassVar[str]
    """What people call it: "sqlite"."""

    capabilities: frozenset[Capability]
    """What it can do; may depend on how it was opened."""

    request_window: timedelta = timedelta(hours=24)
    """How long a request id is remembered at least."""

    clock: Clock = staticmethod(system_clock)
    """The time by which things are stamped and expire."""

    beside: Beside | None = None
    """The threads of `aside`, where it was opened for an event loop."""

    async def close(self) -> None:  # noqa: B027 - a backend that holds nothing has nothing to give back
        """Give back connections and threads. Safe to call twice."""

    async def must_exist(self) -> None:  # noqa: B027 - most are there, or say so at the first use
        """Raise ConfigurationError where there is no storage yet, and its first use would make one."""

    async def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Make what the storage needs before its first use, such as a table. Safe to repeat."""

    async def ping(self) -> None:  # noqa: B027 - a backend in the process is always there
        """Ask the storage for a sign of life, cheaply; raise `StorageError` when there is none."""

    async def aside(self, caller: tuple[str, str | None], call: Callable[[], T]) -> T:
        """What `call` gives, which may take long; a backend for event loops does it beside the loop.

        `caller` is a tenant, and the owner to whose threads it is confined if it is.
        """
        return call() if self.beside is None else await self.beside.run(caller, call)

    # Threads

    @abstractmethod
    async def create_thread(self, key: ThreadKey, new: NewThread, *, request: Request | None) -> Thread:
        """Create an empty thread. Raises ThreadExists."""

    @abstractmethod
    async def get_thread(self, key: ThreadKey) -> Thread:
        """The thread's properties. Raises ThreadNotFound."""

    @abstractmethod
    async def update_thread(
        self, key: ThreadKey, patch: ThreadPatch, *, if_match: str | None, request: Request | None
    ) -> Thread:
        """Change properties and the thread's etag. Raises ThreadNotFound."""

    @abstractmethod
    async def delete_thread(
        self, key: ThreadKey, *, if_match: str | None, request: Request | None
    ) -> Deleted:
        """Remove a thread and its messages; one that is not there is no error without `if_match`."""

    async def list_threads(self, tenant: str, listing: Listing) -> Page[Thread]:
        """Threads by (activity, id), the greatest first, or the least with `oldest_first`. Capability LIST.

        May return fewer than `limit`, even none, with a `next`: where `max_bytes` ends it, or a filter passes
        few, which looks through about `EXAMINED_BYTES` of metadata for a page.
        """
        raise self._unsupported(Capability.LIST)

    async def count_threads(self, tenant: str, owner: str | None, kind: str | None) -> int:
        """How many threads an owner has, or everybody; of every kind for None. Capability COUNT."""
        raise self._unsupported(Capability.COUNT)

    # Messages

    @abstractmethod
    async def append(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
        cut: Cut | None = None,
        patch: ThreadPatch | None = None,
        if_thread: str | None = None,
    ) -> Appended:
        """Add messages at the end, adjacent and visible together; creates the thread from `create`.

        With `cut`, everything behind it is removed first; without drafts, nothing else happens. What stays
        keeps ids, positions and etags. The epoch stays, the log's etag changes, and later messages have
        positions above the cut ones. With `patch` the properties change too, as `update_thread` changes them;
        a thread that is created has the properties of `create` as patched. `if_match` compares epoch and tail
        alone, and with a `cut` the edits too; `if_thread` compares the properties' etag.

        Without a thread, raises ThreadNotFound if `create` is None or a `cut` is given. Raises ThreadExists
        if the thread is somebody else's, and Conflict, also for a condition on no thread. Raises
        MessageNotFound for the cut, and MessageExists for a key. A key of what is cut is free in the same
        step. Costs the same at any length of the thread, and whatever is cut.
        """

    @abstractmethod
    async def read(self, key: ThreadKey, span: Span) -> Page[Message]:
        """Messages, oldest first, as one consistent view; an empty page for an unknown thread.

        Costs as many messages as it returns, wherever in the thread they are.
        """

    async def read_entries(self, key: ThreadKey, span: Span) -> Entries:
        """The same page as text. A backend that has the stored texts at hand need not make messages of them.

        Raises CorruptData where the text of a message is not one JSON object.
        """
        page = await self.read(key, span)
        if sum([len(message.text) for message in page.items]) <= SHORT_CHARACTERS:
            return Entries.of(page)
        return await self.aside((key.tenant, key.owner), lambda: Entries.of(page))

    @abstractmethod
    async def get_message(self, key: ThreadKey, message_id: str) -> Message:
        """One message. Raises ThreadNotFound, MessageNotFound."""

    @abstractmethod
    async def replace_all(
        self,
        key: ThreadKey,
        drafts: Sequence[Draft],
        *,
        create: NewThread | None,
        if_match: str | None,
        request: Request | None,
    ) -> Appended:
        """Replace the history. A reader sees the old one or the new one, whole.

        If the present messages are the first of `drafts`, they stay and only the rest is appended. An empty
        rest writes nothing. Otherwise the epoch changes. A draft equals a present message if the texts are
        equal, and the metadata and key too, unless the draft has none. Raises ThreadNotFound if `create` is
        None, MessageExists for a key.
        """

    @abstractmethod
    async def clear(self, key: ThreadKey, *, if_match: str | None, request: Request | None) -> Deleted:
        """Remove all messages, as `replace_all` by nothing; no thread is no error without `if_match`."""

    async def insert(
        self, key: ThreadKey, draft: Draft, at: InsertAt, *, if_match: str | None, request: Request | None
    ) -> Message:
        """Add a message between others; at the end it is an append. Capability INSERT, and INDEX by index."""
        raise self._unsupported(Capability.INSERT)

    async def replace_message(
        self,
        key: ThreadKey,
        message_id: str,
        draft: Draft | None,
        *,
        metadata: MetadataPatch | None = None,
        if_match: str | None,
        request: Request | None,
        if_thread: str | None = None,
    ) -> Message:
        """Change a message in its place: its text to that of `draft`, its metadata, or both. Capability EDIT.

        Its id, key, position and times stay; a `draft` brings no metadata and no key of its own. `if_thread`
        is of the thread, as an append has it.
        """
        raise self._unsupported(Capability.EDIT)

    async def delete_message(
        self, key: ThreadKey, message: str | int, *, if_match: str | None, request: Request | None
    ) -> Message | None:
        """Remove a message, by id or by index (negative from the end), and return it as it was.

        Raises ThreadNotFound and MessageNotFound; index -1 of an empty thread gives None.
        Capability EDIT by id, INDEX by index.
        """
        raise self._unsupported(Capability.EDIT)

    async def fork(
        self,
        source: ThreadKey,
        key: ThreadKey,
        cut: Cut | None,
        *,
        patch: ThreadPatch | None = None,
        owner: str | Unset | None = UNSET,
        if_match: str | None,
        request: Request | None,
    ) -> Thread:
        """Copy a thread, its properties and its messages up to `cut`. Capability FORK.

        The new thread's `forked_from` names the source. Its properties are the source's as patched, except an
        `owner` that is given. The copies have new ids; texts, metadata, keys and expiries stay. `request` is
        recorded with the new thread; `if_match` is of the source's log.
        """
        raise self._unsupported(Capability.FORK)

    async def sweep(self, limit: int) -> Swept:
        """Remove at most about `limit` rows of what has expired, for all tenants. Capability SWEEP."""
        raise self._unsupported(Capability.SWEEP)

    async def erase(self, tenant: str, owner: str | None) -> Erased:
        """Remove an owner's threads, messages and results of requests, and their traces. Capability ERASE.

        Without an owner, all threads of the tenant, with and without owners. When it returns, the storage
        holds nothing of them, not even in freed space. After a failure, another call continues.
        """
        raise self._unsupported(Capability.ERASE)

    async def search(self, tenant: str, query: Query) -> Page[Found]:
        """Messages that have every word, with a snippet of each. Capability SEARCH.

        A word is found in any text value of a message, whatever its case; threads of the kind chat alone
        are searched.
        """
        raise self._unsupported(Capability.SEARCH)

    # Backups

    async def list_tenants(self, after: str | None, limit: int) -> Page[str]:
        """Names of tenants, reserved ones too, each once, in the storage's own order. Capability TENANTS.

        Continues after the tenant `after`. Names every tenant that has threads, and perhaps some that had.
        """
        raise self._unsupported(Capability.TENANTS)

    async def restore(
        self, key: ThreadKey, thread: Thread, messages: Sequence[Message], *, if_match: str | None
    ) -> Appended:
        """Take a thread back as it was: its properties, and `messages` at its end. Capability RESTORE.

        Without `if_match` the thread is made, or ThreadExists is raised; with it, the log's etag is compared
        as an append compares it. Properties become those of `thread`, times included, but for the owner, and
        an `active_at` that would go back; messages keep id, text and times. Etags and positions are new ones.
        It takes as many of the first messages as it can write in one atomic step, and returns those. If it
        makes the thread, that may be none. Without anything new it changes nothing, but makes sure that lists
        have the thread, because a killed writer may not have added it.
        """
        raise self._unsupported(Capability.RESTORE)

    def _unsupported(self, capability: Capability) -> Unsupported:
        return Unsupported(f"the {self.name} backend does not have {capability.name} ({capability.value})")
