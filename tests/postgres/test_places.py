"""Connections to PostgreSQL are shared by callers of the service: waits of one keep none from another."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

import chatstore
from chatstore.backends.postgres.driver import BlockingDriver
from chatstore.callers import CALLER, share_of
from chatstore.errors import Unavailable
from chatstore.testing.samples import contents, say, whole
from tests.postgres.servers import SCHEMA
from tests.postgres.test_waiting import await_waiting

POOL = 4


def test_calls_that_wait_leave_connections_to_another(url: str, postgres: str) -> None:
    async def append(store: chatstore.AsyncChatStore) -> None:
        CALLER.set(store.tenant)
        await store.append("t", say("a"))

    async def all_of_it() -> None:
        async with chatstore.aconnect(f"{url}&pool={POOL}&timeout=60") as store:
            little = store.for_tenant("little")
            much = store.for_tenant("much")
            await append(much)
            with psycopg.connect(postgres) as holder, psycopg.connect(postgres, autocommit=True) as db:
                holder.execute(f"SELECT 1 FROM {SCHEMA}.threads WHERE tenant = 'much' FOR UPDATE".encode())  # noqa: S608
                waiting = [asyncio.create_task(append(much)) for _ in range(2 * POOL)]
                await asyncio.to_thread(await_waiting, db, share_of(POOL))
                await asyncio.wait_for(append(little), 30)
                assert not any(one.done() for one in waiting)
                holder.rollback()
            await asyncio.gather(*waiting)
            assert len((await much.read("t", last=20)).items) == 2 * POOL + 1

    asyncio.run(all_of_it())


def test_a_connection_that_comes_as_the_wait_for_it_ends_is_the_next_ones(
    url: str, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(_: BlockingDriver, turn: Future[None], __: float) -> None:
        holder.rollback()
        turn.result(10)
        raise TimeoutError

    monkeypatch.setattr(BlockingDriver, "_wait", late)
    with (
        chatstore.connect(f"{url}&pool=1&timeout=60") as store,
        psycopg.connect(postgres) as holder,
        psycopg.connect(postgres, autocommit=True) as db,
        ThreadPoolExecutor(1) as threads,
    ):
        store.append("t", say("a"))
        holder.execute(f"SELECT 1 FROM {SCHEMA}.threads FOR UPDATE".encode())  # noqa: S608
        first = threads.submit(store.append, "t", say("b"))
        await_waiting(db, 1)
        with pytest.raises(Unavailable):
            store.append("t", say("c"))
        first.result(60)
        store.append("t", say("d"))
        assert contents(whole(store, "t")) == ["a", "b", "d"]
