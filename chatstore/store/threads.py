"""The store's operations on threads and owners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chatstore.codec import Json
from chatstore.contract import ABSENT, UNSET, ThreadPatch, Unset
from chatstore.errors import Conflict, InvalidArgument
from chatstore.models import CHAT, Deleted, Erased, Participant, Swept, Thread
from chatstore.store import arguments, properties
from chatstore.store.scoped import Scoped

__all__ = ["Threads"]


class Threads(Scoped):
    """Creates, finds, changes and removes threads."""

    async def create_thread(
        self,
        thread_id: str | None = None,
        *,
        topic: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        participants: Iterable[Participant | Mapping[str, Json]] = (),
        ttl: arguments.Ttl = None,
        sliding: bool = False,
        kind: str = CHAT,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Thread:
        """Create an empty thread; without an id it gets one, the same again for the same `request_id`.

        `owner` is for ever. `ttl` is seconds or a timedelta, and counts from now. With `sliding` it counts
        from the last append. A thread may then live up to an eighth longer, so that not each append has to
        renew the expiry. `kind` says what a thread is kept for if it is no conversation: only listings that
        ask for that kind show it. Raises ThreadExists. An `if_match` can name nothing that is still to be
        created, so it always raises Conflict, with what is there.
        """
        new = properties.new_thread(self._owner(owner), ttl, sliding, topic, metadata, participants, kind)
        more = (new.sliding, new.kind) if (new.sliding, new.kind) != (False, CHAT) else ()
        request = self._request(
            request_id,
            "create_thread",
            thread_id,
            topic,
            owner,
            new.metadata,
            new.participants,
            new.ttl,
            *more,
        )
        key = self._key(self.new_id(request_id) if thread_id is None else thread_id)
        if arguments.etag_or_none(if_match) not in (None, ABSENT):
            raise Conflict(await self._etag(key))
        return await self.backend.create_thread(key, new, request=request)

    async def get_thread(self, thread_id: str) -> Thread:
        """The thread's properties. Raises ThreadNotFound."""
        return await self.backend.get_thread(self._key(thread_id))

    async def update_thread(
        self,
        thread_id: str,
        *,
        topic: str | Unset | None = UNSET,
        metadata: Mapping[str, Json] | Unset | None = UNSET,
        participants: Iterable[Participant | Mapping[str, Json]] | Unset | None = UNSET,
        ttl: arguments.Ttl | Unset = UNSET,
        sliding: bool = False,
        merge: bool = True,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Thread:
        """Change properties: those not given stay, None removes one.

        `metadata` is merged into the present metadata (RFC 7396: a None inside removes that key). With
        `merge` False it replaces the present metadata, and a None inside is a value. `participants` replace
        the present ones. `ttl` counts from now; with `sliding`, from each later append. `if_match` is an ETag
        of the properties, which messages do not change. All of it is one atomic step. Raises ThreadNotFound,
        Conflict.
        """
        patch = properties.patch_of(topic, metadata, participants, ttl, sliding, merge)
        more = (patch.sliding, patch.merge) if (patch.sliding, patch.merge) != (False, True) else ()
        request = self._request(
            request_id, "update_thread", patch.topic, patch.metadata, patch.participants, patch.ttl, *more
        )
        return await self.backend.update_thread(
            self._key(thread_id), patch, if_match=arguments.etag_or_none(if_match), request=request
        )

    async def delete_thread(
        self, thread_id: str, *, request_id: str | None = None, if_match: str | None = None
    ) -> Deleted:
        """Remove a thread with all its messages; the result says whether it existed.

        Without `if_match`, which is an ETag of the properties, a thread that does not exist is no error. Its
        id may be used again. Raises Conflict.
        """
        request = self._request(request_id, "delete_thread")
        return await self.backend.delete_thread(
            self._key(thread_id), if_match=arguments.etag_or_none(if_match), request=request
        )

    async def fork(
        self,
        thread_id: str,
        new_id: str | None = None,
        *,
        through: str | None = None,
        before: str | None = None,
        topic: str | Unset | None = UNSET,
        metadata: Mapping[str, Json] | Unset | None = UNSET,
        merge: bool = True,
        owner: str | Unset | None = UNSET,
        request_id: str | None = None,
        if_match: str | None = None,
    ) -> Thread:
        """A new thread with this one's properties and its messages up to one of them, by its id or key.

        `through` names the last message that is copied, `before` the first that is not; without either, all
        messages are. `topic`, `metadata` (merged, or with `merge` False replacing) and `owner` change the new
        thread's properties. Its `forked_from` names the source. The copies have new ids and keep texts,
        metadata, keys and expiries. The source is copied as it was at one moment, and the new thread appears
        whole. Costs as much as reading and writing what is copied. `if_match` is of this thread's log. Raises
        ThreadNotFound, ThreadExists, MessageNotFound, Conflict.
        """
        if through is not None and before is not None:
            raise InvalidArgument("a fork goes through a message or ends before it: pass one of the two")
        cut = arguments.cut_of(through, before)
        patch = properties.patch_of(topic, metadata, merge=merge)
        taken = owner if isinstance(owner, Unset) else self._owner(owner)
        asked = () if (patch, owner) == (ThreadPatch(), UNSET) else (patch, owner)
        request = self._request(
            request_id, "fork", thread_id, new_id, through, *(() if before is None else (cut,)), *asked
        )
        key = self._key(self.new_id(request_id) if new_id is None else new_id)
        return await self.backend.fork(
            self._key(thread_id),
            key,
            cut,
            patch=None if patch == ThreadPatch() else patch,
            owner=taken,
            if_match=arguments.etag_or_none(if_match),
            request=request,
        )

    async def sweep(self, *, limit: int = 1000) -> Swept:
        """Remove at most about `limit` rows of what has expired, for every tenant; call it until not `more`.

        It also removes what was cut, replaced or deleted and is still stored. None of that can be read; a
        sweep frees its space.
        """
        if type(limit) is not int or limit < 1:
            raise InvalidArgument(f"limit is a positive number of rows, not {limit!r}")
        return await self.backend.sweep(limit)

    async def erase(self, owner: str) -> Erased:
        """Remove every trace of an owner: threads, messages, results of requests, and the space they took.

        It is not one atomic step: after a failure, call it again. Other owners' threads stay, even if they
        mention this owner.
        """
        if self.owner not in (None, owner):
            raise InvalidArgument("a store that is scoped to an owner erases only that owner")
        named = arguments.text("owner", owner, arguments.MAX_OWNER_BYTES, empty=False)
        return await self.backend.erase(self.tenant, named)

    async def erase_tenant(self) -> Erased:
        """Remove every trace of the store's tenant, as `erase` does of an owner; its name may stay."""
        if self.owner is not None:
            raise InvalidArgument("a store that is scoped to an owner erases only that owner")
        return await self.backend.erase(self.tenant, None)
