"""The SDK's own connections: processes that are killed, event loops, and a server that says nothing."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatstore
from chatstore import Unavailable
from chatstore.clocks import ServerClock
from chatstore.testing.samples import contents, say
from tests.backends import killing
from tests.conftest import SOAK
from tests.servers import running, table_for
from tests.tablestore.service import KEY_ID, KEY_SECRET


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.tablestore.http_service", "{port}"]
    with pytest.MonkeyPatch.context() as patch, running(command) as port:
        patch.setenv("TABLESTORE_ACCESS_KEY_ID", KEY_ID)
        patch.setenv("TABLESTORE_ACCESS_KEY_SECRET", KEY_SECRET)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def url(endpoint: str, tmp_path: Path) -> str:
    url = f"tablestore://tests/{table_for(tmp_path)}?region=cn-hangzhou&endpoint={endpoint}&timeout=30"
    with chatstore.connect(url) as store:
        store.prepare()
    return url


def test_killed_writers(url: str) -> None:
    killing.check(url, 500 if SOAK else 20, longest=0.02)


def test_one_store_serves_one_event_loop_after_another(url: str) -> None:
    clock = ServerClock()
    store = chatstore.aconnect(url, clock=clock)

    async def turn(number: int) -> list[object]:
        await asyncio.gather(*(store.append("t", say(f"{number}")) for _ in range(10)))
        return contents(await store.read("t"))

    assert asyncio.run(turn(0)) == ["0"] * 10
    assert asyncio.run(turn(1)) == ["0"] * 10 + ["1"] * 10
    assert clock.offset is not None
    assert clock.is_fresh
    asyncio.run(store.close())


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_was_said(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        silent = f"tablestore://tests/t?endpoint=http://127.0.0.1:{deaf.getsockname()[1]}&timeout=0.05"
        began = time.monotonic()
        with chatstore.connect(silent) as store, pytest.raises(Unavailable, match="ReadTimeoutError"):
            store.ping()
        assert time.monotonic() - began < 20
