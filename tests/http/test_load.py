"""Many clients at a service that is killed again and again: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

import chatstore
from tests.conftest import SOAK
from tests.http.running import started
from tests.servers import free_port

CLIENTS = 64
THREADS = 8
KILLS, BETWEEN = (20, 1000) if SOAK else (4, 100)
"""How often the service is killed, and how many turns are acknowledged before each time."""


class Connection:
    """One client's connection, opened when it is needed; light, so that the service has the processor."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, key: str) -> int:
        """The status of the answer, once it is here whole. Raises OSError or EOFError where it breaks off."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nIdempotency-Key: {key}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await reader.readexactly(int(head.lower().partition("content-length: ")[2].partition("\r")[0]))
        except (OSError, EOFError):
            self.close()
            raise
        return int(head.split()[1])

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Load:
    """The clients, each with a log of its own of what was acknowledged."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.total = self.goal = 0
        self.reached = asyncio.Event()
        self.over = False
        self.seen: Counter[str] = Counter()
        self.acknowledged: list[int] = [0] * CLIENTS

    async def client(self, number: int) -> None:
        """Append turn after turn to a thread that others write to, each until it is acknowledged."""
        path = f"/v1/threads/shared-{number % THREADS}/messages"
        connection = Connection(self.port)
        while not self.over:
            turn = self.acknowledged[number]
            body = json.dumps({"role": "user", "client": number, "turn": turn}).encode()
            # The last turn, too, is repeated until it is known.
            while True:
                if await self.try_once(connection, path, body, f"client-{number}-turn-{turn}"):
                    break
                await asyncio.sleep(random.uniform(0.02, 0.1))
            self.acknowledged[number] += 1
            self.total += 1
            if self.total >= self.goal:
                self.reached.set()
        connection.close()

    async def until(self, more: int) -> None:
        """Wait until so many more turns are acknowledged."""
        self.goal = self.total + more
        self.reached.clear()
        await self.reached.wait()

    async def try_once(self, connection: Connection, path: str, body: bytes, key: str) -> bool:
        self.seen["requests"] += 1
        try:
            status = await connection.post(path, body, key)
        except (ConnectionError, EOFError) as error:
            self.seen[type(error).__name__] += 1
            return False
        self.seen[str(status)] += 1
        assert status in {201, 503}
        return status == 201

    async def run(self, kill: asyncio.Task[None]) -> None:
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self.client(number))
        await kill


@pytest.mark.timeout(600)
def test_a_service_that_is_killed_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    url, port = f"sqlite:///{tmp_path}/chat.db", free_port()
    server = [started(url, port, CHATSTORE_LOG="off")]
    load = Load(port)

    async def kill() -> None:
        try:
            for _ in range(KILLS):
                await load.until(BETWEEN + random.randrange(CLIENTS))
                server[0].send_signal(signal.SIGKILL)
                await asyncio.to_thread(server[0].wait)
                assert server[0].returncode == -signal.SIGKILL
                server[0] = await asyncio.to_thread(started, url, port, CHATSTORE_LOG="off")
            await load.until(BETWEEN)
        finally:
            load.over = True

    async def main() -> None:
        await load.run(asyncio.create_task(kill()))

    try:
        asyncio.run(main())
    finally:
        server[0].kill()
        server[0].wait()

    kept: dict[int, list[int]] = {number: [] for number in range(CLIENTS)}
    with chatstore.connect(url) as store:
        for thread in range(THREADS):
            for message in store.iter_messages(f"shared-{thread}"):
                data = message.to_dict()
                assert data["client"] % THREADS == thread
                kept[data["client"]].append(data["turn"])
    for number, turns in kept.items():
        assert turns == list(range(load.acknowledged[number])), f"client {number}"

    acknowledged = sum(load.acknowledged)
    retries = load.seen["requests"] - acknowledged
    print(
        f"\n{load.seen['requests']:,} requests, {KILLS} kills, {retries:,} retries, "
        f"{acknowledged:,} acknowledged; {dict(load.seen)}"
    )
    assert load.seen["201"] == acknowledged
    assert retries >= KILLS
    assert acknowledged == load.total > BETWEEN * KILLS
