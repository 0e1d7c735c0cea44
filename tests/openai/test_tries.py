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
from tests.conftest import SOAK
from tests.openai.scenarios import said

ALL = "/v1/conversations"
OTHERS = ("other", "another")
ORDERS = sorted(set(permutations([0, 1, 1, 2, *OTHERS], 6)), key=str)
"""A first try, repetitions of which one arrives twice, and what others say."""


class Chat:
    """A conversation, and a clock that a test moves."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        app = create_app(AsyncChatStore(MemoryBackend(clock=self.clock)), Settings(faces="openai"))
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
        self._path = ""

    async def begin(self) -> None:
        self._path = f"{ALL}/{(await self._http.post(ALL)).json()['id']}/items"

    async def say(self, *texts: str, tries: int = 0, waits: dict[str, str] | None = None) -> list[str]:
        """Add items, and give the texts that are answered."""
        answer = await self._http.post(
            self._path,
            json={"items": [said(text) for text in texts]},
            headers={"x-stainless-retry-count": str(tries), **(waits or {})},
        )
        assert answer.status_code == 200, answer.text
        return [one["content"][0]["text"] for one in answer.json()["data"]]

    async def said(self) -> list[str]:
        listed = (await self._http.get(f"{self._path}?order=asc&limit=100")).json()["data"]
        return [one["content"][0]["text"] for one in listed]


def test_each_order_of_tries_adds_once() -> None:
    async def play() -> None:
        chat = Chat()
        for order in ORDERS if SOAK else ORDERS[::7]:
            await chat.begin()
            for one in order:
                if isinstance(one, int):
                    assert await chat.say("a", "b", tries=one) == ["a", "b"]
                else:
                    await chat.say(str(one))
            found = await chat.said()
            assert sorted(found) == ["a", "another", "b", "other"], (order, found)
            assert found.index("b") == found.index("a") + 1

    asyncio.run(play())


@pytest.mark.parametrize("tries", [0, 1, 2])
def test_tries_at_once_add_once(tries: int) -> None:
    async def play() -> None:
        chat = Chat()
        await chat.begin()
        await asyncio.gather(*(chat.say("a", tries=count) for count in range(tries + 1)))
        assert await chat.said() == ["a"]

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
        chat.clock.advance(timedelta(minutes=12))
        await chat.say("yes", tries=1)  # its first try was lost
        chat.clock.advance(timedelta(minutes=2))
        await chat.say("yes")
        chat.clock.advance(timedelta(minutes=2))
        await chat.say("no")
        await chat.say("yes", tries=2)
        assert await chat.said() == ["yes", "yes", "yes", "no", "yes"]

    asyncio.run(play())


@pytest.mark.parametrize("header", ["x-stainless-timeout", "x-stainless-read-timeout"])
def test_a_first_try_is_no_older_than_its_client_waits(header: str) -> None:
    async def play() -> None:
        chat = Chat()
        await chat.begin()
        waits = {header: "20"}
        await chat.say("yes", waits=waits)
        chat.clock.advance(timedelta(seconds=79))
        await chat.say("yes", tries=1, waits=waits)
        assert await chat.said() == ["yes"]
        chat.clock.advance(timedelta(seconds=2))
        await chat.say("yes", tries=1, waits=waits)
        assert await chat.said() == ["yes", "yes"]

    asyncio.run(play())
