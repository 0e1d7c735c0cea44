"""Connections to PostgreSQL are shared by callers of the service: waits of one keep none from another."""

from __future__ import annotations

import asyncio

import psycopg

import chatstore
from chatstore.callers import CALLER, share_of
from chatstore.testing.samples import say
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
