"""Who asks, what they may see, and how a change is made once and only while they may make it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, TypeVar

from chatstore.codec import encode
from chatstore.errors import Conflict, CursorExpired, NotFound, RequestMismatch, ThreadNotFound
from chatstore.http.acs.forms import EVENT, OWN
from chatstore.http.problems import Forbidden, Overloaded
from chatstore.http.routing import Call
from chatstore.models import CHAT, Message, Thread
from chatstore.store import AsyncChatStore

__all__ = ["Asked", "Seen", "done", "read", "request_id", "seen", "settled", "sight", "store_of", "user_of"]

Asked: TypeAlias = Call[Any, Any, Any, Any]
"""A request of any route of this face."""

T = TypeVar("T")

_ATTEMPTS = 20


class Seen(NamedTuple):
    """A thread as somebody sees it, who takes part in it."""

    thread: Thread
    since: datetime | None
    """From when on the history is shown to them; None for all of it."""

    def shows(self, message: Message) -> bool:
        """Whether they see this message."""
        return self.since is None or (message.created_at is not None and message.created_at >= self.since)


def user_of(call: Asked) -> str:
    """For whom the caller speaks. Raises Forbidden for a credential of nobody in particular."""
    user = call.identity.owner
    if user is None:
        raise Forbidden(
            "this credential has no owner: send one with an owner, such as `chatstore tokens issue` makes"
        )
    return user


def store_of(call: Asked) -> AsyncChatStore:
    """The tenant's store: a thread has several participants, so it is not confined to one owner."""
    store = call.service.store
    tenant = call.identity.tenant
    return store if store.tenant == tenant else store.for_tenant(tenant)


def sight(thread: Thread, user: str) -> Seen:
    """The thread as `user` sees it: a participant, or its owner, who made it through another face.

    Raises ThreadNotFound for everybody else, and where it is no conversation.
    """
    if thread.kind == CHAT:
        for one in thread.participants:
            if one.id == user:
                own = one.metadata.get(OWN)
                text = own.get("shareHistoryTime") if isinstance(own, dict) else None
                return Seen(thread, datetime.fromisoformat(text) if isinstance(text, str) else None)
        if thread.owner == user:
            return Seen(thread, None)
    raise ThreadNotFound(thread.id)


async def seen(call: Asked) -> Seen:
    """The thread that the path names. Raises ThreadNotFound where the caller does not take part in it."""
    user = user_of(call)
    return sight(await store_of(call).get_thread(call.path.id), user)


async def read(call: Asked, reading: Awaitable[T]) -> tuple[T, Seen]:
    """What `reading` gives, and the thread as it was after that.

    Who takes part now may see what was there before. If it were the other way round, one who was removed in
    between would be shown what was said since. Whoever takes no part is told nothing else.
    """
    try:
        found = await reading
    except (NotFound, CursorExpired):
        await seen(call)
        raise
    return found, await seen(call)


def request_id(call: Asked, *, token: str | None = None) -> str | None:
    """What makes the request repeatable: what its client calls it, together with who asks and for what.

    Some clients send one name with several requests, which then are several all the same. With a `token`,
    whose only use is to name one request, another request under it is refused.
    """
    named = call.headers.client_request_id if token is None else token
    if named is None:
        return None
    what = repr(call.body) if token is None else ""
    parts = [user_of(call), *call.path, type(call.body).__name__, what, named]
    return f"acs-{hashlib.sha256(encode(parts).encode()).hexdigest()}"


async def done(call: Asked, repeated: str | None) -> bool:
    """Whether the request was carried out by an earlier try, which ended the caller's part in the thread.

    Nothing is written: no log has the ETag that is asked for, and the first result comes before that.
    """
    if repeated is None:
        return False
    try:
        await store_of(call).append(
            call.path.id, {"role": EVENT}, create=False, if_match="", request_id=repeated
        )
    except RequestMismatch:
        return True
    except (Conflict, ThreadNotFound):
        return False
    return True


async def settled(attempt: Callable[[], Awaitable[T]]) -> T | None:
    """What `attempt` gives, or None where an earlier try of the request was carried out already.

    It is made anew where somebody's write came between its reading and its writing: it reads whether the
    caller still takes part, and writes on the condition that nothing of that has changed. Raises Overloaded.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await attempt()
        except Conflict:
            continue
        except RequestMismatch:
            # The id has all of the request in it: only the time, or what was there before, can differ.
            return None
    raise Overloaded(f"others changed the thread {_ATTEMPTS} times meanwhile")
