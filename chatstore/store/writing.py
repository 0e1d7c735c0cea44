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

        A thread that is not there is created with `owner`, `ttl`, `sliding`, `topic`, `thread_metadata`,
        `participants` and `kind`, unless `create` is False; all of them are ignored where it is there. With
        `if_none_match` ``"*"`` they are a thread's first, or it is a Conflict.

        `expires_in` is these messages' own time to live, `metadata` is kept beside them, `key` is a name of
        your own for a message, unique in its thread: each one for all, or a list of one for each. Raises
        MessageExists where a message with that key is there.

        With `after`, a message's id or key, what follows that message is taken away in the same step, as
        `truncate` takes it, and `if_match` fails after edits too. `patch` changes the thread's properties in
        the same step, by the names that `update_thread` has for them, and `if_thread` is a condition on them:
        the thread's ETag. The answer's `thread_etag` is the new one.
        """
        condition = arguments.condition(if_match, if_none_match, creating=create)
        new = properties.new_thread(
            self._owner(owner), ttl, sliding, topic, thread_metadata, participants, kind
        )
        drafts = drafts_of(messages, expires_in, metadata, key)
        if not drafts:
            raise InvalidArgument("append needs at least one message; truncate takes messages away")
        cut, changes = arguments.cut_of(after), properties.patch_or_none(patch)
        request = self._request(
            request_id, "append", create, owner, new.ttl, drafts, *_more(new), *_given(cut, changes)
        )
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
        """Take away all that follows a message, or that message too, named by its id or key.

        What stays keeps ids, positions, times and ETags, and cursors go on. What is cut cannot be read any
        more, at once and together; sweeps free its space. `if_match` is of the log. The answer's `etag`
        names the log after the cut. Costs the same whatever is cut. Raises ThreadNotFound, MessageNotFound.
        """
        cut = arguments.cut_of(after, from_)
        if cut is None:
            raise InvalidArgument("truncate needs after or from_; clear takes all messages away")
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
        """Add a message in front of or behind another, or at an index as ``list.insert`` has it.

        Exactly one place is given; another message is named by id or key. An index is looked for from the
        nearer end, so its cost grows with the distance. Raises MessageNotFound, MessageExists.
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
        """Put another content in a message's place; its id, key, position, time and expiry stay.

        So does its metadata, unless `metadata` replaces it in the same step, or is merged into it with
        `merge`. `if_match` is of the message, `if_thread` of the thread's properties, as `append` has it.
        Raises MessageNotFound.
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
        """Change a message's metadata, and nothing of what was sent; its ETag changes.

        `metadata` is merged into what is there (RFC 7396: a None inside removes that key), or replaces it
        unless `merge`; None removes all. `if_match` is of the message, `if_thread` of the thread.
        Raises MessageNotFound, and InvalidArgument where it would be more than 16 KiB of JSON.
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
        """Take out one message, by its id or by an index (negative from the end), and return it.

        `if_match` is of the message when it is named by id, of the log otherwise. Raises MessageNotFound.
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
        """Take out the newest message and return it; None where there is none. `if_match` is of the log."""
        request = self._request(request_id, "pop")
        return await self.backend.delete_message(
            self._key(thread_id), -1, if_match=arguments.etag_or_none(if_match), request=request
        )

    async def clear(
        self, thread_id: str, *, request_id: str | None = None, if_match: str | None = None
    ) -> Deleted:
        """Remove all messages and keep the thread; says whether it was there. `if_match` is of the log."""
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

        A history that only grew is an append: what is there stays, ids and all. With `create` a
        thread that is not there is created, as `append` creates one. `expires_in`, `metadata` and `key` are
        the messages' own, as they are of `append`. `if_match` is of the log. With `create` and
        `if_none_match` ``"*"`` it is a thread's first history, or it is a Conflict.
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
    usual = NewThread(new.owner, ttl=new.ttl)
    if new == usual:
        return ()
    return new.sliding, new.topic, new.metadata, new.participants, new.kind


def _given(*parts: object) -> tuple[object, ...]:
    """Those parts of a request that are there, so that one without them is what it always was."""
    return parts if any(part is not None for part in parts) else ()
