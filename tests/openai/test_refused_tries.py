"""What the service refuses, fails or still has in hand: its repetition is taken for nothing else."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from ipaddress import ip_address
from itertools import product, zip_longest
from typing import Any

import httpx
import pytest

from chatstore import AsyncChatStore
from chatstore.backends.memory import MemoryBackend
from chatstore.errors import RequestMismatch, Unavailable
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.testing import ManualClock
from tests.conftest import SOAK
from tests.openai.scenarios import said

ALL = "/v1/conversations"
FAILURES = ("refused", "before", "after")
"""Where a try fails: before its body is looked at, before it is written, and when it has been."""


class Failing(MemoryBackend):
    """Fails writes as `fate` says, and holds them while it is told to."""

    def __init__(self) -> None:
        super().__init__(clock=ManualClock())
        self.fate = "fine"
        self.reached = asyncio.Semaphore(0)
        self.go = asyncio.Event()

    async def _write(self, write: Callable[[], Awaitable[Any]]) -> Any:
        fate = self.fate
        if fate == "held":
            self.reached.release()
            await self.go.wait()
        if fate == "before":
            raise Unavailable("nobody answers")
        try:
            return await write()
        except RequestMismatch:
            fate = "fine"
            raise
        finally:
            if fate == "after":
                raise Unavailable("the answer was lost")

    async def append(self, *args: Any, **more: Any) -> Any:
        return await self._write(partial(super().append, *args, **more))

    async def create_thread(self, *args: Any, **more: Any) -> Any:
        return await self._write(partial(super().create_thread, *args, **more))


class Service:
    """The service, which lets an address ask once, and a client that repeats as OpenAI's do."""

    def __init__(self) -> None:
        self.backend = Failing()
        settings = Settings(faces="openai", requests_per_minute=1)
        self._app = create_app(AsyncChatStore(self.backend), settings)
        self._addresses = itertools.count(1)

    async def ask(self, method: str, path: str, address: int | None = None, **given: Any) -> httpx.Response:
        number = next(self._addresses) if address is None else address
        transport = httpx.ASGITransport(self._app, client=(str(ip_address(number)), 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.request(method, path, **given)

    async def call(
        self, path: str, body: dict[str, Any], fate: str, answered: Callable[[Any], Awaitable[None]]
    ) -> None:
        """A first try, of whose answer each part is handed to `answered` as it is sent."""
        self.backend.fate = fate
        text = json.dumps(body, separators=(",", ":")).encode()
        headers = {"x-stainless-retry-count": "0", "host": "127.0.0.1", "content-type": "application/json"}
        headers["content-length"] = str(len(text))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
            "root_path": "", "client": ("10.0.0.1", 1), "server": ("127.0.0.1", 80),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": text, "more_body": False}

        await self._app(scope, receive, answered)

    async def send(
        self, path: str, body: dict[str, Any], tries: int, fate: str = "fine", **headers: str
    ) -> httpx.Response:
        given: dict[str, Any] = {"json": body, "headers": {"x-stainless-retry-count": str(tries), **headers}}
        if fate == "refused":
            address = next(self._addresses)
            await self.ask("GET", ALL, address)
            return await self.ask("POST", path, address, **given)
        self.backend.fate = fate
        return await self.ask("POST", path, **given)

    async def held(self, path: str, body: dict[str, Any], tries: int = 0) -> asyncio.Task[httpx.Response]:
        """A try that the storage has in hand until it is told to go on."""
        task = asyncio.create_task(self.send(path, body, tries, "held"))
        await self.backend.reached.acquire()
        return task

    async def persist(self, path: str, body: dict[str, Any], fates: tuple[str, ...] = ()) -> dict[str, Any]:
        """Send a request until it is answered; `fates` are what its tries meet before."""
        for tries, fate in enumerate(fates):
            refused = await self.send(path, body, tries, fate)
            assert refused.status_code == (429 if fate == "refused" else 503)
        answer = await self.send(path, body, len(fates))
        assert answer.status_code == 200, answer.text
        given: dict[str, Any] = answer.json()
        return given

    async def begin(self) -> str:
        """A conversation's path to its items."""
        return f"{ALL}/{(await self.persist(ALL, {}))['id']}/items"

    async def said(self, path: str) -> list[str]:
        listed = (await self.ask("GET", f"{path}?order=asc&limit=100")).json()["data"]
        return [one["content"][0]["text"] for one in listed]

    async def ids(self) -> list[str]:
        return [one["id"] for one in (await self.ask("GET", f"{ALL}?limit=100")).json()["data"]]


CHAINS = [fates for count in range(3) for fates in product(FAILURES, repeat=count)]
"""What the tries of a request meet before the last of a client's three."""
YES, NO = {"items": [said("yes")]}, {"items": [said("no", "assistant")]}


def test_the_same_is_said_again_however_its_tries_fail() -> None:
    async def play() -> None:
        service = Service()
        turns = product(CHAINS, repeat=3) if SOAK else zip(CHAINS, CHAINS[::-1], CHAINS, strict=True)
        for behind, fates in product((False, True), turns):
            path = await service.begin()
            for one in fates:
                await service.persist(path, YES, one)
                if behind:
                    await service.persist(path, NO)
            found = await service.said(path)
            assert found == (["yes", "no"] if behind else ["yes"]) * 3, (behind, fates)

    asyncio.run(play())


def test_writers_who_say_the_same_side_by_side_are_each_heard() -> None:
    async def play() -> None:
        service = Service()
        for one, other in product(CHAINS, CHAINS):
            path = await service.begin()
            # Their tries take turns, so that each repetition meets both requests unanswered.
            for tries, fates in enumerate(zip_longest(one, other, fillvalue="fine")):
                for fate, own in zip(fates, (one, other), strict=True):
                    if tries <= len(own):
                        await service.send(path, YES, tries, fate)
            for own in (one, other):
                if len(own) == max(len(one), len(other)):
                    assert (await service.send(path, YES, len(own))).status_code == 200
            assert await service.said(path) == ["yes", "yes"], (one, other)

    asyncio.run(play())


def test_a_repetition_joins_a_try_that_is_still_in_hand() -> None:
    async def play() -> None:
        service = Service()
        path = await service.begin()
        await service.persist(path, YES)
        first = await service.held(path, YES)
        repeated = (await service.send(path, YES, 1)).json()
        service.backend.go.set()
        assert (await first).json() == repeated
        assert await service.said(path) == ["yes", "yes"]

    asyncio.run(play())


def test_repetitions_of_two_requests_in_hand_join_one_each() -> None:
    async def play() -> None:
        service = Service()
        path = await service.begin()
        await service.persist(path, YES)
        firsts = [await service.held(path, YES) for _ in range(2)]
        seconds = [await service.held(path, YES, 1) for _ in range(2)]
        service.backend.go.set()
        repeated = [(await second).json() for second in seconds]
        assert [(await first).json() for first in firsts] in (repeated, repeated[::-1])
        assert await service.said(path) == ["yes"] * 3

    asyncio.run(play())


@pytest.mark.parametrize("same", ["path", "body"])
def test_a_repetition_of_another_request_joins_nothing(same: str) -> None:
    async def play() -> None:
        service = Service()
        path = await service.begin()
        await service.persist(path, YES)
        assert (await service.send(path, YES, 0, "before")).status_code == 503
        place, body = (path, NO) if same == "path" else (await service.begin(), YES)
        assert (await service.send(place, body, 1)).status_code == 200
        assert (await service.send(path, YES, 1)).status_code == 200
        assert [one for one in await service.said(path) if one == "yes"] == ["yes", "yes"]

    asyncio.run(play())


def test_nobody_joins_a_request_under_another_credential() -> None:
    async def play() -> None:
        service = Service()
        assert (await service.send(ALL, {}, 0, "after", authorization="Bearer one")).status_code == 503
        [made] = await service.ids()
        other = await service.send(ALL, {}, 1, authorization="Bearer another")
        assert other.json()["id"] != made
        own = await service.send(ALL, {}, 1, authorization="Bearer one")
        assert own.json()["id"] == made

    asyncio.run(play())


def test_who_repeats_as_soon_as_the_answer_begins_is_known() -> None:
    async def play() -> None:
        service = Service()
        repeated: list[httpx.Response] = []

        async def answered(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                repeated.append(await service.send(ALL, {}, 1))

        await service.call(ALL, {}, "after", answered)
        assert await service.ids() == [one.json()["id"] for one in repeated]

    asyncio.run(play())


def test_one_first_try_alone_comes_behind_its_repetition() -> None:
    async def play() -> None:
        service = Service()
        path = await service.begin()
        repeated = (await service.send(path, YES, 1)).json()
        assert (await service.send(path, YES, 0)).json() == repeated
        for _ in range(3):
            await service.persist(path, YES)
        assert await service.said(path) == ["yes"] * 4

    asyncio.run(play())


def test_a_conversation_is_made_once_however_its_tries_fail() -> None:
    async def play() -> None:
        service = Service()
        made = []
        bodies: list[dict[str, Any]] = [{}, {"metadata": {"a": "b"}}, YES]
        for fates, body in product(CHAINS, bodies):
            told = await service.persist(ALL, body, fates)
            assert told["metadata"] == body.get("metadata", {})
            assert await service.said(f"{ALL}/{told['id']}/items") == ["yes"] * (body is YES)
            made.append(told["id"])
        assert sorted(await service.ids()) == sorted(made)

    asyncio.run(play())


def test_nobody_is_given_a_conversation_that_another_request_may_still_be_answered_with() -> None:
    async def play() -> None:
        service = Service()
        first = await service.held(ALL, {})
        other = (await service.send(ALL, {}, 1)).json()["id"]
        service.backend.go.set()
        assert (await first).json()["id"] != other

    asyncio.run(play())
