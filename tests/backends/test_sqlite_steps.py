"""What is as long as the data is done in many transactions, and looks as if it were one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import chatstore
from chatstore.engines.sql import Caller, steps
from chatstore.engines.sql.transactions import Transacting
from chatstore.models import Erased, Swept
from chatstore.testing import ManualClock

LONG = 16
"""So many messages are many steps here, where each is as short as it can be."""


async def killed(*_: object) -> None:
    """A process that ends behind a write, before it cleans up."""


@pytest.fixture(autouse=True)
def shortest_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "STEP_SECONDS", 0.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def store(path: Path, clock: ManualClock) -> Iterator[chatstore.ChatStore]:
    with chatstore.connect(f"sqlite:///{path}", clock=clock) as store:
        yield store


def large(number: int) -> dict[str, str]:
    return {"role": "user", "content": f"{number} " + "x" * 300_000}


def fill(
    store: chatstore.ChatStore, thread: str = "long", owner: str | None = None
) -> list[chatstore.Message]:
    return [store.append(thread, large(number), owner=owner).messages[0] for number in range(LONG)]


def told(store: chatstore.ChatStore, thread: str) -> list[int]:
    return [int(str(message.content).split()[0]) for message in store.iter_messages(thread)]


def rows(path: Path, table: str) -> int:
    counts = {"threads": "SELECT count(*) FROM threads", "messages": "SELECT count(*) FROM messages"}
    with sqlite3.connect(path) as database:
        [found] = database.execute(counts[table]).fetchone()
    database.close()
    return int(found)


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


def test_a_long_thread_goes_at_once_for_those_who_read(path: Path) -> None:
    async def gone() -> None:
        async with chatstore.aconnect(f"sqlite:///{path}") as store:
            for thread in ("long", "longer"):
                for number in range(LONG):
                    await store.append(thread, large(number))
            deleting = asyncio.create_task(store.delete_thread("long"))
            clearing = asyncio.create_task(store.replace_all("longer", [large(7)]))
            await asyncio.sleep(0)  # which begins them
            await store.append("long", large(8))
            assert not deleting.done()
            assert not clearing.done()
            for thread in ("long", "longer"):
                assert len(await store.read(thread)) == 1
            await asyncio.gather(deleting, clearing)
            for thread in ("long", "longer"):
                assert len(await store.read(thread)) == 1

    asyncio.run(gone())
    assert rows(path, "threads") == rows(path, "messages") == 2


def test_an_erasure_in_steps(store: chatstore.ChatStore, path: Path) -> None:
    fill(store, owner="ada lovelace")
    fill(store, "other", owner="bob")
    store.append("short", large(1), owner="ada lovelace", request_id="r")
    assert store.erase("ada lovelace") == Erased(threads=2, messages=LONG + 1, requests=1)
    assert store.erase("ada lovelace") == Erased(0, 0, 0)
    assert told(store, "other") == list(range(LONG))
    assert rows(path, "threads") == 1
    assert b"ada lovelace" not in path.read_bytes()


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


def test_erasing_nobody_does_not_write_the_file_anew(store: chatstore.ChatStore, path: Path) -> None:
    fill(store, owner="bob")
    store.erase("ada lovelace")  # nobody knows what was removed before this process began
    before = path.read_bytes()
    for _ in range(3):
        assert store.erase("ada lovelace") == Erased(0, 0, 0)
        store.append("long", {"role": "user", "content": "hello"})
    assert path.read_bytes() == before
    store.delete_message("long", index=0)
    store.erase("ada lovelace")
    assert path.read_bytes() != before


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


def test_a_sweep_ends_with_its_step(store: chatstore.ChatStore, path: Path, clock: ManualClock) -> None:
    minute = timedelta(minutes=1)
    for number in range(3):
        store.create_thread(f"gone {number}", ttl=minute)
        store.append("stays", large(number), expires_in=minute)
    clock.advance(minute)
    for _ in range(3):
        assert store.sweep() == Swept(threads=1, messages=0, requests=0, more=True)
    for _ in range(3):
        assert store.sweep() == Swept(threads=0, messages=1, requests=0, more=True)
    assert store.sweep() == Swept(0, 0, 0, more=False)
    assert rows(path, "threads") == 1
    assert rows(path, "messages") == 0


def test_a_sweep_takes_no_more_than_it_may(
    store: chatstore.ChatStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Transacting, "_clean", killed)
        ids = [message.id or "" for message in fill(store)]
        store.truncate("long", after=ids[3])
    left = LONG - 4 - 1
    monkeypatch.setattr(steps, "STEP_SECONDS", 60.0)
    while left > 4:
        assert store.sweep(limit=4) == Swept(0, 4, 0, more=True)
        left -= 4
    assert store.sweep(limit=4) == Swept(0, left, 0, more=False)
    for number in range(3):
        store.append("asked", large(number), request_id=f"r{number}")
    clock.advance(timedelta(days=30))
    assert store.sweep(limit=3) == Swept(0, 0, 3, more=True)
    assert store.sweep(limit=3) == Swept(0, 0, 0, more=False)


def test_others_have_their_turn_between_the_threads_of_an_erasure(path: Path) -> None:
    async def erased() -> Erased:
        async with chatstore.aconnect(f"sqlite:///{path}") as store:
            for number in range(LONG):
                await store.create_thread(f"t{number}", owner="ada lovelace")
            erasing = asyncio.create_task(store.erase("ada lovelace"))
            await asyncio.sleep(0)  # which begins it
            await store.append("other", large(1), create=True)
            assert rows(path, "threads") > 2
            return await erasing

    assert asyncio.run(erased()) == Erased(threads=LONG, messages=0, requests=0)
    assert rows(path, "threads") == 1


def test_an_erasure_goes_on_behind_as_many_threads_as_it_takes_together(
    store: chatstore.ChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "STEP_SECONDS", 60.0)
    monkeypatch.setattr("chatstore.engines.sql.lengthy._TOGETHER", 2)
    for number in range(5):
        store.create_thread(f"t{number}", owner="ada lovelace")
    assert store.erase("ada lovelace") == Erased(threads=5, messages=0, requests=0)


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


def test_a_sweep_removes_as_many_threads_as_it_may(
    store: chatstore.ChatStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "STEP_SECONDS", 60.0)
    minute = timedelta(minutes=1)
    for number in range(3):
        store.append(f"gone {number}", large(number), ttl=minute)
    clock.advance(minute)
    assert store.sweep(limit=3) == Swept(1, 2, 0, more=True)
    assert store.sweep(limit=4) == Swept(2, 1, 0, more=False)


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


def test_requests_wait_for_messages_that_a_step_has_left(
    store: chatstore.ChatStore, clock: ManualClock
) -> None:
    store.append("t", large(1), expires_in=timedelta(minutes=1), request_id="r")
    clock.advance(timedelta(days=30))
    assert store.sweep() == Swept(0, 1, 0, more=True)
    assert store.sweep() == Swept(0, 0, 1, more=False)


def test_what_a_request_showed_of_an_expired_thread_is_in_the_file_no_longer(
    store: chatstore.ChatStore, path: Path, clock: ManualClock
) -> None:
    store.create_thread("t", topic="ada lovelace", ttl=timedelta(minutes=1))
    store.update_thread("t", metadata={"a": 1}, request_id="r")
    store.create_thread("u", topic="for ever", request_id="s")
    store.update_thread("u", metadata={"a": 1}, request_id="t")
    clock.advance(timedelta(minutes=1))
    store.sweep()
    with sqlite3.connect(path) as database:
        found = database.execute("SELECT result FROM requests WHERE id = 'r'").fetchall()
    database.close()
    assert found == [("",)]
    with pytest.raises(chatstore.RequestExpired):
        store.update_thread("t", metadata={"a": 1}, request_id="r")


def test_what_was_cut_may_come_back_with_its_ids_before_it_is_removed(
    store: chatstore.ChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transacting, "_clean", killed)
    messages = fill(store)
    store.truncate("long", after=messages[3].id)
    back = [replace(one, position=None) for one in messages[-2:]]
    store.restore(store.get_thread("long"), back, if_match=store.read("long").etag)
    assert told(store, "long") == [0, 1, 2, 3, LONG - 2, LONG - 1]


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
