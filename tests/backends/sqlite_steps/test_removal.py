"""What is deleted, erased and swept goes in many transactions, and looks as if it were one."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

import chatstore
from chatstore.engines.sql import steps
from chatstore.engines.sql.transactions import Transacting
from chatstore.models import Erased, Swept
from chatstore.testing import ManualClock
from tests.backends.sqlite_steps.long import LONG, fill, killed, large, rows, told


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
