"""Shares: of requests and of memory each caller has one, and there is one left for the next."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore.http.admission import Admission, Hold
from chatstore.http.problems import Overloaded
from chatstore.http.values import has_more_values
from tests.core.json_values import VALUES


def begin_all(admission: Admission, caller: str) -> int:
    """How many requests of `caller` are admitted until one is refused."""
    count = 0
    while True:
        try:
            admission.begin(caller)
        except Overloaded:
            return count
        count += 1


def test_each_caller_has_a_share_of_the_requests_and_the_next_has_one() -> None:
    admission = Admission(120, 1)
    assert begin_all(admission, "alone") == 60
    assert begin_all(admission, "second") == 40
    assert begin_all(admission, "third") == 20
    admission.end("third")
    assert begin_all(admission, "fourth") == 1
    alone = Admission(120, 1, shared=False)
    assert begin_all(alone, "only") == 120


def test_memory_is_waited_for_in_turn() -> None:
    async def all_of_it() -> list[str]:
        admission, order = Admission(1, 120), list[str]()

        async def use(caller: str, size: int) -> None:
            hold = Hold(admission)
            await hold.need(caller, size)
            order.append(caller)
            await asyncio.sleep(0)
            hold.keep(size // 2)
            hold.release()

        first = Hold(admission)
        await first.need("much", 60)
        tasks = [asyncio.create_task(use("much", 60)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(use("little", 60)))
        await tasks[-1]
        assert order == ["little"]
        tasks[0].cancel()
        await asyncio.sleep(0)
        first.release()
        await asyncio.gather(*tasks, return_exceptions=True)
        await use("next", 1_000_000)  # more than there is: it has all
        return order

    assert asyncio.run(all_of_it()) == ["little", "much", "much", "next"]


def test_nothing_is_lost_or_doubled_whoever_gives_up() -> None:
    async def all_of_it() -> None:
        admission, chance, used = Admission(1, 100), random.Random(7), Counter[str]()

        async def use(caller: str) -> None:
            hold, size = Hold(admission), chance.randint(1, 120)
            try:
                await hold.need(caller, size)
                used[caller] += min(size, 100)
                assert used.total() <= 100
                await asyncio.sleep(0)
                used[caller] -= min(size, 100)
            finally:
                hold.release()

        tasks = [asyncio.create_task(use(chance.choice("abc"))) for _ in range(300)]
        for _ in range(50):
            await asyncio.sleep(0)
            chance.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await Hold(admission).need("last", 100)

    asyncio.run(all_of_it())


def values_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(values_of, value.values()))
    return 1 + sum(map(values_of, value)) if isinstance(value, list) else 1


@given(VALUES, st.booleans(), st.integers(-2, 2))
def test_values_are_counted_without_making_them(value: object, ascii_only: bool, more: int) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode()
    count = values_of(value)
    most = max(1, count + more)
    assert has_more_values(text, most) == (count > most)


@pytest.mark.parametrize("inside", [",[{", '\\",', "\\\\", '\\\\\\",{'])
def test_what_is_inside_of_strings_is_no_value(inside: str) -> None:
    text = ('{"role":"user","content":"' + inside * 1000 + '"}').encode()
    json.loads(text)
    assert not has_more_values(text, 3)
