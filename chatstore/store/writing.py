"""The store's operations that write messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chatstore.codec import Json
from chatstore.contract import UNSET, InsertAt, NewThread, Unset
from chatstore.errors import InvalidArgument, MessageNotFound
from chatstore.models import CHAT, Appended, Deleted, Message, Participant
from chatstore.store import arguments, properties
from chatstore.store.drafts import drafts_of, metadata_change
from chatstore.store.scoped import Scoped

__all__ = ["Writing"]


class Writing(Scoped):
    """Adds, changes and removes messages."""

    async def append(
        self,
        thread_id: str,
        *messages: arguments.MessageLike,
        create: bool = True,
        owner: str | None = None,
        ttl: arguments.Ttl = None,
        sliding: bool = False,
        topic: str | None = None,
        thread_metadata: Mapping[str, Json] | None = None,
        participants: Iterable[Participant | Mapping[str, Json]] = (),
        kind: str = CHAT,
        expires_in: arguments.Ttls = None,
        metadata: arguments.MessageMetadata = None,
        key: arguments.Keys = None,
        after: str | None = None,
        patch: Mapping[str, Any] | None = None,
        if_thread: str | None = None,
        request_id: str | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Appended:
        """Add messages at the end as one turn: visible together, adjacent, in this order, or not at all.

        If the thread does not exist, it is created with `owner`, `ttl`, `sliding`, `topic`,
        `thread_metadata`, `participants` and `kind`. With `create` False, ThreadNotFound is raised instead.
        If the thread exists, these arguments are ignored. With `if_none_match` ``"*"``, Conflict is raised if
        the thread exists.

        `expires_in` is the messages' own time to live in seconds or as a timedelta. `metadata` is kept beside
        them, at most 16 KiB of JSON for each. `key` is a name of your own for a message, unique in its
        thread. Wherever an id is taken, ``"key:NAME"`` names the message too. `expires_in` and `metadata` are
        one value for all messages, or a list with one for each. A single `key` is for a single message; for
        more, pass a list. Raises MessageExists if the thread has a message with that key.

        `after` is a message's id or key. What follows that message is removed in the same step, as by
        `truncate`. With `after`, no thread is created: ThreadNotFound or MessageNotFound is raised. `patch`
        changes the thread's properties in the same step, by the names of `update_thread`'s arguments.
        `if_thread` is the ETag that the properties must still have. If `patch` or `if_thread` is given, the
        result's `thread_etag` is the properties' new ETag.

        `if_match` is an ETag of the log. It does not hold if somebody else appended or cut, and with `after`
        also if somebody edited. A condition that does not hold raises Conflict. After any error but
        Unavailable nothing was written. Costs the same at any length of the thread.
        """
        condition = arguments.condition(if_match, if_none_match, creating=create)
        new = properties.new_thread(
            self._owner(owner), ttl, sliding, topic, thread_metadata, participants, kind
        )
        drafts = drafts_of(messages, expires_in, metadata, key)
        if not drafts:
            raise InvalidArgument("append needs at least one message; truncate removes messages")
        cut, changes = arguments.cut_of(after), properties.patch_or_none(patch)
        request = None
        if request_id is not None:
            what = (create, owner, new.ttl, drafts, *_more(new), *_given(cut, changes))
            request = self._request(request_id, "append", *what)
        return await self.backend.append(
            self._key(thread_id),
            drafts,
            create=new if create else None,
            if_match=condition,
            request=request,
            cut=cut,
            patch=changes,
            if_thread=arguments.etag_or_none(if_thread),
        )

    async def truncate(
        self,
        thread_id: str,
        *,
        after: str | None = None,
        from_: str | None = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Appended:
        """Remove all that follows the message `after`, or the message `from_` and all that follows it.

        Either is an id, or ``"key:NAME"``. It is one atomic step: from then on nothing that was cut can be
        read. Other messages keep ids, positions, times and ETags, and cursors to them stay valid. The space
        is freed then or by a later sweep. `if_match` is an ETag of the log, and does not hold after appends,
        cuts and edits. The result has no messages; its `etag` names the log after the cut. Costs the same,
        however much is cut. Raises ThreadNotFound, MessageNotFound, Conflict.
        """
        cut = arguments.cut_of(after, from_)
        if cut is None:
            raise InvalidArgument("truncate needs after or from_; clear removes all messages")
        request = self._request(request_id, "truncate", cut)
        return await self.backend.append(
            self._key(thread_id),
            (),
            create=None,
            if_match=arguments.etag_or_none(if_match),
            request=request,
            cut=cut,
        )

    async def insert(
        self,
        thread_id: str,
        message: arguments.MessageLike,
        *,
        index: int | None = None,
        before: str | None = None,
        after: str | None = None,
        expires_in: arguments.Ttl = None,
        metadata: Mapping[str, Json] | None = None,
        key: str | None = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Message:
        """Add a message before or after another, or at an index as in ``list.insert``.

        Exactly one of `index`, `before` and `after` is given; the last two name a message by id or key. An
        index is looked for from the nearer end, so its cost grows with the distance. `expires_in`, `metadata`
        and `key` are the message's own, as in `append`. `if_match` is an ETag of the log. Raises
        ThreadNotFound, MessageNotFound, MessageExists, Conflict.
        """
        if sum(place is not None for place in (index, before, after)) != 1:
            raise InvalidArgument("insert needs exactly one of index, before and after")
        at = InsertAt(
            arguments.index_or_none(index),
            None if before is None else arguments.message_id_of(before),
            None if after is None else arguments.message_id_of(after),
        )
        [draft] = drafts_of([message], [expires_in], [metadata], [key])
        request = self._request(request_id, "insert", draft, at.index, at.before, at.after)
        return await self.backend.insert(
            self._key(thread_id), draft, at, if_match=arguments.etag_or_none(if_match), request=request
        )

    async def replace_message(
        self,
        thread_id: str,
        message_id: str,
        message: arguments.MessageLike,
        *,
        metadata: Mapping[str, Json] | Unset | None = UNSET,
        merge: bool = False,
        if_thread: str | None = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Message:
        """Replace what a message says; its id, key, position, time and expiry stay.

        The message is named by id or key. Its metadata stays too, unless `metadata` is given. That replaces
        the metadata in the same step, or with `merge` is merged into it. `if_match` is an ETag of the
        message, `if_thread` one of the thread's properties, as in `append`. Raises ThreadNotFound,
        MessageNotFound, Conflict.
        """
        [draft] = drafts_of([message])
        change = None if isinstance(metadata, Unset) else metadata_change(metadata, merge=merge)
        request = self._request(
            request_id,
            "replace_message",
            message_id,
            draft._replace(metadata=None, key=None),
            *_given(change),
        )
        return await self.backend.replace_message(
            self._key(thread_id),
            arguments.message_id_of(message_id),
            draft._replace(metadata=None, key=None),
            metadata=change,
            if_match=arguments.etag_or_none(if_match),
            request=request,
            if_thread=arguments.etag_or_none(if_thread),
        )

    async def update_message(
        self,
        thread_id: str,
        message_id: str,
        *,
        metadata: Mapping[str, Json] | None,
        merge: bool = True,
        if_thread: str | None = None,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Message:
        """Change a message's metadata, but nothing that was sent; the message's ETag changes.

        The message is named by id or key. `metadata` is merged into the present metadata (RFC 7396: a None
        inside removes that key). With `merge` False it replaces the present metadata, and None removes all of
        it. `if_match` is an ETag of the message, `if_thread` one of the thread's properties. Raises
        ThreadNotFound, MessageNotFound, Conflict, and InvalidArgument if the metadata would be more than 16
        KiB of JSON.
        """
        change = metadata_change(metadata, merge=merge)
        request = self._request(request_id, "update_message", message_id, change)
        return await self.backend.replace_message(
            self._key(thread_id),
            arguments.message_id_of(message_id),
            None,
            metadata=change,
            if_match=arguments.etag_or_none(if_match),
            request=request,
            if_thread=arguments.etag_or_none(if_thread),
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
        """Remove one message, by its id or key, or by an index (negative from the end), and return it.

        `if_match` is an ETag of the message if an id or key names it, otherwise of the log. Its key can be
        used again. Raises ThreadNotFound, MessageNotFound, Conflict.
        """
        if (message_id is None) == (index is None):
            raise InvalidArgument("delete_message needs either a message id or an index")
        target: str | int | None = (
            arguments.index_or_none(index) if message_id is None else arguments.message_id_of(message_id)
        )
        assert target is not None  # noqa: S101 - the check above leaves one of the two
        request = self._request(request_id, "delete_message", message_id, index)
        key = self._key(thread_id)
        deleted = await self.backend.delete_message(
            key, target, if_match=arguments.etag_or_none(if_match), request=request
        )
        if deleted is None:
            raise MessageNotFound(thread_id, target)
        return deleted

    async def pop(
        self, thread_id: str, *, request_id: str | None = None, if_match: str | None = None
    ) -> Message | None:
        """Remove the newest message and return it; None if the thread has none. `if_match` is of the log.

        Raises ThreadNotFound, Conflict.
        """
        request = self._request(request_id, "pop")
        return await self.backend.delete_message(
            self._key(thread_id), -1, if_match=arguments.etag_or_none(if_match), request=request
        )

    async def clear(
        self, thread_id: str, *, request_id: str | None = None, if_match: str | None = None
    ) -> Deleted:
        """Remove all messages and keep the thread; the result says whether the thread existed.

        Without `if_match`, which is of the log, a thread that does not exist is no error. Older cursors raise
        CursorExpired. Raises Conflict.
        """
        request = self._request(request_id, "clear")
        return await self.backend.clear(
            self._key(thread_id), if_match=arguments.etag_or_none(if_match), request=request
        )

    async def replace_all(
        self,
        thread_id: str,
        messages: Iterable[arguments.MessageLike],
        *,
        create: bool = False,
        owner: str | None = None,
        ttl: arguments.Ttl = None,
        sliding: bool = False,
        topic: str | None = None,
        thread_metadata: Mapping[str, Json] | None = None,
        participants: Iterable[Participant | Mapping[str, Json]] = (),
        kind: str = CHAT,
        expires_in: arguments.Ttls = None,
        metadata: arguments.MessageMetadata = None,
        key: arguments.Keys = None,
        request_id: str | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Appended:
        """Replace the whole history at once: a reader sees the old one or the new one, never a part.

        If the present messages are the first of `messages`, the rest is appended. They keep their ids, the
        result's `kept` counts them, and cursors stay valid. Otherwise all ids are new, and older cursors
        raise CursorExpired. With `create`, a thread that does not exist is created, as by `append`; without
        it ThreadNotFound is raised. `expires_in`, `metadata` and `key` are the messages' own, as in `append`.
        `if_match` is of the log. With `create` and `if_none_match` ``"*"``, Conflict is raised if the thread
        exists. Reads the present history to compare it.
        """
        condition = arguments.condition(if_match, if_none_match, creating=create)
        new = properties.new_thread(
            self._owner(owner), ttl, sliding, topic, thread_metadata, participants, kind
        )
        drafts = drafts_of(messages, expires_in, metadata, key)
        request = self._request(request_id, "replace_all", create, owner, new.ttl, drafts, *_more(new))
        return await self.backend.replace_all(
            self._key(thread_id),
            drafts,
            create=new if create else None,
            if_match=condition,
            request=request,
        )


def _more(new: NewThread) -> tuple[object, ...]:
    """What a request makes of a thread beside its owner and time to live; nothing where that is the usual."""
    if new.sliding or new.topic is not None or new.metadata or new.participants or new.kind != CHAT:
        return new.sliding, new.topic, new.metadata, new.participants, new.kind
    return ()


def _given(*parts: object) -> tuple[object, ...]:
    """Those parts of a request that are there, so that one without them is what it always was."""
    return parts if any(part is not None for part in parts) else ()
