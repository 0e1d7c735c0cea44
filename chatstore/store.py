"""The store: what callers use, and the one place where arguments are checked.

`AsyncChatStore` holds the source; `ChatStore` is the same methods stepped to their end without an
event loop, and differs in nothing else.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from chatstore import blocking
from chatstore.codec import Json, decode, encode
from chatstore.contract import (
    UNSET,
    Backend,
    Draft,
    InsertAt,
    Listing,
    NewThread,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
    Unset,
)
from chatstore.errors import (
    Conflict,
    CursorExpired,
    InvalidArgument,
    InvalidMessage,
    MessageTooLarge,
    RequestExpired,
    ThreadNotFound,
)
from chatstore.ids import time_of, uuid7
from chatstore.models import (
    Appended,
    Deleted,
    Message,
    Page,
    Participant,
    Place,
    Swept,
    Thread,
    ThreadCursor,
    Window,
    from_micros,
)
from chatstore.window import PINNED_AT_MOST, Counter, WindowBuilder

__all__ = [
    "DEFAULT_LIMIT",
    "MAX_LIMIT",
    "MAX_MESSAGE_BYTES",
    "MAX_METADATA_BYTES",
    "MAX_OWNER_BYTES",
    "MAX_TENANT_BYTES",
    "MAX_THREAD_ID_BYTES",
    "AsyncChatStore",
    "ChatStore",
    "MessageLike",
    "RequestId",
]

MAX_TENANT_BYTES = 128
MAX_OWNER_BYTES = 256
MAX_THREAD_ID_BYTES = 1024
MAX_TOPIC_BYTES = 4096
MAX_REQUEST_ID_BYTES = 256
MAX_METADATA_BYTES = 64 * 1024
MAX_PARTICIPANTS = 1000
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
MAX_TTL = timedelta(days=36525)
"""A century: beyond it, pass None."""

MessageLike: TypeAlias = Message | Mapping[str, Json]
Ttl: TypeAlias = timedelta | float | None
"""A time to live: a timedelta, or seconds; None means for ever."""

_AHEAD = timedelta(minutes=5)
_PAGE_BYTES = 4 * 1024 * 1024
_RESTARTS = 5

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class RequestId(str):
    """A request id that says when the request was first sent, for one whose text carries no time."""

    __slots__ = ("sent_at",)
    sent_at: datetime | None

    def __new__(cls, text: str, sent_at: datetime | None = None) -> RequestId:
        self = super().__new__(cls, text)
        self.sent_at = sent_at
        return self


class AsyncChatStore:
    """Threads of ordered messages, for one tenant.

    Every mutation is atomic and takes two options. `request_id` makes it safe to repeat: within the
    backend's window (24 hours at least for ids that carry their time, such as `chatstore.uuid7`),
    the same request gives the first result again and has no further effect; the same id with
    anything else raises RequestMismatch, an id from outside the window RequestExpired. `if_match`
    is an ETag that must still hold, or Conflict is raised with the one that does: a thread's own for
    `update_thread` and `delete_thread`, a message's where one is named by its id, otherwise that of
    the log, as pages and appends carry it. An append is disturbed only by other appends, the rest
    of the log's operations by edits too.

    A thread that does not exist has no messages: `read`, `window` and `iter_messages` give none,
    `clear` and `delete_thread` have nothing to do; everything else raises ThreadNotFound. Arguments that
    cannot be used raise InvalidArgument before anything is done, storage that fails StorageError.
    """

    def __init__(self, backend: Backend, *, tenant: str = "default", owns_backend: bool = True) -> None:
        self.backend = backend
        self.tenant = _text("tenant", tenant, MAX_TENANT_BYTES, empty=False)
        self._owns_backend = owns_backend

    def for_tenant(self, tenant: str) -> AsyncChatStore:
        """The same store, scoped to another tenant. Closing it leaves the backend open."""
        return AsyncChatStore(self.backend, tenant=tenant, owns_backend=False)

    async def close(self) -> None:
        """Give back what the backend holds; the next use opens it again."""
        if self._owns_backend:
            await self.backend.close()

    async def ping(self) -> None:
        """Return if the storage answers; raise StorageError if it does not. Costs a trip."""
        await self.backend.ping()

    async def __aenter__(self) -> AsyncChatStore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Threads

    async def create_thread(
        self,
        thread_id: str | None = None,
        *,
        topic: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        participants: Iterable[Participant | Mapping[str, Json]] = (),
        ttl: Ttl = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Thread:
        """Create an empty thread; without an id it gets one, the same again for the same `request_id`.

        `owner` is for ever, `ttl` counts from now. Raises ThreadExists. An `if_match` can name
        nothing that is still to be created: it is always a Conflict, with what is there.
        """
        new = NewThread(
            _optional_owner(owner), _topic(topic), _metadata(metadata), _participants(participants), _duration("ttl", ttl)
        )
        request = self._request(request_id, "create_thread", thread_id, topic, owner, new.metadata, _forms(new), new.ttl)
        key = self._key(self._new_id(request_id) if thread_id is None else thread_id)
        if if_match is not None:
            raise Conflict(await self._etag(key))
        return await self.backend.create_thread(key, new, request=request)

    async def get_thread(self, thread_id: str) -> Thread:
        """The thread's properties."""
        return await self.backend.get_thread(self._key(thread_id))

    async def update_thread(
        self,
        thread_id: str,
        *,
        topic: str | None | Unset = UNSET,
        metadata: Mapping[str, Json] | None | Unset = UNSET,
        participants: Iterable[Participant | Mapping[str, Json]] | None | Unset = UNSET,
        ttl: Ttl | Unset = UNSET,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Thread:
        """Change properties: those not given stay, None removes one.

        `metadata` is merged into what is there (RFC 7396: a None inside removes that key);
        `participants` replace those that are there; `ttl` counts anew, from now.
        """
        patch = ThreadPatch(
            topic if isinstance(topic, Unset) else _topic(topic),
            metadata if isinstance(metadata, Unset) or metadata is None else _metadata(metadata),
            participants if isinstance(participants, Unset) or participants is None else _participants(participants),
            ttl if isinstance(ttl, Unset) else _duration("ttl", ttl),
        )
        forms = patch.participants if isinstance(patch.participants, Unset) else _forms(patch)
        request = self._request(request_id, "update_thread", topic, patch.metadata, forms, patch.ttl)
        return await self.backend.update_thread(self._key(thread_id), patch, if_match=if_match, request=request)

    async def delete_thread(
        self, thread_id: str, *, request_id: str | None = None, if_match: str | None = None
    ) -> Deleted:
        """Remove a thread with all its messages; says whether it was there."""
        request = self._request(request_id, "delete_thread")
        return await self.backend.delete_thread(self._key(thread_id), if_match=if_match, request=request)

    async def list_threads(
        self,
        *,
        owner: str | None = None,
        active_since: datetime | None = None,
        metadata: Mapping[str, Json] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Thread]:
        """Threads, newest activity first: when messages were last added, or the thread was created.

        `metadata` selects threads that have each of its keys with an equal value. Such a page may
        hold fewer than `limit`, even none, and still have a `next`. A thread that becomes active
        while pages are read may be missed by them.
        """
        listing = Listing(
            limit=_limit(limit),
            owner=_optional_owner(owner),
            active_since=_aware("active_since", active_since),
            metadata=_metadata(metadata),
            before=None if cursor is None else ThreadCursor.parse(cursor),
        )
        return await self.backend.list_threads(self.tenant, listing)

    async def iter_threads(
        self,
        *,
        owner: str | None = None,
        active_since: datetime | None = None,
        metadata: Mapping[str, Json] | None = None,
    ) -> AsyncIterator[Thread]:
        """All that `list_threads` would give, page after page, in constant memory."""
        cursor: str | None = None
        while True:
            page = await self.list_threads(owner=owner, active_since=active_since, metadata=metadata, cursor=cursor)
            for thread in page:
                yield thread
            if page.next is None:
                return
            cursor = page.next

    async def fork(
        self,
        thread_id: str,
        new_id: str | None = None,
        *,
        through: str | None = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Thread:
        """A new thread with this one's properties and its messages up to and including `through`.

        The copies have ids of their own, and expire when the originals do; all messages without
        `through`. `if_match` is of this thread's log. Raises ThreadExists, MessageNotFound.
        """
        request = self._request(request_id, "fork", thread_id, new_id, through)
        key = self._key(self._new_id(request_id) if new_id is None else new_id)
        return await self.backend.fork(self._key(thread_id), key, through, if_match=if_match, request=request)

    # Messages

    async def append(
        self,
        thread_id: str,
        *messages: MessageLike,
        create: bool = True,
        owner: str | None = None,
        ttl: Ttl = None,
        expires_in: Ttl = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Appended:
        """Add messages at the end as one turn: visible together, adjacent, in this order, or not at all.

        A thread that is not there is created, with `owner` and `ttl`, unless `create` is False;
        both are ignored where it is. `expires_in` is these messages' own time to live.
        """
        new = NewThread(owner=_optional_owner(owner), ttl=_duration("ttl", ttl))
        drafts = _drafts(messages, _duration("expires_in", expires_in))
        if not drafts:
            raise InvalidArgument("append needs at least one message")
        request = self._request(request_id, "append", create, owner, new.ttl, drafts)
        return await self.backend.append(
            self._key(thread_id), drafts, create=new if create else None, if_match=if_match, request=request
        )

    async def read(
        self,
        thread_id: str,
        *,
        last: int | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        max_bytes: int | None = None,
    ) -> Page[Message]:
        """A page of messages, oldest first, at most 1,000 of them.

        `last` gives the newest; `after` those that follow a cursor or position, up to `limit` (100
        by default); `before` alone those just before one; both, those between, from `after` on. With
        `max_bytes` the page ends early once it holds that much text, never without a message.
        Raises CursorExpired if the history that a cursor came from was replaced.
        """
        if last is not None and (after is not None or before is not None or limit is not None):
            raise InvalidArgument("last stands alone: pass either last, or after, before and limit")
        span = _span(after, before, _limit(limit if last is None else last), newest=last is not None)
        return await self.backend.read(self._key(thread_id), span._replace(max_bytes=max_bytes))

    async def window(
        self,
        thread_id: str,
        *,
        max_tokens: int,
        counter: Counter | None = None,
        keep: Iterable[str] = ("system", "developer"),
    ) -> Window[Message]:
        """The newest messages that fit into `max_tokens`, oldest first.

        The thread's leading messages of the roles in `keep`, at most 20, come first and count
        too; reading them is one extra read. A tool's result whose call did not fit is left out. A
        message's own ``tokens`` or ``usage`` counts, else a token for every four bytes of its
        JSON; `counter` replaces both. Reads back only as far as it needs.
        """
        if type(max_tokens) is not int or max_tokens < 0:
            raise InvalidArgument(f"max_tokens is a number of tokens, 0 or more, not {max_tokens!r}")
        key, roles = self._key(thread_id), tuple(keep)
        for _ in range(_RESTARTS):
            try:
                return await self._window(key, WindowBuilder(max_tokens, counter, roles), bool(roles))
            except CursorExpired as replaced:
                expired = replaced
        raise expired

    async def _window(self, key: ThreadKey, builder: WindowBuilder, pinning: bool) -> Window[Message]:
        newest = page = await self.backend.read(key, Span(PINNED_AT_MOST, newest=True, max_bytes=_PAGE_BYTES))
        if pinning:
            first = page
            if page.next is not None:
                epoch = Place.parse(page.next).epoch
                first = await self.backend.read(key, Span(PINNED_AT_MOST, epoch=epoch, max_bytes=_PAGE_BYTES))
            builder.pin(first.items)
        builder.extend(page.items)
        limit = PINNED_AT_MOST
        while page.next is not None and not builder.full:
            limit = min(limit * 2, MAX_LIMIT)
            span = _span(None, page.next, limit, newest=True)
            page = await self.backend.read(key, span._replace(max_bytes=_PAGE_BYTES))
            builder.extend(page.items)
        return Window(
            builder.finish(), end=newest.end, etag=newest.etag, tokens=builder.tokens, counter=builder.counter
        )

    async def iter_messages(
        self, thread_id: str, *, after: str | None = None, before: str | None = None
    ) -> AsyncIterator[Message]:
        """All messages, oldest first, page after page, in constant memory.

        Messages added meanwhile are reached too; a history replaced meanwhile raises CursorExpired.
        """
        key = self._key(thread_id)
        span = _span(after, before, DEFAULT_LIMIT)._replace(newest=False, max_bytes=_PAGE_BYTES)
        while True:
            page = await self.backend.read(key, span)
            for message in page:
                yield message
            if page.next is None:
                return
            epoch, position = Place.parse(page.next)
            span = span._replace(epoch=epoch, after=position)

    async def get_message(self, thread_id: str, message_id: str) -> Message:
        """One message. Raises MessageNotFound."""
        return await self.backend.get_message(self._key(thread_id), _message_id(message_id))

    async def insert(
        self,
        thread_id: str,
        message: MessageLike,
        *,
        index: int | None = None,
        before: str | None = None,
        after: str | None = None,
        expires_in: Ttl = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Message:
        """Add a message in front of or behind another, named by id, or at an index as ``list.insert`` does.

        Exactly one place is given. An index is looked for from the nearer end, so its cost grows with
        the distance. Raises MessageNotFound.
        """
        if sum(place is not None for place in (index, before, after)) != 1:
            raise InvalidArgument("insert needs exactly one of index, before and after")
        at = InsertAt(
            _index(index),
            None if before is None else _message_id(before),
            None if after is None else _message_id(after),
        )
        [draft] = _drafts([message], _duration("expires_in", expires_in))
        request = self._request(request_id, "insert", draft, at)
        return await self.backend.insert(self._key(thread_id), draft, at, if_match=if_match, request=request)

    async def replace_message(
        self,
        thread_id: str,
        message_id: str,
        message: MessageLike,
        *,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Message:
        """Put another content in a message's place; its id, position, time and expiry stay.

        `if_match` is of the message. Raises MessageNotFound.
        """
        [draft] = _drafts([message], None)
        request = self._request(request_id, "replace_message", message_id, draft)
        return await self.backend.replace_message(
            self._key(thread_id), _message_id(message_id), draft, if_match=if_match, request=request
        )

    async def delete_message(
        self,
        thread_id: str,
        message_id: str | None = None,
        *,
        index: int | None = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Message:
        """Take out one message, by its id or by an index (negative from the end), and return it.

        `if_match` is of the message when it is named by id, of the log otherwise. Raises MessageNotFound.
        """
        if (message_id is None) == (index is None):
            raise InvalidArgument("delete_message needs either a message id or an index")
        target: str | int | None = _index(index) if message_id is None else _message_id(message_id)
        assert target is not None  # noqa: S101 - the check above leaves one of the two
        request = self._request(request_id, "delete_message", message_id, index)
        key = self._key(thread_id)
        deleted = await self.backend.delete_message(key, target, if_match=if_match, request=request)
        if deleted is None:
            raise MessageNotFound(thread_id, target)
        return deleted

    async def pop(
        self, thread_id: str, *, request_id: str | None = None, if_match: str | None = None
    ) -> Message | None:
        """Take out the newest message and return it; None where there is none. `if_match` is of the log."""
        request = self._request(request_id, "pop")
        return await self.backend.delete_message(self._key(thread_id), -1, if_match=if_match, request=request)

    async def clear(self, thread_id: str, *, request_id: str | None = None, if_match: str | None = None) -> Deleted:
        """Remove all messages and keep the thread; says whether it was there. `if_match` is of the log."""
        request = self._request(request_id, "clear")
        return await self.backend.clear(self._key(thread_id), if_match=if_match, request=request)

    async def replace_all(
        self,
        thread_id: str,
        messages: Iterable[MessageLike],
        *,
        create: bool = False,
        owner: str | None = None,
        ttl: Ttl = None,
        expires_in: Ttl = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Appended:
        """Replace the whole history at once: a reader sees the old one or the new one, never a part.

        A history that only grew is an append: what is there stays, ids and all. With `create` a
        thread that is not there is created, with `owner` and `ttl`. `if_match` is of the log.
        """
        new = NewThread(owner=_optional_owner(owner), ttl=_duration("ttl", ttl))
        drafts = _drafts(messages, _duration("expires_in", expires_in))
        request = self._request(request_id, "replace_all", create, owner, new.ttl, drafts)
        return await self.backend.replace_all(
            self._key(thread_id), drafts, create=new if create else None, if_match=if_match, request=request
        )

    async def sweep(self, *, limit: int = 1000) -> Swept:
        """Remove at most about `limit` rows of what has expired, for every tenant; call it until not `more`.

        What has expired is not given out in any case; this frees its space.
        """
        if type(limit) is not int or limit < 1:
            raise InvalidArgument(f"limit is a positive number of rows, not {limit!r}")
        return await self.backend.sweep(limit)

    # Arguments

    def _key(self, thread_id: str) -> ThreadKey:
        return ThreadKey(self.tenant, _text("a thread id", thread_id, MAX_THREAD_ID_BYTES))

    def _new_id(self, request_id: str | None) -> str:
        if request_id is None:
            return uuid7()
        return hashlib.sha256(f"{self.tenant}\0{request_id}".encode()).hexdigest()[:32]

    async def _etag(self, key: ThreadKey) -> str | None:
        try:
            return (await self.backend.get_thread(key)).etag
        except ThreadNotFound:
            return None

    def _request(self, request_id: str | None, *what: object) -> Request | None:
        """`request_id` with a digest of `what` is requested; None without one."""
        if request_id is None:
            return None
        _text("a request id", request_id, MAX_REQUEST_ID_BYTES, empty=False)
        sent_at = getattr(request_id, "sent_at", None) or time_of(request_id)
        if sent_at is not None:
            now = from_micros(self.backend.clock())
            if sent_at > now + _AHEAD:
                raise RequestExpired(f"request id {request_id!r} lies more than 5 minutes ahead of the store's time")
            if sent_at < now - self.backend.request_window:
                raise RequestExpired(
                    f"request id {request_id!r} is older than {self.backend.request_window}: whether it took "
                    "effect is no longer known; look, and send what is still wanted under a new id"
                )
        digest = hashlib.sha256(encode([_plain(part) for part in what]).encode()).hexdigest()[:32]
        return Request(str(request_id), digest)


def _plain(value: object) -> Json:
    """A part of a request in a form that can be digested."""
    if isinstance(value, timedelta):
        return ["seconds", value.total_seconds()]
    if isinstance(value, Unset):
        return ["unset"]
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def _text(name: str, value: str, most: int, *, empty: bool = True) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} is a string, not {type(value).__name__}")
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"{name} holds a lone surrogate, which is not Unicode text") from error
    if size > most:
        raise InvalidArgument(f"{name} takes at most {most:,} bytes of UTF-8, not {size:,}")
    if not size and not empty:
        raise InvalidArgument(f"{name} cannot be empty")
    return value


def _optional_owner(owner: str | None) -> str | None:
    return None if owner is None else _text("owner", owner, MAX_OWNER_BYTES, empty=False)


def _topic(topic: str | None) -> str | None:
    return None if topic is None else _text("topic", topic, MAX_TOPIC_BYTES)


def _message_id(message_id: str) -> str:
    return _text("a message id", message_id, MAX_THREAD_ID_BYTES)


def _index(index: int | None) -> int | None:
    if index is not None and (type(index) is not int or not -(2**63) <= index < 2**63):
        raise InvalidArgument(f"index is an integer of at most 64 bits, not {index!r}")
    return index


def _limit(limit: int | None) -> int:
    if limit is None:
        return DEFAULT_LIMIT
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        raise InvalidArgument(f"a page takes 1 to {MAX_LIMIT:,} items, not {limit!r}; iterate to read more")
    return limit


def _duration(name: str, ttl: Ttl) -> timedelta | None:
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float, timedelta)):
        raise InvalidArgument(f"{name} is a timedelta or a number of seconds, not {type(ttl).__name__}")
    try:
        duration = ttl if isinstance(ttl, timedelta) else timedelta(seconds=ttl)
    except (OverflowError, ValueError):
        duration = timedelta.max
    if not timedelta(0) < duration <= MAX_TTL:
        raise InvalidArgument(f"{name} is more than 0 and at most {MAX_TTL.days:,} days, not {ttl!r}; None means never")
    return duration


def _aware(name: str, time: datetime | None) -> datetime | None:
    if time is not None and (not isinstance(time, datetime) or time.tzinfo is None):
        raise InvalidArgument(f"{name} is a datetime with a time zone, not {time!r}")
    return time


def _metadata(metadata: Mapping[str, Json] | None) -> dict[str, Json]:
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidArgument(f"metadata is a JSON object, not {type(metadata).__name__}")
    text = encode(dict(metadata), "metadata")
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise InvalidArgument(f"metadata takes at most {MAX_METADATA_BYTES:,} bytes of JSON")
    copied: dict[str, Json] = decode(text)
    return copied


def _participants(participants: Iterable[Participant | Mapping[str, Json]]) -> tuple[Participant, ...]:
    found = tuple(_participant(one) for one in participants)
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
        _text("a participant's id", one.id, MAX_THREAD_ID_BYTES),
        None if name is None else _text("a participant's name", name, MAX_TOPIC_BYTES),
        _metadata(one.metadata),
    )


def _forms(having: NewThread | ThreadPatch) -> Json:
    """The participants of `having` in a form that can be digested."""
    present = having.participants
    return [[one.id, one.display_name, one.metadata] for one in present] if isinstance(present, tuple) else present


def _drafts(messages: Iterable[MessageLike], ttl: timedelta | None) -> Sequence[Draft]:
    return [Draft(_message_text(message), ttl) for message in messages]


def _message_text(message: MessageLike) -> str:
    # A Message may have been made by hand around any text, so it is read again like a mapping.
    data = _reread(message) if isinstance(message, Message) else message
    text = Message.from_dict(data).text
    if len(text) * 4 > MAX_MESSAGE_BYTES and len(text.encode()) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"a message takes at most {MAX_MESSAGE_BYTES:,} bytes of JSON")
    return text


def _reread(message: Message) -> dict[str, Json]:
    try:
        return message.to_dict()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidMessage(f"a Message's text is not JSON: {error}") from error


def _span(after: str | None, before: str | None, limit: int, *, newest: bool = False) -> Span:
    """What to read; a `before` without an `after` counts from its own end."""
    start = None if after is None else Place.parse(after)
    end = None if before is None else Place.parse(before)
    epochs = {place.epoch for place in (start, end) if place is not None and place.epoch is not None}
    if len(epochs) > 1:
        raise CursorExpired
    return Span(
        limit,
        after=None if start is None else start.position,
        before=None if end is None else end.position,
        newest=newest or (end is not None and start is None),
        epoch=epochs.pop() if epochs else None,
    )


def _blocking(method: Callable[Concatenate[AsyncChatStore, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[ChatStore, P], R]:
    """`method` for a caller that blocks: same arguments, same result, run to its end at once."""

    @functools.wraps(method)
    def call(self: ChatStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return blocking.run(method(self._source, *args, **kwargs))

    return call


def _iterating(method: Callable[Concatenate[AsyncChatStore, P], AsyncIterator[T]]) -> Callable[Concatenate[ChatStore, P], Iterator[T]]:
    """The same for a method that yields."""

    @functools.wraps(method)
    def call(self: ChatStore, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return blocking.iterate(method(self._source, *args, **kwargs))

    return call


class ChatStore:
    """`AsyncChatStore` for callers that block: the same methods, arguments, results and errors.

    Safe to use from any thread, inside a running event loop (which it blocks), and after a fork.
    """

    def __init__(self, backend: Backend, *, tenant: str = "default", owns_backend: bool = True) -> None:
        self._source = AsyncChatStore(backend, tenant=tenant, owns_backend=owns_backend)

    @property
    def backend(self) -> Backend:
        """What keeps the threads."""
        return self._source.backend

    @property
    def tenant(self) -> str:
        """Whose threads these are."""
        return self._source.tenant

    def for_tenant(self, tenant: str) -> ChatStore:
        """The same store, scoped to another tenant. Closing it leaves the backend open."""
        return ChatStore(self.backend, tenant=tenant, owns_backend=False)

    def __enter__(self) -> ChatStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    close = _blocking(AsyncChatStore.close)
    ping = _blocking(AsyncChatStore.ping)
    create_thread = _blocking(AsyncChatStore.create_thread)
    get_thread = _blocking(AsyncChatStore.get_thread)
    update_thread = _blocking(AsyncChatStore.update_thread)
    delete_thread = _blocking(AsyncChatStore.delete_thread)
    list_threads = _blocking(AsyncChatStore.list_threads)
    iter_threads = _iterating(AsyncChatStore.iter_threads)
    fork = _blocking(AsyncChatStore.fork)
    append = _blocking(AsyncChatStore.append)
    read = _blocking(AsyncChatStore.read)
    window = _blocking(AsyncChatStore.window)
    iter_messages = _iterating(AsyncChatStore.iter_messages)
    get_message = _blocking(AsyncChatStore.get_message)
    insert = _blocking(AsyncChatStore.insert)
    replace_message = _blocking(AsyncChatStore.replace_message)
    delete_message = _blocking(AsyncChatStore.delete_message)
    pop = _blocking(AsyncChatStore.pop)
    clear = _blocking(AsyncChatStore.clear)
    replace_all = _blocking(AsyncChatStore.replace_all)
    sweep = _blocking(AsyncChatStore.sweep)
