"""How pages reach the wire: damage is found on the way, and small ones are read without a thread."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import chatstore
from chatstore.codec import is_object

HELLO = {"role": "user", "content": "hello"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/chat.db"


DAMAGED = [
    """'{"role":"user"'""",
    """'{"role":"user"},{}'""",
    """'{"role":01}'""",
    """'{"role":NaN}'""",
    """'{"role":"user"}' || char(0)""",
    """'{"role":"a' || char(10) || '"}'""",
    "'[]'",
    "''",
    "'{} x'",
    "x'7b7d'",
    "7",
]


@pytest.mark.parametrize("value", DAMAGED)
def test_damaged_text_does_not_reach_the_wire(url: str, tmp_path: Path, value: str) -> None:
    with chatstore.connect(url) as store:
        store.append("t", HELLO, HELLO, HELLO)
        sound = store.read_entries("t", last=1)
        with closing(sqlite3.connect(tmp_path / "chat.db")) as other, other:
            other.execute(f"UPDATE messages SET text = {value} WHERE position LIKE '%2'")  # noqa: S608 - ours
        with pytest.raises(chatstore.CorruptData, match="damaged"):
            store.read_entries("t")
        assert store.read_entries("t", last=1) == sound


def test_sqlites_look_at_a_text_and_our_own_agree(tmp_path: Path) -> None:
    texts = [
        '{"a":1}',
        '{"a":"\\ud800"}',
        '{"a":1e999}',
        '{"a":-0}',
        '{"a":NaN}',
        "{}}",
        '{"a":"\\x"}',
        '{"a":.5}',
    ]
    with closing(sqlite3.connect(tmp_path / "ours.db")) as connection:
        ask = "SELECT json_valid(?)"
        built_in = [connection.execute(ask, (text,)).fetchone()[0] for text in texts]
        connection.create_function("json_valid", 1, is_object, deterministic=True)
        assert [connection.execute(ask, (text,)).fetchone()[0] for text in texts] == built_in


async def reads_at_once(store: chatstore.AsyncChatStore, last: int) -> bool:
    """Whether a read ends where it is asked for, without a turn of the event loop."""
    reading = store.read_entries("t", last=last)
    try:
        reading.send(None)
    except StopIteration:
        return True
    reading.close()
    await store.read_entries("t", last=last)
    return False


def test_a_small_page_is_read_again_without_a_thread(url: str) -> None:
    async def main() -> None:
        async with chatstore.aconnect(url) as store:
            for count in range(1, 6):
                await store.append("t", HELLO)
                assert len(await store.read("t", last=20)) == count
            found = [await reads_at_once(store, 20) for _ in range(5)]
            assert all(found)
            assert not any([await reads_at_once(store, 51) for _ in range(3)])
            await store.close()
            assert not await reads_at_once(store, 20)
            assert len(await store.read("t", last=20)) == 5

    asyncio.run(main())


def test_a_page_that_has_grown_is_left_to_a_thread_again(url: str) -> None:
    async def main() -> None:
        async with chatstore.aconnect(url) as store:
            await store.append("t", HELLO)
            for _ in range(3):
                await store.read_entries("t", last=50)
            await store.append("t", *[{"role": "user", "content": "x" * 500_000} for _ in range(20)])
            await store.read_entries("t", last=50)  # which may find out
            assert not any([await reads_at_once(store, 50) for _ in range(3)])

    asyncio.run(main())


def test_what_is_read_at_once_is_of_the_file_that_is_there(url: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with chatstore.aconnect(url) as store:
            await store.append("t", HELLO)
            for _ in range(3):
                await store.read("t", last=20)
            for suffix in ("", "-wal", "-shm"):
                (tmp_path / f"chat.db{suffix}").rename(tmp_path / f"moved.db{suffix}")
            with chatstore.connect(url) as other:
                other.append("t", HELLO, HELLO)
            assert len(await store.read("t", last=20)) == 2

    asyncio.run(main())


def test_reads_at_once_and_in_threads_see_every_commit(url: str) -> None:
    async def main() -> None:
        async with chatstore.aconnect(url) as store:

            async def talk(thread: str) -> None:
                for count in range(1, 15):
                    await store.append(thread, HELLO)
                    assert len(await store.read(thread, last=30)) == count

            await asyncio.gather(*[talk(f"t{number}") for number in range(8)])

    asyncio.run(main())
