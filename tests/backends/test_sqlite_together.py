"""Short writes that share a transaction: each is committed or undone as if it were alone."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

import chatstore
from chatstore import position
from chatstore.errors import Conflict, CorruptData

SAY = {"role": "user", "content": "hello"}


class Counted:
    """How often the file's writer commits, and a gate in front of the writer's thread."""

    def __init__(self, store: chatstore.AsyncChatStore) -> None:
        self._driver = store.backend.driver  # type: ignore[attr-defined]
        self._open = threading.Event()
        self.transactions = 0

    async def __aenter__(self) -> Counted:
        async def waits(_tx: object) -> None:
            self._open.wait()

        self._first = asyncio.create_task(self._driver.write(waits, ("somebody", None)))
        await asyncio.sleep(0)
        file = self._driver._file
        before = file._in_transaction

        def counting(call: object) -> object:
            self.transactions += 1
            return before(call)

        file._in_transaction = counting
        return self

    async def open(self) -> None:
        self._open.set()
        await self._first

    async def __aexit__(self, *_: object) -> None:
        self._open.set()
        del self._driver._file._in_transaction


async def _turn_of_the_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_turns_that_wait_are_committed_together_and_one_that_fails_leaves_no_trace(
    tmp_path: Path,
) -> None:
    asyncio.run(_turns(tmp_path))


async def _turns(tmp_path: Path) -> None:
    store = chatstore.aconnect(f"sqlite:///{tmp_path}/chat.db")
    await store.append("t", SAY)
    async with Counted(store) as counted:
        bad = asyncio.create_task(store.append("t", SAY, if_match="old.1.1"))
        good = [asyncio.create_task(store.append("t", SAY | {"n": n})) for n in range(5)]
        other = asyncio.create_task(store.for_tenant("other").append("t", SAY))
        dropped = asyncio.create_task(store.append("t", SAY | {"content": "dropped"}))
        await _turn_of_the_loop()
        dropped.cancel()
        await _turn_of_the_loop()
        await counted.open()
        results = await asyncio.gather(*good, other)
        with pytest.raises(Conflict):
            await bad
        assert counted.transactions < 5
    messages = (await store.read("t")).items
    # A place that the refused turn had taken would be left out.
    assert [message.position for message in messages] == [position.nth(slot) for slot in range(1, 7)]
    assert not any("dropped" in message.text for message in messages)
    assert {one.messages[0].id for one in results[:5]} == {message.id for message in messages[1:]}
    assert len((await store.for_tenant("other").read("t")).items) == 1
    await store.close()


def test_damage_that_one_meets_is_no_error_of_the_others(tmp_path: Path) -> None:
    asyncio.run(_damage(tmp_path))


async def _damage(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    store = chatstore.aconnect(f"sqlite:///{path}")
    for name in ("whole", "damaged"):
        await store.append(name, SAY)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE threads SET epoch = CAST(x'ff41' AS TEXT) WHERE id = 'damaged'")
    raw.close()
    async with Counted(store) as counted:
        tasks = [asyncio.create_task(store.append(name, SAY)) for name in ("whole", "damaged", "whole")]
        await _turn_of_the_loop()
        await counted.open()
        found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in found] == [chatstore.Appended, CorruptData, chatstore.Appended]
    assert len((await store.read("whole")).items) == 3
    await store.close()
