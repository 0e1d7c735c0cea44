"""A standby that streams from its primary: it serves reads, and takes the primary's place."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator

import psycopg
import pytest

import chatstore
from chatstore.errors import Unavailable
from chatstore.testing.samples import contents, say, whole
from tests.postgres.servers import Killable, prepared


@pytest.fixture
def standby(killable: Killable) -> Iterator[Killable]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = Killable(folder)
        server.start(primary=killable.port)
        yield server
        server.kill()


def caught_up(primary: Killable, standby: Killable) -> None:
    """Wait until the standby has all that the primary has."""
    with psycopg.connect(primary.url) as one, psycopg.connect(standby.url, autocommit=True) as two:
        [place] = one.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or ("",)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            [there] = two.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [place]).fetchone() or (0,)
            if there:
                return
            time.sleep(0.01)
    raise AssertionError("the standby does not follow")


def test_a_standby_serves_reads_and_takes_over(killable: Killable, standby: Killable) -> None:
    url = prepared(f"{killable.url}?schema=chats")
    caught_up(killable, standby)
    both = f"127.0.0.1:{killable.port},127.0.0.1:{standby.port}"
    several = url.replace(f"127.0.0.1:{killable.port}", both) + "&target_session_attrs=read-write&timeout=30"
    with (
        chatstore.connect(several) as store,
        chatstore.connect(f"{several}&reads=replica") as reader,
        psycopg.connect(standby.url, autocommit=True) as db,
    ):
        reader.append("t", say("a"))
        caught_up(killable, standby)
        assert contents(whole(reader, "t")) == ["a"]

        # What the standby has not got yet is not seen there, and is seen by who reads from the primary.
        db.execute("SELECT pg_wal_replay_pause()")
        reader.append("t", say("b"))
        assert contents(whole(reader, "t")) == ["a"]
        assert [thread.id for thread in reader.list_threads()] == ["t"]
        assert contents(whole(store, "t")) == ["a", "b"]
        db.execute("SELECT pg_wal_replay_resume()")
        caught_up(killable, standby)
        assert contents(whole(reader, "t")) == ["a", "b"]

        # The primary is gone, and nobody has its place: there are reads, and no write is acknowledged.
        killable.kill()
        with pytest.raises(Unavailable):
            chatstore.connect(several.replace("timeout=30", "timeout=0.2")).append("t", say("lost"))
        assert contents(whole(reader, "t")) == ["a", "b"]

        # The same stores find the server that took its place.
        db.execute("SELECT pg_promote()")
        store.append("t", say("c"), request_id="once")
        store.append("t", say("c"), request_id="once")
        assert contents(whole(store, "t")) == ["a", "b", "c"]
        reader.append("t", say("d"))
        assert contents(whole(reader, "t"))[-1] == "d"
        killable.start()
