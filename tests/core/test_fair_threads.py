"""Threads that callers share: each has a turn, and none has all of them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from chatstore.fair_threads import FairThreads


def test_callers_take_turns() -> None:
    done: list[str] = []

    async def all_of_it() -> None:
        threads = FairThreads(1, "test")
        go = threading.Event()
        first = asyncio.create_task(threads.run("first", lambda: go.wait(20)))
        waiting = [
            asyncio.create_task(threads.run(caller, lambda caller=caller: done.append(caller)))  # type: ignore[misc]
            for caller in ("much", "much", "much", "little", "much", "less")
        ]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.wait(waiting[1:2])
        go.set()
        await first
        await asyncio.gather(*waiting, return_exceptions=True)
        threads.shutdown()

    asyncio.run(all_of_it())
    assert done == ["much", "little", "less", "much", "much"]


def test_one_caller_never_has_all_threads() -> None:
    async def all_of_it() -> None:
        threads = FairThreads(2, "test")
        go = threading.Event()
        waiting = [asyncio.create_task(threads.run("much", lambda: go.wait(20))) for _ in range(4)]
        await asyncio.sleep(0)
        assert await threads.run("little", go.is_set) is False
        go.set()
        assert await asyncio.gather(*waiting) == [True] * 4
        threads.shutdown()

    asyncio.run(all_of_it())


def test_an_error_is_raised_where_the_result_is_awaited() -> None:
    async def all_of_it() -> None:
        threads = FairThreads(1, "test")
        with pytest.raises(ZeroDivisionError):
            await threads.run("caller", lambda: 1 // 0)
        assert await threads.run("caller", lambda: 1) == 1
        threads.shutdown()

    asyncio.run(all_of_it())
