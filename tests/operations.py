"""Operations whose calls of a storage are counted, as tests of each engine play them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias

from chatstore import ChatStore
from chatstore.testing.samples import say

__all__ = ["Note", "appends", "counted", "histories_and_lists"]

Note: TypeAlias = Callable[[str, Callable[[], object]], None]
"""Does something, and keeps under a name which calls that made."""


def counted(calls: Sequence[str]) -> str:
    """How many there are of each call."""
    return ", ".join(f"{many} {one}" for one, many in sorted(Counter(calls).items()))


def appends(note: Note, store: ChatStore, cold: Callable[[], ChatStore], later: Callable[[], object]) -> None:
    """Turns of a thread ``t``: of this process, of one that knows nothing yet, a minute later, and again."""
    note("a tenant's first append", lambda: store.append("t", say("a"), say("b"), owner="mary"))
    note("an append", lambda: store.append("t", say("c")))
    note("a cold append", lambda: cold().append("t", say("d")))
    note("an append behind another process's", lambda: store.append("t", say("e")))
    later()
    note("an append of a new minute", lambda: store.append("t", say("f")))
    note("a request", lambda: store.append("t", say("g"), request_id="r"))
    note("a request again", lambda: store.append("t", say("g"), request_id="r"))


def histories_and_lists(note: Note, store: ChatStore) -> None:
    """The thread ``t`` changed and replaced, a copy of it, and lists of both."""
    note("changed properties", lambda: store.update_thread("t", topic="new"))
    note("another history", lambda: store.replace_all("t", [say("a"), say("b")]))
    note("a history that grew", lambda: store.replace_all("t", [say("a"), say("b"), say("c")]))
    note("a history that is the same", lambda: store.replace_all("t", [say("a"), say("b"), say("c")]))
    note("a fork", lambda: store.fork("t", "copy"))
    note("a list of an owner's threads", lambda: store.list_threads(owner="mary"))
    note("a list of all threads", store.list_threads)
    note("a list of nobody's", lambda: store.list_threads(owner="nobody"))
