"""After an exception at any point of a call over a network, a store goes on and holds nothing.

An exception as a signal raises it, the cancellation of a task, a limit of time: for each driver of a client.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import chatstore
from chatstore.backends.memory import MemoryBackend
from chatstore.http.app import create_app
from chatstore.settings import Settings
from tests.azure_tables.azurite import ACCOUNT
from tests.backends.test_interrupted import on_a_thread
from tests.conftest import SOAK
from tests.dynamodb.servers import url_for
from tests.http.serving import serving
from tests.interruptions import Interrupted, interrupted
from tests.servers import table_for

pytestmark = [
    # An exception between the making of a coroutine and its awaiting is one of the points.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    # A client that was replaced is closed by whoever collects it.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
HELLO = {"role": "user", "content": "hello"}
LIBRARIES = ("urllib3", "httpcore")
"""What keeps the pools of connections."""
OPEN = Path("/proc/self/fd")


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with serving(create_app(chatstore.AsyncChatStore(MemoryBackend()), Settings())) as address:
        yield address


@pytest.fixture(params=["moto", "azurite", "service"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    endpoint = request.getfixturevalue(request.param)
    if request.param == "azurite":
        return f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={endpoint}"
    return endpoint if request.param == "service" else url_for(endpoint, tmp_path)


def libraries() -> tuple[str, ...]:
    """Their folders."""
    found = (importlib.import_module(name) for name in LIBRARIES)
    return tuple(folder for module in found for folder in module.__path__)


def files() -> int:
    """How many files and connections this process has open."""
    gc.collect()
    return len(list(OPEN.iterdir())) if OPEN.is_dir() else 0


CALLS: dict[str, Callable[[chatstore.ChatStore], object]] = {
    "append": lambda store: store.append("t", HELLO, request_id="r"),
    "read": lambda store: store.read("t", last=3),
    "open": lambda store: (store.close(), store.append("t", HELLO)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_store_goes_on_after_an_exception_at_any_point(url: str, name: str) -> None:
    """Also in the libraries, and on any thread. Connections that it leaves behind are closed."""
    with chatstore.connect(url) as store:
        store.append("t", HELLO)
        CALLS[name](store)
        opened = files()
        # To make a client takes so many steps that few of them would be ours.
        within = () if name == "open" else libraries()
        for raised in interrupted(lambda: CALLS[name](store), sample=8, within=within):
            assert raised is None or isinstance(raised, Interrupted)
            del raised
            on_a_thread(lambda: store.append("t", HELLO))
            store.append("t", HELLO)
        assert store.read("t", last=1).items[0].content == "hello"
        assert files() <= opened + 4


@pytest.mark.parametrize("steps", range(12) if SOAK else (0, 1, 3, 6))
def test_a_store_goes_on_after_a_cancellation(url: str, steps: int) -> None:
    async def main() -> None:
        async with chatstore.aconnect(url) as store:
            await store.append("t", HELLO)
            opened = files()
            for _ in range(3):
                for call in (store.append("t", HELLO), store.append("t", HELLO), store.read("t")):
                    task = asyncio.ensure_future(call)
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait([task])
            await _holds_nothing(store)
            # What a task does not wait for any more is still done, on a thread and a connection of its own.
            assert files() <= opened + 40

    asyncio.run(main())


@pytest.mark.parametrize("seconds", [0, 0.002, 0.01])
def test_a_store_goes_on_after_a_limit_of_time(url: str, seconds: float) -> None:
    async def limited(store: chatstore.AsyncChatStore) -> None:
        try:
            async with asyncio.timeout(seconds):
                await store.append("t", HELLO)
        except TimeoutError:
            pass

    async def main() -> None:
        async with chatstore.aconnect(url) as store:
            await asyncio.gather(*(limited(store) for _ in range(6)))
            await _holds_nothing(store)

    asyncio.run(main())


async def _holds_nothing(store: chatstore.AsyncChatStore) -> None:
    """Neither a turn nor a connection: several calls at once come to their end."""
    async with asyncio.timeout(30):
        await asyncio.gather(*(store.append("t", HELLO) for _ in range(3)), store.read("t", last=1))
    assert (await store.read("t", last=1)).items[0].content == "hello"
