"""Connections to Redis are shared by callers of the service: calls that last keep none from another."""

from __future__ import annotations

import asyncio
from pathlib import Path

from chatstore.backends.redis.links import CONNECTIONS
from chatstore.backends.redis.server import Server
from chatstore.callers import CALLER
from chatstore.urls import Url
from tests.redis.servers import prefixed


def test_long_calls_of_one_caller_leave_connections_to_another(redis_url: str, tmp_path: Path) -> None:
    key = prefixed(redis_url, tmp_path).partition("prefix=")[2] + "gate"

    async def all_of_it() -> None:
        async with Server.of(Url.parse(redis_url)).async_link() as link:

            async def wait() -> None:
                CALLER.set("much")
                await link.run(("BLPOP", key, 0))

            waiting = [asyncio.create_task(wait()) for _ in range(2 * CONNECTIONS)]
            CALLER.set("little")
            for _ in range(10):
                await asyncio.sleep(0)  # all have asked for a connection by then
            assert await link.run(("PING",)) == [b"PONG"]
            assert not any(one.done() for one in waiting)
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(all_of_it())
