"""The store's operations that write messages."""

from __future__ import annotations

from collections.abc import Iterable

from chatstore.contract import InsertAt, NewThread
from chatstore.errors import InvalidArgument, MessageNotFound
from chatstore.models import Appended, Deleted, Message
from chatstore.store import arguments
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
        expires_in: arguments.Ttls = None,
        request_id: str | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Appended:
        """Add messages at the end as one turn: visible together, adjacent, in this order, or not at all.

        A thread that is not there is created, with `owner` and `ttl`, unless `create` is False;
        both are ignored where it is. `expires_in` is these messages' own time to live, or a list of one for
        each. With `if_none_match` ``"*"`` they are a thread's first, or it is a Conflict.
        """
        condition = arguments.condition(if_match, if_none_match, creating=create)
        new = NewThread(owner=self._owner(owner), ttl=arguments.duration("ttl", ttl))
        drafts = arguments.drafts_of(messages, expires_in)
        if not drafts:
            raise InvalidArgument("append needs at least one message")
        request = self._request(request_id, "append", create, owner, new.ttl, drafts)
        return await self.backend.append(
            self._key(thread_id),
            drafts,
            create=new if create else None,
            if_match=condition,
            request=request,
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
            arguments.index_or_none(index),
            None if before is None else arguments.message_id_of(before),
            None if after is None else arguments.message_id_of(after),
        )
        [draft] = arguments.drafts_of([message], [expires_in])
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
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Message:
        """Put another content in a message's place; its id, position, time and expiry stay.

        `if_match` is of the message. Raises MessageNotFound.
        """
        [draft] = arguments.drafts_of([message])
        request = self._request(request_id, "replace_message", message_id, draft)
        return await self.backend.replace_message(
            self._key(thread_id),
            arguments.message_id_of(message_id),
            draft,
            if_match=arguments.etag_or_none(if_match),
            request=request,
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
        expires_in: arguments.Ttls = None,
        request_id: str | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Appended:
        """Replace the whole history at once: a reader sees the old one or the new one, never a part.

        A history that only grew is an append: what is there stays, ids and all. With `create` a
        thread that is not there is created, with `owner` and `ttl`. `expires_in` is the messages' own time to
        live, or a list of one for each. `if_match` is of the log. With `create` and `if_none_match` ``"*"``
        it is a thread's first history, or it is a Conflict.
        """
        condition = arguments.condition(if_match, if_none_match, creating=create)
        new = NewThread(owner=self._owner(owner), ttl=arguments.duration("ttl", ttl))
        drafts = arguments.drafts_of(messages, expires_in)
        request = self._request(request_id, "replace_all", create, owner, new.ttl, drafts)
        return await self.backend.replace_all(
            self._key(thread_id),
            drafts,
            create=new if create else None,
            if_match=condition,
            request=request,
        )
