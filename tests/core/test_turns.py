"""Turns: one at a time however many wait, and nobody for long behind one that hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from chatstore.blocking import run
from chatstore.turns import AsyncTurns, BlockingTurns

PATIENCE = 0.4
WRITERS = 25
WORK = 0.04
"""Seconds of a turn: all of them together take more than twice as long as anybody is patient."""


class Watch:
    """Counts how many have a turn at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def enter(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def leave(self) -> None:
        self.now -= 1


def test_threads_that_wait_long_do_not_push_in() -> None:
    turns, watch = BlockingTurns(PATIENCE), Watch()

    async def act() -> None:
        async with turns.turn("a"):
            watch.enter()
            time.sleep(WORK)  # noqa: ASYNC251 - the work of a blocking caller
            watch.leave()

    with ThreadPoolExecutor(WRITERS) as pool:
        for done in [pool.submit(lambda: run(act())) for _ in range(WRITERS)]:
            done.result()
    # On a machine that stood still for a turn's patience, one may have left another behind.
    assert watch.most <= 3


def test_tasks_that_wait_long_do_not_push_in() -> None:
    turns, watch = AsyncTurns(PATIENCE), Watch()

    async def act() -> None:
        async with turns.turn("a"):
            watch.enter()
            await asyncio.sleep(WORK)
            watch.leave()

    async def main() -> None:
        await asyncio.gather(*(act() for _ in range(WRITERS)))

    asyncio.run(main())
    assert watch.most <= 3


def test_threads_leave_one_that_hangs_behind() -> None:
    turns, begun, over = BlockingTurns(PATIENCE / 10), threading.Event(), threading.Event()

    async def hang() -> None:
        async with turns.turn("a"):
            begun.set()
            over.wait()

    async def act() -> None:
        async with turns.turn("a"):
            pass

    with ThreadPoolExecutor(4) as pool:
        hanging = pool.submit(lambda: run(hang()))
        begun.wait()
        for done in [pool.submit(lambda: run(act())) for _ in range(3)]:
            done.result()
        over.set()
        hanging.result()


def test_tasks_leave_one_that_hangs_behind() -> None:
    turns = AsyncTurns(PATIENCE / 10)

    async def main() -> None:
        begun, over = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            async with turns.turn("a"):
                begun.set()
                await over.wait()

        async def act() -> None:
            async with turns.turn("a"):
                pass

        hanging = asyncio.create_task(hang())
        await begun.wait()
        await asyncio.gather(act(), act(), act())
        over.set()
        await hanging

    asyncio.run(main())


def test_one_that_gives_up_waiting_takes_no_turn_away() -> None:
    turns = AsyncTurns(PATIENCE)

    async def main() -> None:
        async with turns.turn("a"):

            async def act() -> None:
                async with turns.turn("a"):
                    raise AssertionError

            waiting = asyncio.create_task(act())
            await asyncio.wait({waiting}, timeout=0.01)
            waiting.cancel()
            await asyncio.wait({waiting})
            assert waiting.cancelled()
        async with turns.turn("a"):
            pass

    asyncio.run(main())


def test_threads_have_turns_of_their_own_by_name() -> None:
    turns = BlockingTurns()

    async def both() -> None:
        async with turns.turn("a"), turns.turn("b"):
            pass

    run(both())
