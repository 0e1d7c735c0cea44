"""What takes long to decode is decoded beside the event loop, and where it is for callers without one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

import pytest

import chatstore
from chatstore import callers
from chatstore.backends.azure_tables import TABLES, AzureTablesBackend
from chatstore.callers import Bulk
from chatstore.contract import Backend, system_clock
from chatstore.engines.fenced import attempts, payload, reading
from chatstore.engines.fenced.payload import pack, plain
from chatstore.engines.log import LogBackend
from chatstore.fair_threads import Beside
from chatstore.models import Entries, Message
from tests.azure_tables.fake import FakeDriver, FakeTable
from tests.log.memory_table import MemoryTable

LONG = {"role": "user", "content": "".join(chr(0x4E00 + number % 20_000) for number in range(40_000))}
SHORT = {"role": "user", "content": "hello"}


class _Log(LogBackend):
    name = "log"


def azure() -> Backend:
    return AzureTablesBackend(FakeDriver(FakeTable()), TABLES, system_clock)


def log() -> Backend:
    return _Log(MemoryTable(), system_clock)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The threads that wrote entries as text."""
    threads: set[int] = set()
    before = Entries.text_of

    def watched(messages: Iterable[Message]) -> str:
        threads.add(threading.get_ident())
        return before(messages)

    monkeypatch.setattr(Entries, "text_of", watched)
    return threads


@pytest.mark.parametrize("make", [azure, log])
def test_a_long_page_is_written_beside_the_loop(make: object, written: set[int]) -> None:
    async def reading() -> None:
        assert callable(make)
        backend: Backend = make()
        backend.beside = Beside(2, "aside")
        store = chatstore.AsyncChatStore(backend)
        for message in (SHORT, LONG):
            await store.append(message["content"][:5], message)
        here = threading.get_ident()
        await store.read_entries(SHORT["content"])
        assert written == {here}
        written.clear()
        text = (await store.read_entries(LONG["content"][:5])).text
        assert LONG["content"][:100] in text
        assert written
        assert here not in written
        await store.close()

    asyncio.run(reading())


def test_a_row_that_may_become_long_is_decompressed_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def watched(data: bytes) -> str:
        threads.append(threading.get_ident())
        return plain(data)

    for module in (reading, payload):
        monkeypatch.setattr(module, "plain", watched)

    async def reads() -> None:
        backend = azure()
        backend.beside = Beside(2, "aside")
        store = chatstore.AsyncChatStore(backend)
        await store.append("short", SHORT)
        await store.append("long", LONG)
        for name, here in (("short", True), ("long", False)):
            threads.clear()
            assert len((await store.read(name)).items) == 1
            assert [one == threading.get_ident() for one in threads] == [here]
        await store.close()

    asyncio.run(reads())


def test_long_rows_are_compressed_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a message, and of a fork, which is as long as its source: otherwise all callers wait for it."""
    threads: list[int] = []

    def watched(row: str, attempt: str, text: str, inline: int = payload.INLINE) -> payload.Packed:
        threads.append(threading.get_ident())
        return pack(row, attempt, text, inline)

    monkeypatch.setattr(attempts, "pack", watched)

    async def writes() -> None:
        backend = azure()
        backend.beside = Beside(2, "aside")
        store = chatstore.AsyncChatStore(backend)
        for name, message, here in (("short", SHORT, True), ("long", LONG, False)):
            threads.clear()
            await store.append(name, message, topic="x")
            await store.fork(name, f"copy of {name}")
            assert len(threads) > 1
            assert {one == threading.get_ident() for one in threads} == {here}
            assert (await store.read(f"copy of {name}")).items[0].content == message["content"]
        await store.close()

    asyncio.run(writes())


@pytest.mark.parametrize("make", [azure, log])
def test_long_histories_are_in_memory_one_after_another(
    make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork of a long thread waits for another one's; that of a short thread does not."""
    monkeypatch.setattr(callers, "MUCH", len(LONG["content"]) // 2)

    async def forks() -> None:
        assert callable(make)
        backend: Backend = make()
        backend.beside = Beside(2, "aside")
        store = chatstore.AsyncChatStore(backend)
        await store.append("short", SHORT)
        await store.append("long", LONG)
        async with Bulk(waits=True) as another:
            await another.add(callers.MUCH + 1)
            waiting = asyncio.create_task(store.fork("long", "copy"))
            given_up = asyncio.create_task(store.fork("long", "no copy"))
            await store.fork("short", "short copy")
            for _ in range(40):
                await store.read_entries("long")
            assert not waiting.done()
            given_up.cancel()
        await waiting
        assert (await store.read("copy")).items[0].content == LONG["content"]
        await store.fork("long", "another copy")
        with pytest.raises(chatstore.ThreadNotFound):
            await store.get_thread("no copy")
        await store.close()

    asyncio.run(forks())


@pytest.mark.parametrize("make", [azure, log])
def test_without_a_loop_it_is_written_where_it_is(make: object, written: set[int]) -> None:
    assert callable(make)
    store = chatstore.ChatStore(make())
    store.append("t", LONG)
    assert LONG["content"][:100] in store.read_entries("t").text
    assert written == {threading.get_ident()}


@pytest.mark.parametrize("scheme", ["dynamodb", "aztables"])
def test_who_opens_for_an_event_loop_has_threads_for_it(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AZURE_STORAGE_KEY", "eA==")
    url = {"dynamodb": "dynamodb://t?region=us-east-1", "aztables": "aztables://account/table"}[scheme]
    assert chatstore.aconnect(url).backend.beside is not None
    assert chatstore.connect(url).backend.beside is None
