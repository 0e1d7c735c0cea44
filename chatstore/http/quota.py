"""How many threads an owner may have, counted when one is to be made.

The count and the creation are two steps: owners who create at several places at once may end up with as many
threads too many as they had requests under way.

Somebody whom others add to their chats has a thread for each of them: these are counted for nobody. Who makes
threads may not choose such ids, unless they may do all that their tenant may.
"""

from __future__ import annotations

from chatstore.errors import ThreadNotFound
from chatstore.http.problems import OverQuota
from chatstore.models import Thread
from chatstore.store import MAX_LIMIT, AsyncChatStore

__all__ = ["ADDED_BY", "MEMBER", "check_quota"]

MEMBER = "acs-member-"
"""How the id of a thread begins that leads somebody to a chat."""
ADDED_BY = "by"
"""Where the metadata of such a thread says who added them."""

_PAGE_BYTES = 1024 * 1024


async def check_quota(store: AsyncChatStore, most: int, owner: str | None, thread_id: str | None) -> None:
    """Raise OverQuota if a new thread `thread_id` would be one too many of `owner`'s; 0 for no limit.

    A thread that is there already passes, so that a repeated request gets its first answer. Lists up to
    `most` threads that count, of every kind, and those that it meets on the way.
    """
    owner = store.owner or owner
    if not most or owner is None:
        return
    if thread_id is not None:
        try:
            await store.get_thread(thread_id)
        except ThreadNotFound:
            pass
        else:
            return
    left, cursor = most, None
    while left > 0:
        page = await store.list_threads(
            owner=owner, kind=None, limit=min(left, MAX_LIMIT), cursor=cursor, max_bytes=_PAGE_BYTES
        )
        left, cursor = left - sum(_counts(one, owner) for one in page), page.next
        if cursor is None and left > 0:
            return
        if cursor is None:
            break
    raise OverQuota(f"an owner has at most {most:,} threads: delete one first")


def _counts(thread: Thread, owner: str) -> bool:
    """Whether a thread of `owner` is of their own making."""
    return not thread.id.startswith(MEMBER) or thread.metadata.get(ADDED_BY, owner) == owner
