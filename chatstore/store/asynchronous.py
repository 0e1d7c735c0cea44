"""`AsyncChatStore`: the source of both faces."""

from __future__ import annotations

from chatstore.store.finding import Finding
from chatstore.store.reading import Reading
from chatstore.store.restoring import Restoring
from chatstore.store.threads import Threads
from chatstore.store.writing import Writing

__all__ = ["AsyncChatStore"]


class AsyncChatStore(Threads, Finding, Writing, Reading, Restoring):
    """Threads of ordered messages, for one tenant.

    Every mutation is atomic and takes two options. `request_id` makes it safe to repeat. Within the backend's
    window the same request gives the first result again and has no further effect. The window is 24 hours at
    least for ids that carry their time, such as `chatstore.uuid7`. The same id with another request raises
    RequestMismatch. An id whose time is outside the window raises RequestExpired. `if_match` is an ETag that
    must still be current; otherwise Conflict is raised, with the current one. For `update_thread` and
    `delete_thread` it is the thread's ETag. If a message is named by its id, it is the message's. Otherwise
    it is the log's, which pages and appends carry. An append fails only if somebody else appended; the other
    operations on the log also fail after edits.

    A thread that does not exist has no messages: `read`, `window` and `iter_messages` give none, `clear` and
    `delete_thread` have nothing to do; everything else raises ThreadNotFound. Arguments that cannot be used
    raise InvalidArgument before anything is done. If the storage fails, StorageError is raised.
    """
