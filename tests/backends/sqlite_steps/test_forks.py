"""A long fork is made in many transactions, and looks as if it were one."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

import chatstore
from chatstore.engines.sql.transactions import Transacting
from chatstore.testing import ManualClock
from tests.backends.sqlite_steps.long import LONG, fill, killed, large, rows, told


def test_a_long_fork_is_whole(store: chatstore.ChatStore, path: Path) -> None:
    messages = fill(store, owner="ada lovelace")
    store.update_thread("long", topic="all of it", metadata={"a": 1})
    forked = store.fork("long", "copy", request_id="r")
    assert (forked.topic, forked.owner, forked.metadata) == ("all of it", "ada lovelace", {"a": 1})
    assert told(store, "copy") == list(range(LONG))
    assert store.fork("long", "copy", request_id="r") == forked
    store.fork("long", "half", through=messages[LONG // 2].id)
    assert told(store, "half") == list(range(LONG // 2 + 1))
    store.append("copy", large(LONG))
    assert told(store, "copy") == list(range(LONG + 1))
    assert rows(path, "threads") == 3


def test_what_changes_while_a_thread_is_copied(path: Path) -> None:
    async def changed() -> list[list[int]]:
        async with chatstore.aconnect(f"sqlite:///{path}") as store:
            first = None
            for number in range(LONG):
                added = await store.append("long", large(number))
                first = first or added.messages[0].id
            forking = asyncio.create_task(store.fork("long", "copy"))
            await asyncio.sleep(0)  # which begins it
            # Writers of the same caller have their turn between two steps.
            await store.delete_message("long", first)
            await store.append("long", large(LONG))
            assert not forking.done()
            assert [thread.id async for thread in store.iter_threads()] == ["long"]
            assert [tenant async for tenant in store.iter_tenants()] == ["default"]
            await forking
            return [
                [int(str(one.content).split()[0]) async for one in store.iter_messages(thread)]
                for thread in ("long", "copy")
            ]

    original, copied = asyncio.run(changed())
    assert copied == original == list(range(1, LONG + 1))
    assert rows(path, "threads") == 2
    assert rows(path, "messages") == 2 * LONG


def test_a_fork_that_fails_leaves_nothing(path: Path) -> None:
    async def failed() -> None:
        async with chatstore.aconnect(f"sqlite:///{path}") as store:
            for number in range(LONG):
                await store.append("long", large(number))
            for other in (store.create_thread("copy"), store.delete_thread("long")):
                forking = asyncio.create_task(store.fork("long", "copy"))
                await asyncio.sleep(0)  # which begins it
                failed = asyncio.gather(forking, other, return_exceptions=True)
                assert isinstance((await failed)[0], (chatstore.ThreadExists, chatstore.ThreadNotFound))
                await store.delete_thread("copy")

    asyncio.run(failed())
    assert rows(path, "threads") == rows(path, "messages") == 0


@pytest.mark.parametrize("by", ["erasure", "sweep"])
def test_what_a_killed_process_left_of_a_fork_goes(
    store: chatstore.ChatStore, path: Path, clock: ManualClock, by: str
) -> None:
    fill(store, owner="ada lovelace")
    with sqlite3.connect(path) as database:
        # As the first step of a fork leaves it.
        database.execute(
            "INSERT INTO threads (key, tenant, id, owner, topic, metadata, participants, created_at, "
            "active_at, expires_at, revision, epoch, tail, edits) "
            "SELECT 99, '', 'token', owner, tenant, '{}', '[]', created_at, active_at, "
            "created_at + 3600000000, 'r', 'e', 0, 0 FROM threads"
        )
        database.execute(
            "INSERT INTO messages (thread, position, id, text, created_at, expires_at, revision) "
            "SELECT 99, position, 'i' || id, text, created_at, expires_at, 0 FROM messages"
        )
    database.close()
    assert told(store, "long") == list(range(LONG))
    if by == "erasure":
        assert store.erase("ada lovelace").threads == 1
        assert rows(path, "threads") == rows(path, "messages") == 0
        return
    clock.advance(timedelta(hours=1))
    while store.sweep().more:
        pass
    assert rows(path, "threads") == 1
    assert rows(path, "messages") == LONG


def test_what_is_cut_while_a_thread_is_copied(path: Path) -> None:
    async def cut(end: int) -> tuple[list[int], list[int]]:
        async with chatstore.aconnect(f"sqlite:///{path}") as store:
            await store.delete_thread("copy")
            added = await store.replace_all("long", list(map(large, range(LONG))), create=True)
            ids = [one.id async for one in store.iter_messages("long")]
            assert added.etag
            forking = asyncio.create_task(store.fork("long", "copy"))
            await asyncio.sleep(0)  # which begins it
            await store.get_thread("long")
            await store.truncate("long", after=ids[end])
            await store.append("long", large(LONG))
            await forking
            original, copied = [
                [int(str(one.content).split()[0]) async for one in store.iter_messages(thread)]
                for thread in ("long", "copy")
            ]
            return original, copied

    for end in (0, 1, LONG - 2):
        original, copied = asyncio.run(cut(end))
        assert copied in (original, original[:-1], list(range(LONG)))


def test_a_copy_that_outlived_its_lease_begins_anew(path: Path, clock: ManualClock) -> None:
    async def forked() -> list[int]:
        async with chatstore.aconnect(f"sqlite:///{path}", clock=clock) as store:
            for number in range(LONG):
                await store.append("long", large(number))
            forking = asyncio.create_task(store.fork("long", "copy"))
            await asyncio.sleep(0)  # which begins it
            await store.get_thread("long")
            clock.advance(timedelta(days=1))
            while (await store.sweep()).more:
                pass
            await forking
            return [int(str(one.content).split()[0]) async for one in store.iter_messages("copy")]

    assert asyncio.run(forked()) == list(range(LONG))
    assert rows(path, "messages") == 2 * LONG


def test_a_fork_of_what_keeps_changing_gives_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatstore.engines.sql.lengthy._TRIES", 1)

    async def forked() -> None:
        async with chatstore.aconnect(f"sqlite:///{path}") as store:
            for number in range(LONG):
                await store.append("long", large(number))
            forking = asyncio.create_task(store.fork("long", "copy"))
            await asyncio.sleep(0)  # which begins it
            # Writers of the same caller have their turn between two steps.
            await store.delete_message("long", index=0)
            with pytest.raises(chatstore.Unavailable, match="kept changing"):
                await forking

    asyncio.run(forked())
    assert rows(path, "threads") == 1
    assert rows(path, "messages") == LONG - 1


@pytest.mark.parametrize("removed", [True, False])
def test_a_copy_begins_anew_where_its_end_was_cut_away(
    path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    if not removed:
        monkeypatch.setattr(Transacting, "_clean", killed)

    async def forked() -> list[list[int]]:
        async with chatstore.aconnect(f"sqlite:///{path}") as store:
            added = await store.append("long", *map(large, range(LONG)))
            begun, cut = asyncio.Event(), asyncio.Event()

            async def rest(_: float) -> None:
                if not begun.is_set():
                    begun.set()
                    await cut.wait()

            assert isinstance(store.backend, Transacting)
            monkeypatch.setattr(store.backend.driver, "rest", rest)
            forking = asyncio.create_task(store.fork("long", "copy"))
            await begun.wait()
            await store.truncate("long", after=added.messages[0].id)
            await store.append("long", large(LONG))
            cut.set()
            await forking
            return [
                [int(str(one.content).split()[0]) async for one in store.iter_messages(thread)]
                for thread in ("long", "copy")
            ]

    assert asyncio.run(asyncio.wait_for(forked(), 60)) == [[0, LONG], [0, LONG]]
