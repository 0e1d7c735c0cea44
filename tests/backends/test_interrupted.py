"""After an exception at any point of a call, a store goes on and holds nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

import chatstore
from chatstore.backends.sqlite import log
from chatstore.blocking import run
from chatstore.turns import BlockingTurns
from tests.interruptions import Interrupted, interrupted

# An exception between the making of a coroutine and its awaiting is one of the points.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

HELLO = {"role": "user", "content": "hello"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def store(file: Path) -> Iterator[chatstore.ChatStore]:
    with chatstore.connect(f"sqlite:///{file}?timeout=1&synchronous=NORMAL") as store:
        store.append("t", HELLO, owner="someone")
        yield store


def on_a_thread(call: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - it is told where the thread is waited for
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "something is held that nobody gives back"
    assert not failed, failed


def holds_nothing(store: chatstore.ChatStore, file: Path) -> None:
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "somebody reads"
    on_a_thread(lambda: store.read("t", last=1))
    on_a_thread(lambda: store.append("t", HELLO))
    store.append("t", HELLO)
    assert store.read("t", last=1).items[0].content == "hello"


def conflict(store: chatstore.ChatStore) -> None:
    with suppress(chatstore.Conflict):
        store.append("t", HELLO, if_match="other")


def shortened(store: chatstore.ChatStore) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log.Log, "due", property(lambda _: 0, lambda *_: None), raising=False)
        store.append("t", HELLO)


def opened(store: chatstore.ChatStore) -> None:
    store.close()
    store.append("t", HELLO)
    store.read("t", last=1)


CALLS: dict[str, Callable[[chatstore.ChatStore], object]] = {
    "append": lambda store: store.append("t", HELLO),
    "append once": lambda store: store.append("t", HELLO, request_id="r"),
    "refused append": conflict,
    "append and shorten the log": shortened,
    "open": opened,
    "read": lambda store: store.read("t", last=3),
    "list": lambda store: store.list_threads(metadata={"a": "b"}),
    "fork": lambda store: (store.fork("t", "u"), store.delete_thread("u")),
    "erase": lambda store: store.erase("someone"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_file_is_free_after_an_exception_at_any_point(
    store: chatstore.ChatStore, file: Path, name: str
) -> None:
    def call() -> None:
        store.append("t", HELLO, owner="someone")
        store.delete_thread("u")

    call()
    for raised in interrupted(lambda: CALLS[name](store)):
        holds_nothing(store, file)
        assert raised is None or isinstance(raised, Interrupted)
        call()


@pytest.mark.parametrize("steps", range(12))
def test_a_file_is_free_after_a_cancellation(file: Path, steps: int) -> None:
    async def main() -> None:
        store = chatstore.aconnect(f"sqlite:///{file}?timeout=1&synchronous=NORMAL")
        await store.append("t", HELLO)
        for call in (store.append, store.append, store.read, store.read):
            task = asyncio.ensure_future(call("t", HELLO) if call == store.append else call("t"))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        before = len(await store.read("t"))
        await store.append("t", HELLO)
        assert len(await store.read("t")) == before + 1
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        closing_ = asyncio.ensure_future(store.close())
        await asyncio.sleep(0)
        closing_.cancel()
        with suppress(asyncio.CancelledError):
            await closing_
        assert len(await store.read("t")) == before + 1
        await store.close()

    asyncio.run(main())


def test_turns_go_on_after_an_exception_at_any_point() -> None:
    """Whoever was interrupted has its next turn at once, however patient it is; others leave it behind."""
    turns, others = BlockingTurns(patience=30), BlockingTurns(patience=0.02)

    def turn_of(which: BlockingTurns) -> Callable[[], None]:
        async def take() -> None:
            async with which.turn("a"):
                pass

        return lambda: run(take())

    for raised in interrupted(turn_of(turns)):
        on_a_thread(lambda: [turn_of(turns)() for _ in range(2)]) if raised is None else turn_of(turns)()
    for _ in interrupted(turn_of(others)):
        on_a_thread(turn_of(others))
