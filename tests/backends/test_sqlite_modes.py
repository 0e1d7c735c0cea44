"""Who may read an SQLite file: its owner alone, unless somebody has decided otherwise."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import chatstore

HELLO = {"role": "user", "content": "hello"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no modes there")


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    """A umask that would let everybody read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(stat.S_IMODE(path.lstat().st_mode)) for path in folder.iterdir() if path.is_file()}


def test_a_new_file_and_what_is_beside_it_are_their_owners_alone(tmp_path: Path) -> None:
    with chatstore.connect(f"sqlite:///{tmp_path}/chat.db") as store:
        store.append("t", HELLO)
        store.read("t")
        private = dict.fromkeys(("chat.db", "chat.db-wal", "chat.db-shm"), "0o600")
        assert modes(tmp_path) == private
        # An erasure writes the file anew.
        store.erase("nobody")
        store.append("t", HELLO)
        assert modes(tmp_path) == private
    assert modes(tmp_path) == {"chat.db": "0o600"}


def test_asynchronous_callers_make_no_other(tmp_path: Path) -> None:
    async def append() -> None:
        async with chatstore.aconnect(f"sqlite:///{tmp_path}/chat.db") as store:
            await store.append("t", HELLO)
            assert set(modes(tmp_path).values()) == {"0o600"}

    asyncio.run(append())


def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    path.touch(0o640)
    path.chmod(0o640)
    with chatstore.connect(f"sqlite:///{path}") as store:
        store.append("t", HELLO)
        assert set(modes(tmp_path).values()) == {"0o640"}


def test_where_a_link_leads_the_file_is_private_too(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "chat.db").symlink_to(tmp_path / "elsewhere/real.db")
    with chatstore.connect(f"sqlite:///{tmp_path}/chat.db") as store:
        store.append("t", HELLO)
        assert set(modes(tmp_path / "elsewhere").values()) == {"0o600"}


def test_many_who_make_one_file_lose_nothing(tmp_path: Path) -> None:
    def append(number: int) -> None:
        with chatstore.connect(f"sqlite:///{tmp_path}/chat.db") as store:
            store.append(f"t{number}", HELLO)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(append, range(32)))
    with chatstore.connect(f"sqlite:///{tmp_path}/chat.db") as store:
        assert sum(len(store.read(f"t{number}")) for number in range(32)) == 32
