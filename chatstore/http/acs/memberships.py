"""Which threads somebody takes part in: a thread of a kind of its own for each, which they own.

It only leads to the thread, whose participants alone decide who sees it. It is there before somebody becomes
a participant and goes after they were removed, so that no participant is ever without it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

from chatstore.codec import encode
from chatstore.errors import Conflict, ThreadExists, ThreadNotFound, Unavailable
from chatstore.ids import token
from chatstore.models import Thread
from chatstore.store import AsyncChatStore

__all__ = ["KIND", "begin", "end", "forget", "mark", "target"]

KIND = "acs-membership"
_TRIES = 10


async def begin(store: AsyncChatStore, thread_id: str, user: str) -> None:
    """Lead `user` to a thread, before they become a participant of it. Changes the ETag of what is there."""
    id = _id(thread_id, user)
    for _ in range(_TRIES):
        told = {"thread": thread_id, "since": token()}
        with suppress(ThreadExists):
            await store.create_thread(id, owner=user, kind=KIND, metadata=told)
            return
        with suppress(ThreadNotFound):
            await store.update_thread(id, metadata=told)
            return
    raise Unavailable("a membership was made and removed by others again and again")


async def mark(store: AsyncChatStore, thread_id: str, user: str) -> str | None:
    """What `end` needs, to be asked for before `user` is removed."""
    try:
        return (await store.get_thread(_id(thread_id, user))).etag
    except ThreadNotFound:
        return None


async def end(store: AsyncChatStore, thread_id: str, user: str, mark: str | None) -> None:
    """Lead `user` there no more, unless they were added again since `mark`: `begin` has changed it then."""
    if mark is not None:
        with suppress(Conflict):
            await store.delete_thread(_id(thread_id, user), if_match=mark)


async def forget(store: AsyncChatStore, thread: Thread) -> None:
    """Lead nobody any more to a thread that is gone; its id is never used again."""
    for one in thread.participants:
        await store.delete_thread(_id(thread.id, one.id))


def target(membership: Thread) -> str | None:
    """The thread that a membership leads to."""
    found = membership.metadata.get("thread")
    return found if isinstance(found, str) else None


def _id(thread_id: str, user: str) -> str:
    return f"acs-member-{hashlib.sha256(encode([thread_id, user]).encode()).hexdigest()}"
