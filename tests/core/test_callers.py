"""Places that callers share: each has a turn, and none has all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from chatstore.callers import CALLER, Places, share_of


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def at_work(
    places: Places, taken: list[Hashable], go: asyncio.Event
) -> Callable[[Hashable], asyncio.Task[None]]:
    async def work(caller: Hashable) -> None:
        CALLER.set(caller)
        place = await places.take()
        taken.append(caller)
        try:
            await go.wait()
        finally:
            places.give(place)

    return lambda caller: asyncio.create_task(work(caller))


def test_one_caller_has_a_share_and_the_others_take_turns() -> None:
    async def all_of_it() -> None:
        places, taken, go = Places(4), list[Hashable](), asyncio.Event()
        work = at_work(places, taken, go)
        tasks = [work("much") for _ in range(6)]
        await settled()
        assert taken == ["much"] * share_of(4)
        tasks += [work("little"), work("less")]
        await settled()
        assert taken == ["much"] * 3 + ["little"]
        # Who gives up waits no more, and holds no place.
        tasks[3].cancel()
        tasks[0].cancel()
        await settled()
        assert taken[4:] == ["much"]  # it waited first; "less" is next
        go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(map(str, taken)) == ["less", "little", *["much"] * 5]
        assert [await places.take() for _ in range(4)] == [None] * 4

    asyncio.run(all_of_it())


def test_nobody_in_particular_may_have_all() -> None:
    async def all_of_it() -> None:
        places = Places(4)
        assert [await places.take() for _ in range(4)] == [None] * 4
        last = asyncio.create_task(places.take())
        await settled()
        assert not last.done()
        places.give(None)
        assert await last is None

    asyncio.run(all_of_it())


def test_those_that_wait_have_turns() -> None:
    async def all_of_it() -> None:
        places, taken, go = Places(1), list[Hashable](), asyncio.Event()
        first = await places.take()
        work = at_work(places, taken, go)
        tasks = [work(caller) for caller in ("much", "much", "much", "little", "little")]
        await settled()
        go.set()
        places.give(first)
        await asyncio.gather(*tasks)
        assert taken == ["much", "little", "much", "little", "much"]

    asyncio.run(all_of_it())


def test_a_place_that_comes_as_its_wait_is_given_up_goes_to_the_next() -> None:
    async def all_of_it() -> None:
        places = Places(1)
        first = await places.take()
        late = asyncio.create_task(places.take())
        await settled()
        places.give(first)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        await asyncio.wait_for(places.take(), 10)

    asyncio.run(all_of_it())
