"""After an erasure the raw bytes of the storage hold nothing of the owner, and all of a neighbour."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import chatstore
from chatstore.testing import ManualClock

MINUTE = timedelta(minutes=1)
PARTS = (
    "owner", "thread", "topic", "metadata-key", "metadata", "participant", "name", "content", "edited",
    "replaced", "deleted", "popped", "fork", "request", "expired", "gone", "scoped", "retold", "large",
)  # fmt: skip


def mark(who: str, part: str) -> str:
    """Text that stands for one thing of one person, and occurs in nothing else."""
    return f"{part}-of-{who}-Qx7"


def live(store: chatstore.ChatStore, clock: ManualClock, who: str) -> Iterator[str]:
    """Does all that leaves something behind for the owner `who`; yields the marks that were written."""
    written: set[str] = set()

    def of(part: str) -> str:
        written.add(mark(who, part))
        return mark(who, part)

    def say(part: str) -> dict[str, str]:
        return {"role": "user", "content": of(part)}

    owner = of("owner")
    thread, counter = of("thread"), itertools.count()

    def request() -> str:
        return f"{of('request')}-{next(counter)}"

    store.create_thread(
        thread, topic=of("topic"), owner=owner, metadata={of("metadata-key"): of("metadata")},
        participants=[{"id": of("participant"), "display_name": of("name")}], request_id=request(),
    )  # fmt: skip
    first, second = store.append(thread, say("content"), say("content"), request_id=request()).messages
    store.append(thread, {"role": "user", "content": of("large") * 5000})
    store.replace_message(thread, first.id or "", say("edited"), request_id=request())
    store.insert(thread, say("deleted"), index=0, request_id=request())
    store.delete_message(thread, second.id, request_id=request())
    store.append(thread, say("popped"))
    store.pop(thread, request_id=request())
    store.append(thread, say("expired"), expires_in=MINUTE)
    store.fork(thread, of("fork"), request_id=request())
    store.update_thread(thread, topic=f"{of('topic')}-again", request_id=request())
    store.replace_all(mark(who, "fork"), [say("replaced")], request_id=request())
    store.append(f"{thread}-gone", say("gone"), owner=owner, request_id=request())
    store.delete_thread(f"{thread}-gone", request_id=request())
    store.append(f"{thread}-short", say("expired"), owner=owner, ttl=MINUTE, request_id=request())
    scoped = store.for_owner(owner)
    scoped.append(f"{thread}-scoped", say("scoped"), request_id=request())
    scoped.clear(f"{thread}-scoped", request_id=request())
    scoped.append(f"{thread}-scoped", say("retold"), request_id=request())
    clock.advance(MINUTE)
    assert written == {mark(who, part) for part in PARTS}
    yield from written


def living_of(who: str) -> set[str]:
    """The marks of what was not deleted: those of the rest may or may not be in free space."""
    gone = {"content", "scoped", "deleted", "popped", "expired", "gone"}
    return {mark(who, part) for part in PARTS if part not in gone}


def raw(path: Path) -> dict[str, bytes]:
    """Every byte that the store keeps, by file."""
    return {file.name: file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*"))}


def found(path: Path, marks: set[str]) -> set[str]:
    held = b"".join(raw(path).values())
    return {one for one in marks if one.encode() in held}


def test_the_file_and_its_log_hold_nothing_of_an_erased_owner(tmp_path: Path) -> None:
    path, clock = tmp_path / "chat.db", ManualClock()
    with chatstore.connect(f"sqlite:///{path}", clock=clock) as store:
        ada, bob = set(live(store, clock, "ada")), set(live(store, clock, "bob"))
        assert found(path, ada | bob) >= living_of("ada") | living_of("bob")
        kept = {thread.id: list(store.iter_messages(thread.id)) for thread in store.iter_threads()}
        erased = store.erase(mark("ada", "owner"))
        assert (erased.threads, erased.requests > 10) == (4, True)
        assert found(path, ada) == set()
        assert set(raw(path)) == {"chat.db", "chat.db-wal", "chat.db-shm"}
        left = {thread.id: list(store.iter_messages(thread.id)) for thread in store.iter_threads()}
        assert left == {id: messages for id, messages in kept.items() if "of-bob" in id}
        assert len(left) == 3
        assert found(path, bob) >= living_of("bob")
    assert found(path, ada) == set()
    assert found(path, bob) >= living_of("bob")


def test_the_same_from_an_event_loop_while_others_read(tmp_path: Path) -> None:
    path, clock = tmp_path / "chat.db", ManualClock()
    with chatstore.connect(f"sqlite:///{path}", clock=clock) as store:
        ada, bob = set(live(store, clock, "ada")), set(live(store, clock, "bob"))

    async def erase() -> None:
        async with chatstore.aconnect(f"sqlite:///{path}", clock=clock) as store:
            reading = [asyncio.create_task(store.read(f"{mark('bob', 'thread')}-scoped")) for _ in range(20)]
            erased = await store.erase(mark("ada", "owner"))
            assert erased.threads == 4
            pages = [await page for page in reading]
            assert {page.items[0].content for page in pages} == {mark("bob", "retold")}
            assert found(path, ada) == set()

    asyncio.run(erase())
    assert mark("bob", "content") in found(path, bob)


def test_a_reader_who_keeps_an_old_state_is_named_and_the_next_try_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with chatstore.connect(f"sqlite:///{path}?timeout=0.05") as store:
        store.append("t", {"role": "user", "content": mark("ada", "content")}, owner="ada")
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        with pytest.raises(chatstore.Unavailable, match="erase again"):
            store.erase("ada")
        reader.close()
        assert store.erase("ada").threads == 0
        assert found(path, {mark("ada", "content")}) == set()
