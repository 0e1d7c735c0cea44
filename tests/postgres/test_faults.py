"""What goes wrong between a store and its server: it takes effect once, or says that nobody knows."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

import chatstore
from chatstore.errors import ConfigurationError, StorageError, Unavailable
from chatstore.testing.samples import contents, say, whole
from tests.postgres.proxy import wired
from tests.postgres.servers import SCHEMA, prepared
from tests.postgres.writes import WRITES

END_THEM = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'chatstore'"

expected: dict[str, Any] = {}
"""What each write makes of the same state, as it was first seen."""


def state(store: Any) -> Any:
    threads = [(thread.id, thread.topic) for thread in store.list_threads()]
    return sorted(threads), {name: contents(whole(store, name)) for name, _ in threads}


def nth(number: int) -> Any:
    """Says yes to the trip of that number, counted from one, and to no other."""
    count = 0

    def chosen(_: bytes) -> bool:
        nonlocal count
        count += 1
        return count == number

    return chosen


@pytest.mark.parametrize("side", ["lose_request", "lose_answer"])
@pytest.mark.parametrize("what", WRITES)
def test_a_connection_lost_at_every_trip(url: str, what: str, side: str) -> None:
    """With a request id a write takes effect once, wherever its connection is lost."""
    with wired(url) as (address, wire), chatstore.connect(address) as store, chatstore.connect(url) as direct:
        for number in range(1, 30):
            for name in ("t", "t forked"):
                direct.delete_thread(name)
            store.append("t", say("a"), say("b"))
            untouched = state(direct)
            setattr(wire, side, nth(number))
            request = chatstore.uuid7()
            try:
                WRITES[what](store, "t", request_id=request)
            except Unavailable:
                setattr(wire, side, lambda _: False)
                WRITES[what](store, "t", request_id=request)
            more = not getattr(wire, side)(b"")  # the trip of that number was made
            setattr(wire, side, lambda _: False)
            after = state(direct)
            assert after != untouched
            first = expected.setdefault(what, after)
            assert after == first, f"trip {number}"
            if not more:
                break
        assert number > 1


def test_a_write_without_a_request_id_is_never_doubled(url: str) -> None:
    with wired(url) as (address, wire), chatstore.connect(address) as store:
        store.append("t", say("a"))
        wire.lose_answer = nth(1)
        with pytest.raises(Unavailable):
            store.append("t", say("b"))
        assert contents(whole(store, "t")) == ["a", "b"]
        wire.lose_request = nth(1)
        with pytest.raises(Unavailable):
            store.append("t", say("c"))
        assert contents(whole(store, "t")) == ["a", "b"]


def test_connections_that_the_server_ended_are_not_used(url: str, postgres: str) -> None:
    with chatstore.connect(url) as store, psycopg.connect(postgres, autocommit=True) as db:
        store.append("t", say("a"))
        db.execute(END_THEM)
        store.append("t", say("b"))
        assert contents(whole(store, "t")) == ["a", "b"]


def test_a_server_that_hangs(url: str) -> None:
    """A call ends within its time, and the next is answered once the server is."""
    with wired(url) as (address, wire):
        place = f"{address}&timeout=0.5"
        with chatstore.connect(place) as store:
            store.append("t", say("a"))
            wire.hangs = True
            began = time.monotonic()
            with pytest.raises(Unavailable):
                store.append("t", say("b"))
            assert time.monotonic() - began < 20
            wire.hangs = False
            wire.cut()
            store.append("t", say("c"))

        async def main() -> None:
            async with chatstore.aconnect(place) as store:
                await store.append("t", say("d"))
                wire.hangs = True
                with pytest.raises(Unavailable):
                    await store.append("t", say("e"))
                wire.hangs = False
                wire.cut()
                assert (await store.read("t")).items[-1].content == "d"

        asyncio.run(main())


def test_a_pool_that_is_used_up(url: str, postgres: str) -> None:
    """More callers than connections wait for their turn; where none comes back in time, that is said."""
    with chatstore.connect(f"{url}&pool=2") as store, ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: store.append("t", say(number)), range(64)))
        assert len(whole(store, "t")) == 64
    with (
        chatstore.connect(f"{url}&pool=1&timeout=0.5") as store,
        psycopg.connect(postgres) as db,
        ThreadPoolExecutor(2) as threads,
    ):
        db.execute(f"SELECT 1 FROM {SCHEMA}.threads FOR UPDATE".encode())  # noqa: S608
        waiting = [threads.submit(store.append, "t", say("b")) for _ in range(2)]
        with pytest.raises(Unavailable):
            waiting[0].result()
        with pytest.raises(Unavailable):
            waiting[1].result()


def test_a_database_that_only_reads(url: str, postgres: str) -> None:
    """After a failover the old primary only reads: nothing is acknowledged, and a ping says so."""
    with chatstore.connect(url) as store, psycopg.connect(postgres, autocommit=True) as db:
        store.append("t", say("a"))
        db.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        try:
            db.execute(END_THEM)
            for call in (lambda: store.append("t", say("b")), store.ping):
                with pytest.raises(Unavailable):
                    call()
            assert contents(whole(store, "t")) == ["a"]
        finally:
            db.execute("SET default_transaction_read_only = off")
            db.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
        db.execute(END_THEM)
        store.append("t", say("b"))


def test_errors_say_what_to_do(postgres: str) -> None:
    for url, said in (
        (f"{postgres}?schema=nowhere", "chatstore init"),
        (f"{postgres.removesuffix('postgres')}nothing", "database"),
        (f"{postgres}?sslmod=require", "libpq"),
        (f"{postgres}?pool=0", "pool=0"),
    ):
        with pytest.raises(ConfigurationError, match=said), chatstore.connect(url) as store:
            store.append("t", say("a"))
    with pytest.raises(StorageError), chatstore.connect("postgresql://127.0.0.1:1/none?timeout=0.5") as store:
        store.append("t", say("a"))


def test_many_make_the_schema_at_once(postgres: str) -> None:
    failed: list[BaseException] = []

    def make() -> None:
        try:
            prepared(f"{postgres}?schema=made+at+once")
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with chatstore.connect(f"{postgres}?schema=made+at+once") as store:
        store.append("t", say("a"))


def test_a_role_without_ddl_serves(url: str, postgres: str) -> None:
    """What docs/postgres.md grants is enough for all but an erasure's VACUUM, which says so."""
    with psycopg.connect(postgres, autocommit=True) as db:
        db.execute("CREATE ROLE served LOGIN")
        try:
            db.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO served".encode())
            db.execute(
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO served".encode()
            )
            served = url.replace("//postgres@", "//served@")
            with chatstore.connect(served) as store:
                store.append("t", say("a"), owner="mallory", request_id="r")
                store.fork("t", "u")
                store.replace_all("t", [say("b")])
                store.sweep()
                with pytest.raises(StorageError, match="VACUUM"):
                    store.erase(owner="mallory")
                assert not list(store.list_threads())
            with chatstore.connect(f"{served}&vacuum=off") as store:
                store.erase(owner="mallory")
        finally:
            db.execute("DROP OWNED BY served; DROP ROLE served")
