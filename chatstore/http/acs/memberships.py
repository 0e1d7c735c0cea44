"""Which threads somebody takes part in: a thread of a kind of its own for each, which they own.

It only leads to the thread, whose participants alone decide who sees it. It is there before somebody becomes
a participant and goes after they were removed, so that no participant is ever without it. One that leads
nowhere, since the thread expired or was deleted by another face, goes when a list meets it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from chatstore.codec import encode
from chatstore.errors import Conflict, ThreadExists, ThreadNotFound, Unavailable
from chatstore.http.quota import ADDED_BY, MEMBER
from chatstore.ids import token
from chatstore.models import Thread, rfc3339
from chatstore.store import AsyncChatStore

__all__ = ["KIND", "begin_all", "end", "forget", "leads_nowhere", "mark", "target"]

KIND = "acs-membership"
_TRIES = 10

_SETTLED = timedelta(days=1)
"""After which nobody is still about to make somebody a participant whose membership has begun."""


async def begin_all(store: AsyncChatStore, thread_id: str, users: Iterable[str], *, by: str) -> None:
    """Lead all of `users` to a thread, before `by` makes them participants. Changes what is there.

    One after another: each has a list of their own, in a row of its own.
    """
    for user in users:
        await _begin(store, thread_id, user, by=by)


async def mark(store: AsyncChatStore, thread_id: str, user: str) -> str | None:
    """What `end` needs, to be asked for before `user` is removed."""
    try:
        return (await store.get_thread(_id(thread_id, user))).etag
    except ThreadNotFound:
        return None


async def end(store: AsyncChatStore, thread_id: str, user: str, mark: str | None) -> None:
    """Lead `user` there no more, unless they were added again since `mark`: that changes it."""
    if mark is not None:
        with suppress(Conflict):
            await store.delete_thread(_id(thread_id, user), if_match=mark)


async def forget(store: AsyncChatStore, thread: Thread) -> None:
    """Lead nobody any more to a thread that is gone; its id is never used again."""
    for one in thread.participants:
        await store.delete_thread(_id(thread.id, one.id))


async def leads_nowhere(store: AsyncChatStore, membership: Thread) -> bool:
    """Whether a membership, whose thread did not show itself to its user, may be taken away.

    Not while somebody may be about to make that user a participant: the membership is there before that.
    """
    at = membership.metadata.get("at")
    return isinstance(at, str) and await store.now() - datetime.fromisoformat(at) > _SETTLED


def target(membership: Thread) -> str | None:
    """The thread that a membership leads to."""
    found = membership.metadata.get("thread")
    return found if isinstance(found, str) else None


async def _begin(store: AsyncChatStore, thread_id: str, user: str, *, by: str) -> None:
    id = _id(thread_id, user)
    for _ in range(_TRIES):
        told = {"thread": thread_id, "since": token(), "at": rfc3339(await store.now())}
        with suppress(ThreadExists):
            await store.create_thread(id, owner=user, kind=KIND, metadata={**told, ADDED_BY: by})
            return
        with suppress(ThreadNotFound):
            await store.update_thread(id, metadata=told)
            return
    raise Unavailable("a membership was made and removed by others again and again")


def _id(thread_id: str, user: str) -> str:
    return f"{MEMBER}{hashlib.sha256(encode([thread_id, user]).encode()).hexdigest()}"
