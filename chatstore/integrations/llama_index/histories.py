"""What LlamaIndex's in-memory chat store does with a list, done with a thread, one atomic step a call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from chatstore.contract import Capability
from chatstore.errors import Conflict, CursorExpired, MessageNotFound, ThreadExists, ThreadNotFound
from chatstore.models import Message
from chatstore.store import MAX_LIMIT, AsyncChatStore

__all__ = [
    "TRIES",
    "History",
    "begin",
    "create",
    "delete",
    "delete_at",
    "history",
    "insert",
    "keys",
    "rewrite",
]

TRIES = 100
"""How often a step is tried again that somebody else has overtaken."""

_PAGE_BYTES = 4 * 1024 * 1024
_REREADS = 5
_AT_AN_INDEX = {Capability.INDEX, Capability.INSERT}


class History(NamedTuple):
    """All of a thread's messages; `etag` names the log as it was read, None for an unknown thread."""

    messages: list[Message]
    etag: str | None


async def history(store: AsyncChatStore, key: str) -> History:
    """The whole of `key`, one trip for each 1,000 messages or 4 MiB.

    Read in several pages, it is read again while it changes in between, at most a few times.
    """
    for left in reversed(range(_REREADS)):
        try:
            page = await store.read(key, limit=MAX_LIMIT, max_bytes=_PAGE_BYTES)
            found = History(list(page), page.etag)
            while page.next is not None:
                page = await store.read(key, after=page.next, limit=MAX_LIMIT, max_bytes=_PAGE_BYTES)
                found.messages.extend(page)
        except CursorExpired:
            if not left:
                raise
            continue
        if page.etag == found.etag or not left:
            return found
    raise AssertionError("unreachable")


async def insert(store: AsyncChatStore, key: str, message: Message, index: int, ttl: float | None) -> None:
    """``list.insert``. Where the backend cannot insert by index, it compares and replaces the whole."""
    for _ in range(TRIES):
        try:
            if store.backend.capabilities >= _AT_AN_INDEX:
                await store.insert(key, message, index=index)
            else:
                found = await history(store, key)
                if found.etag is None:
                    raise ThreadNotFound(key)
                found.messages.insert(index, message)
                await rewrite(store, key, found.messages, found.etag)
        except ThreadNotFound:
            await create(store, key, ttl)
        except Conflict:
            continue
        else:
            return
    raise Conflict(None)


async def rewrite(store: AsyncChatStore, key: str, messages: Sequence[Message], etag: str) -> None:
    """Replace the history that `etag` names by `messages`, each with what is left of its own time."""
    left, lives = await _lives(store, messages)
    await store.replace_all(key, left, expires_in=lives, if_match=etag)


async def begin(store: AsyncChatStore, key: str, messages: Sequence[Message], ttl: float | None) -> None:
    """Add `messages` to a thread that was not there, each with what is left of its own time."""
    left, lives = await _lives(store, messages)
    if left:
        await store.append(key, *left, expires_in=lives, ttl=ttl)
    else:
        await create(store, key, ttl)


async def _lives(
    store: AsyncChatStore, messages: Sequence[Message]
) -> tuple[list[Message], list[timedelta | None]]:
    """Those of the messages that have not expired, and what is left of their time."""
    if all(one.expires_at is None for one in messages):
        return list(messages), [None] * len(messages)
    now = await store.now()
    left = [one for one in messages if one.expires_at is None or one.expires_at > now]
    return left, [None if one.expires_at is None else one.expires_at - now for one in left]


async def delete(store: AsyncChatStore, key: str) -> History:
    """Remove the thread; what is returned was read just before. Two trips."""
    found = await history(store, key)
    if found.etag is not None:
        await store.delete_thread(key)
    return found


async def delete_at(store: AsyncChatStore, key: str, index: int) -> Message | None:
    """``list.pop(index)``, but None where there is no such message."""
    try:
        if Capability.INDEX in store.backend.capabilities:
            return await store.delete_message(key, index=index)
        return await _delete_by_id(store, key, index)
    except (ThreadNotFound, MessageNotFound):
        return None


async def keys(store: AsyncChatStore) -> list[str]:
    """Every thread's id, the most recently active first."""
    return [thread.id async for thread in store.iter_threads()]


async def create(store: AsyncChatStore, key: str, ttl: float | None) -> None:
    """Make an empty thread, unless somebody was faster."""
    try:
        await store.create_thread(key, ttl=ttl)
    except ThreadExists:
        return


async def _delete_by_id(store: AsyncChatStore, key: str, index: int) -> Message:
    """Delete what is at `index` when it is looked up, and look again where somebody else was faster."""
    for _ in range(TRIES):
        found = await _at(store, key, index)
        try:
            return await store.delete_message(key, found.id)
        except MessageNotFound:
            continue
    raise MessageNotFound(key, index)


async def _at(store: AsyncChatStore, key: str, index: int) -> Message:
    """The message at `index`, looked for from the end that it counts from."""
    forward = index >= 0
    left = index if forward else -index - 1
    limit = min(left + 1, MAX_LIMIT)
    page = await (store.read(key, limit=limit) if forward else store.read(key, last=limit))
    if page.end is None:
        raise ThreadNotFound(key)
    while left >= len(page):
        if page.next is None:
            raise MessageNotFound(key, index)
        left -= len(page)
        limit = min(left + 1, MAX_LIMIT)
        page = await (
            store.read(key, after=page.next, limit=limit)
            if forward
            else store.read(key, before=page.next, limit=limit)
        )
    return page.items[left if forward else -left - 1]
