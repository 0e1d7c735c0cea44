"""The tries of one request, in every order in which they may arrive: its items are there once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import permutations

import httpx
import pytest

from chatstore import AsyncChatStore
from chatstore.backends.memory import MemoryBackend
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.testing import ManualClock
from tests.acs.test_access import Paused
from tests.conftest import SOAK
from tests.openai.scenarios import said

ALL = "/v1/conversations"
OTHERS = ("other", "another")
ORDERS = sorted(set(permutations([0, 1, 1, 2, *OTHERS], 6)), key=str)
"""A first try, repetitions of which one arrives twice, and what others say."""


class Chat:
    """A conversation, and a clock that a test moves."""

    def __init__(self, backend: MemoryBackend | None = None) -> None:
        backend = backend or MemoryBackend(clock=ManualClock())
        assert isinstance(backend.clock, ManualClock)
        self.clock = backend.clock
        app = create_app(AsyncChatStore(backend), Settings(faces="openai"))
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
        self._path = ""

    async def begin(self) -> None:
        self._path = f"{ALL}/{(await self._http.post(ALL)).json()['id']}/items"

    async def say(self, *texts: str, tries: int = 0) -> list[str]:
        """Add items, and give the texts that are answered."""
        answer = await self._http.post(
            self._path,
            json={"items": [said(text) for text in texts]},
            headers={"x-stainless-retry-count": str(tries)},
        )
        assert answer.status_code == 200, answer.text
        return [one["content"][0]["text"] for one in answer.json()["data"]]

    async def said(self) -> list[str]:
        listed = (await self._http.get(f"{self._path}?order=asc&limit=100")).json()["data"]
        return [one["content"][0]["text"] for one in listed]


@pytest.mark.parametrize("before", [0, 1, 2])
def test_each_order_of_tries_adds_once(before: int) -> None:
    """Also where the same was said so often before, and wherever a minute ends."""

    async def play() -> None:
        chat = Chat()
        for number, order in enumerate(ORDERS if SOAK else ORDERS[::25]):
            await chat.begin()
            for _ in range(before):
                await chat.say("a", "b")
            chat.clock.advance(timedelta(minutes=11, seconds=number * 7 % 60))
            for one in order:
                if isinstance(one, int):
                    assert await chat.say("a", "b", tries=one) == ["a", "b"]
                else:
                    await chat.say(str(one))
                chat.clock.advance(timedelta(seconds=11))
            found = await chat.said()
            assert found[: before * 2] == ["a", "b"] * before
            found = found[before * 2 :]
            assert sorted(found) == ["a", "another", "b", "other"], (order, found)
            assert found.index("b") == found.index("a") + 1

    asyncio.run(play())


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("tries", [0, 1, 2])
def test_tries_at_once_add_once(tries: int, before: int) -> None:
    async def play() -> None:
        chat = Chat()
        for order in permutations(range(tries + 1)):
            await chat.begin()
            for _ in range(before):
                await chat.say("a")
            chat.clock.advance(timedelta(minutes=11))
            await asyncio.gather(*(chat.say("a", tries=count) for count in order))
            assert await chat.said() == ["a"] * (before + 1)

    asyncio.run(play())


@pytest.mark.parametrize("second", [29, 59])
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize(("outer", "inner"), [(0, 1), (1, 0), (1, 2), (2, 1)])
def test_a_try_between_any_two_steps_of_another_adds_nothing(
    outer: int, inner: int, before: int, second: int
) -> None:
    """Also where a minute ends in between."""

    async def between(calls: int) -> bool:
        """Whether the outer try makes more than so many calls, and the inner one comes before the next."""
        backend = Paused(clock=ManualClock())
        chat = Chat(backend)
        await chat.begin()
        for _ in range(before):
            await chat.say("a")
        chat.clock.advance(timedelta(minutes=11) + timedelta(seconds=second - chat.clock.now.second))
        left = calls

        async def meanwhile() -> None:
            nonlocal left
            left -= 1
            if left >= 0:
                backend.before = meanwhile
                return
            chat.clock.advance(timedelta(seconds=1))
            await chat.say("a", tries=inner)

        backend.before = meanwhile
        await chat.say("a", tries=outer)
        backend.before = None
        met = left < 0
        assert await chat.said() == ["a"] * (before + 1) or not met
        return met

    async def play() -> None:
        calls = 0
        while await between(calls):
            calls += 1
        assert calls >= 1

    asyncio.run(play())


def test_what_is_said_again_is_there_again() -> None:
    async def play() -> None:
        chat = Chat()
        await chat.begin()
        await asyncio.gather(*(chat.say("yes") for _ in range(5)))
        await chat.say("yes", "yes")
        assert await chat.said() == ["yes"] * 7

    asyncio.run(play())


def test_what_is_repeated_much_later_is_said_again() -> None:
    async def play() -> None:
        chat = Chat()
        await chat.begin()
        await chat.say("yes")
        chat.clock.advance(timedelta(minutes=11))
        await chat.say("yes", tries=1)  # its first try was lost
        chat.clock.advance(timedelta(minutes=2))
        await chat.say("yes")
        chat.clock.advance(timedelta(minutes=2))
        await chat.say("no")
        await chat.say("yes", tries=2)
        assert await chat.said() == ["yes", "yes", "yes", "no", "yes"]

    asyncio.run(play())
