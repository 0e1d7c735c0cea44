"""A long end that is cut away goes in many transactions, and is away at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

import chatstore
from chatstore.engines.sql import Caller
from chatstore.engines.sql.transactions import Transacting
from chatstore.testing import ManualClock
from tests.backends.sqlite_steps.long import LONG, fill, killed, large, rows, told


def test_a_long_end_is_cut_away_at_once(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned = Transacting._clean
    held, going_on = asyncio.Event(), asyncio.Event()

    async def first_held(self: Transacting, caller: Caller, key: int) -> None:
        """The first to clean up waits, so that others come between its steps however busy the machine is."""
        if not held.is_set():
            held.set()
            await going_on.wait()
        await cleaned(self, caller, key)

    monkeypatch.setattr(Transacting, "_clean", first_held)

    async def cut() -> None:
        async with chatstore.aconnect(f"sqlite:///{path}", clock=clock) as store:
            keys = [f"k{number}" for number in range(LONG)]
            added = await store.append("long", *map(large, range(LONG)), key=keys)
            ids = [message.id or "" for message in added.messages]
            cutting = asyncio.create_task(store.append("long", large(90), after=ids[3], key="k9"))
            await held.wait()
            # Its first step has taken place, and others have their turn before the last one.
            assert rows(path, "messages") > 5
            seen = [[0, 1, 2, 3, 90], [0, 1, 2, 3]]
            assert await read(store) == seen[0]
            page = await store.read("long", last=2)
            assert [int(str(one.content).split()[0]) for one in page] == [3, 90]
            with pytest.raises(chatstore.MessageNotFound):
                await store.get_message("long", ids[-1])
            with pytest.raises(chatstore.MessageNotFound):
                await store.get_message("long", "key:k12")
            between = await store.insert("long", large(91), after=ids[3])
            await store.append("long", large(92), key="k12")
            assert await read(store) == [0, 1, 2, 3, 91, 90, 92]
            [listed] = await store.list_threads(preview=True)
            assert listed.message_count == 7
            await store.fork("long", "copy")
            await store.truncate("long", after=between.id)
            await store.replace_all("long", [*map(large, range(4)), large(91), large(93)])
            going_on.set()
            await cutting
            assert await read(store) == [0, 1, 2, 3, 91, 93]
            assert await read(store, "copy") == [0, 1, 2, 3, 91, 90, 92]

    async def read(store: chatstore.AsyncChatStore, thread: str = "long") -> list[int]:
        return [int(str(one.content).split()[0]) async for one in store.iter_messages(thread)]

    asyncio.run(cut())
    assert rows(path, "messages") == 6 + 7


def test_a_sweep_removes_what_a_killed_process_left_of_a_cut(
    store: chatstore.ChatStore, path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Transacting, "_clean", killed)
        ids = [message.id or "" for message in fill(store)]
        store.truncate("long", after=ids[9])
        store.append("long", large(90))
        store.truncate("long", after=ids[1])
        store.append("long", large(91))
        # What was cut may be restored with its id.
        store.append("other", large(1))
    before = list(store.iter_messages("long"))
    assert told(store, "long") == [0, 1, 91]
    assert rows(path, "messages") > 6
    while store.sweep().more:
        pass
    assert list(store.iter_messages("long")) == before
    assert rows(path, "messages") == 3 + 1


def test_an_older_cut_stays_away_whatever_is_done_beside_it(
    store: chatstore.ChatStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transacting, "_clean", killed)
    added = store.append("long", *map(large, range(LONG)), key=[f"k{number}" for number in range(LONG)])
    ids = [message.id or "" for message in added.messages]
    store.truncate("long", after=ids[3])
    [last] = store.append("long", large(90)).messages
    store.append("long", large(91))
    store.truncate("long", after=last.id)
    assert told(store, "long") == [0, 1, 2, 3, 90]
    store.insert("long", large(92), before=ids[1])
    store.insert("long", large(93), before=last.id)
    store.append("long", large(94), key="k12")
    with pytest.raises(chatstore.MessageExists):
        store.append("long", large(95), key="k2")
    seen = [0, 92, 1, 2, 3, 93, 90, 94]
    assert told(store, "long") == seen
    assert [int(str(one.content).split()[0]) for one in store.read("long", last=4)] == seen[-4:]
    while store.sweep().more:
        pass
    assert told(store, "long") == seen
    assert rows(path, "messages") == len(seen)


def test_a_sweep_ends_with_its_step_where_messages_were_cut_away(
    store: chatstore.ChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Transacting, "_clean", killed)
        for thread in ("one", "two"):
            added = store.append(thread, *map(large, range(3)))
            store.truncate(thread, after=added.messages[0].id)  # which removes one itself
    swept = [store.sweep() for _ in range(5)]
    assert [one.messages for one in swept] == [1, 0, 1, 0, 0]
    assert [one.more for one in swept] == [True, True, True, True, False]


def test_what_was_cut_may_come_back_with_its_ids_before_it_is_removed(
    store: chatstore.ChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transacting, "_clean", killed)
    messages = fill(store)
    store.truncate("long", after=messages[3].id)
    back = [replace(one, position=None) for one in messages[-2:]]
    store.restore(store.get_thread("long"), back, if_match=store.read("long").etag)
    assert told(store, "long") == [0, 1, 2, 3, LONG - 2, LONG - 1]
