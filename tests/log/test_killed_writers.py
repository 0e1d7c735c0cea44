"""A writer is killed before any of its calls: however the thread is read then, it is one history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from chatstore.store import ChatStore
from chatstore.testing.samples import contents, say
from tests.log.doubles import Mortal
from tests.log.kept import Kept
from tests.log.memory_table import Killed, LogInMemory, MemoryTable

Act: TypeAlias = Callable[[ChatStore, list[str]], object]

ACTS: dict[str, Act] = {
    "put in front": lambda store, _ids: store.insert("t", say("new"), index=0),
    "put in front under a key": lambda store, _ids: store.insert("t", say("new"), index=0, key="new"),
    "put into a turn": lambda store, ids: store.insert("t", say("new"), before=ids[2]),
    "put between turns": lambda store, ids: store.insert("t", say("new"), after=ids[2]),
    "put in front of what a cut left": lambda store, _ids: store.insert("t", say("new"), before="key:later"),
    "edited first": lambda store, ids: store.replace_message("t", ids[0], say("new")),
    "edited last": lambda store, _ids: store.replace_message("t", "key:later", say("new")),
    "taken first": lambda store, ids: store.delete_message("t", ids[0]),
    "taken from a turn": lambda store, ids: store.delete_message("t", ids[1]),
    "taken last": lambda store, _ids: store.pop("t"),
    "cut": lambda store, ids: store.truncate("t", after=ids[1]),
    "appended": lambda store, _ids: store.append("t", say("new"), say("newer"), key=["new", None]),
}


def seen(store: ChatStore) -> list[str]:
    """The history, after each way to read it has been found to show the same."""
    page = store.read("t", limit=100)
    whole = contents(page)
    ids = [one.id or "" for one in page]
    assert [contents([store.get_message("t", id)]) for id in ids] == [[one] for one in whole]
    assert [contents([store.get_message("t", f"key:{one.key}")])[0] for one in page if one.key] == [
        content for one, content in zip(page, whole, strict=True) if one.key
    ]
    for count in (1, 2, 100):
        assert contents(store.read("t", last=count)) == whole[-count:]
        for place, id in enumerate(ids):
            assert contents(store.read("t", after=id, limit=count)) == whole[place + 1 :][:count]
            assert contents(store.read("t", before=id, limit=count)) == whole[:place][-count:]
        forward, cursor = list[str](), None
        while not forward or cursor is not None:
            part = store.read("t", limit=count, after=cursor)
            forward, cursor = forward + contents(part), part.next
        assert forward == whole
        part = store.read("t", last=count)
        backward = contents(part)
        while part.next is not None:
            part = store.read("t", limit=count, before=part.next)
            backward = contents(part) + backward
        assert backward == whole
    assert store.list_threads(preview=True).items[0].message_count == len(whole)
    return whole


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut before"])
@pytest.mark.parametrize("act", ACTS)
def test_all_ways_to_read_show_one_history(kept: Kept, act: str, cut: bool) -> None:
    store = kept.store
    ids = [one.id or "" for one in store.append("t", say("0"), say("1"), say("2")).messages]
    if cut:
        for number in range(3):
            store.append("t", say(f"cut away {number}"))
        store.truncate("t", after=ids[2])
    store.append("t", say("later"), key="later")
    before, left, found = seen(store), 0, list[list[str]]()
    is_killed = True
    while is_killed:
        table = kept.table.copy()
        is_killed = False
        try:
            ACTS[act](ChatStore(LogInMemory(Mortal(table, left), kept.clock)), ids)
        except Killed:
            is_killed = True
        found.append(seen(ChatStore(LogInMemory(table, kept.clock))))
        left += 1
    after = found[-1]
    assert after != before
    assert all(one in (before, after) for one in found)


@pytest.mark.parametrize("act", ACTS)
def test_what_was_seen_of_a_killed_writer_stays_when_another_goes_on(kept: Kept, act: str) -> None:
    """The other remembers the thread from before, and finds out by the slot that is taken."""
    left, is_killed = 0, True
    while is_killed:
        table, is_killed = MemoryTable(), False
        other = ChatStore(LogInMemory(table, kept.clock))
        ids = [one.id or "" for one in other.append("t", say("0"), say("1"), say("2")).messages]
        other.append("t", say("later"), key="later")
        try:
            ACTS[act](ChatStore(LogInMemory(Mortal(table, left), kept.clock)), ids)
        except Killed:
            is_killed = True
        found = seen(ChatStore(LogInMemory(table, kept.clock)))
        other.append("t", say("behind"))
        assert seen(ChatStore(LogInMemory(table, kept.clock))) == [*found, "behind"]
        left += 1
