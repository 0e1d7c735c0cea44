"""What an erasure leaves in the server's files."""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

import chatstore
from chatstore.errors import StorageError
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.backends.test_erasure import PARTS, live, living_of, mark
from tests.postgres.servers import SCHEMA
from tests.postgres.test_waiting import await_waiting

# A text that repeats itself is compressed, and not found as it is.
LIVING = {one.partition("-of-")[0] for one in living_of("")} - {"large"} | {"toasted"}
FILES = f"""
SELECT c.relname, current_setting('data_directory') || '/' || pg_relation_filepath(c.oid)
FROM pg_class c LEFT JOIN pg_class owner ON owner.reltoastrelid = c.oid
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_class toasted ON toasted.reltoastrelid = i.indrelid
WHERE coalesce(owner.relnamespace, toasted.relnamespace, c.relnamespace) = '{SCHEMA}'::regnamespace
    AND c.relkind IN ('r', 'i', 't')
"""  # noqa: S608


PAGE = 8192


def items(file: bytes) -> bytes:
    """What the pages of a table or an index hold, without their free space."""
    held = []
    for start in range(0, len(file), PAGE):
        page = file[start : start + PAGE]
        [lower] = struct.unpack_from("=H", page, 12)
        for at in range(24, lower, 4):
            [pointer] = struct.unpack_from("=I", page, at)
            if pointer >> 15 & 3 == 1:
                held.append(page[pointer & 0x7FFF : (pointer & 0x7FFF) + (pointer >> 17)])
    return b"".join(held)


def kept(
    db: psycopg.Connection[tuple[str, str]], who: str, of: Callable[[bytes], bytes] = items
) -> dict[str, set[str]]:
    """The marks of somebody that are in files of the tables, their TOAST and their indexes, by part."""
    db.execute("CHECKPOINT")
    found: dict[str, set[str]] = {}
    for relation, path in db.execute(FILES.encode()).fetchall():
        bytes_ = of(Path(path).read_bytes())
        for part in (*PARTS, "toasted"):
            if mark(who, part).encode() in bytes_:
                found.setdefault(part, set()).add(relation)
    return found


@pytest.mark.parametrize("vacuum", ["on", "full"])
def test_what_is_erased_is_in_no_file(url: str, postgres: str, vacuum: str) -> None:
    clock = ManualClock()
    with (
        chatstore.connect(f"{url}&vacuum={vacuum}", clock=clock) as store,
        psycopg.connect(postgres, autocommit=True) as db,
    ):
        for who in ("mallory", "neighbour"):
            list(live(store, clock, who))
            # What does not get shorter is kept apart, in TOAST.
            store.append(mark(who, "thread"), say(mark(who, "toasted") + secrets.token_hex(100_000)))
            before = kept(db, who)
            assert before.keys() >= LIVING
            assert any("toast" in relation for relation in before["toasted"])
        store.erase(owner=mark("mallory", "owner"))
        assert kept(db, "mallory") == {}
        if vacuum == "full":
            # Otherwise free space has it, until something else is written there.
            assert kept(db, "mallory", bytes) == {}
        assert kept(db, "neighbour").keys() >= LIVING


@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_a_vacuum_may_take_longer_than_a_call(url: str, postgres: str, colour: str) -> None:
    place = f"{url}&timeout=0.3"

    def erase() -> None:
        with chatstore.connect(place) as store:
            store.erase(owner="mallory")

    async def erase_in_a_loop() -> None:
        async with chatstore.aconnect(place) as store:
            await store.erase(owner="mallory")

    with (
        psycopg.connect(postgres) as holder,
        psycopg.connect(postgres, autocommit=True) as db,
        ThreadPoolExecutor(1) as threads,
    ):
        holder.execute(f"LOCK TABLE {SCHEMA}.messages IN SHARE UPDATE EXCLUSIVE MODE".encode())
        erasing = threads.submit(erase if colour == "blocking" else lambda: asyncio.run(erase_in_a_loop()))
        await_waiting(db, 1)
        with pytest.raises(TimeoutError):
            erasing.result(1)
        holder.rollback()
        erasing.result(60)


def test_a_vacuum_that_the_server_ends_says_so(url: str, postgres: str) -> None:
    with (
        chatstore.connect(f"{url}&options=-c%20statement_timeout=200") as store,
        psycopg.connect(postgres) as holder,
    ):
        store.append("t", say("a"), owner="mallory")
        holder.execute(f"LOCK TABLE {SCHEMA}.messages IN SHARE UPDATE EXCLUSIVE MODE".encode())
        with pytest.raises(StorageError, match="statement_timeout"):
            store.erase(owner="mallory")
        assert not store.list_threads()
