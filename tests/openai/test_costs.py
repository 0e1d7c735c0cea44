"""What each operation costs, as the service's log tells it: the table in docs/openai.md, line for line."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatstore import AsyncChatStore
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.testing import ManualClock
from chatstore.urls import open_backend
from tests.costs import PLACES, Units, lines, metered, written
from tests.openai.scenarios import said

ALL = "/v1/conversations"


async def measured(url: str, units: Units) -> dict[str, dict[str, float]]:
    """What was billed for each operation, of a conversation that the process knows."""
    clock = ManualClock()
    clock.advance(timedelta(minutes=70 - clock.now.minute))
    found: dict[str, dict[str, float]] = {}

    def store() -> AsyncChatStore:
        return AsyncChatStore(open_backend(url, blocking=False, clock=clock))

    def client(over: AsyncChatStore) -> httpx.AsyncClient:
        app = create_app(over, Settings(faces="openai", max_threads_per_owner=0))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")

    async with store() as warm, store() as cold, client(warm) as http, client(cold) as new:

        async def ask(name: str, method: str, path: str, tries: int = 0, at: Any = http, **given: Any) -> Any:
            answer = await at.request(method, path, headers={"x-stainless-retry-count": str(tries)}, **given)
            assert answer.status_code == 200, answer.text
            found[name] = dict(units.last)
            return answer.json()

        def items(*texts: str) -> dict[str, Any]:
            return {"items": [said(text) for text in texts]}

        # The first of a tenant and an hour cost more.
        for _ in range(2):
            await ask("`conversations.create`", "POST", ALL, json={"owner": "ada"})
        made = await ask("the same with items", "POST", ALL, json={"owner": "ada", **items("a", "b")})
        one = f"{ALL}/{made['id']}"
        for number in range(3):
            await ask("", "POST", f"{one}/items", json=items(f"{number}", f"answer {number}"))
        await ask("`items.create`", "POST", f"{one}/items", json=items("question", "answer"))
        await ask(
            "the same, with items that were sent before",
            "POST",
            f"{one}/items",
            json=items("question", "answer"),
        )
        await ask(
            "repeated by the client, the first try had arrived",
            "POST",
            f"{one}/items",
            1,
            json=items("question", "answer"),
        )
        await ask(
            "repeated by the client, the first try had not arrived",
            "POST",
            f"{one}/items",
            1,
            json=items("another"),
        )
        await ask("the first try after its repetition", "POST", f"{one}/items", json=items("another"))
        await ask("`items.create` by a new process", "POST", f"{one}/items", at=new, json=items("new"))
        await ask("", "POST", f"{one}/items", json=items("and back"))
        listed = await ask("`items.list`, the newest 20", "GET", f"{one}/items")
        third = listed["data"][3]["id"]
        await ask("`items.list`, a page after it", "GET", f"{one}/items?limit=3&after={third}")
        await ask("`items.retrieve`", "GET", f"{one}/items/{third}")
        await ask("`items.delete`", "DELETE", f"{one}/items/{third}")
        await ask("`conversations.retrieve`", "GET", one)
        await ask("`conversations.update`", "POST", one, json={"metadata": {"a": "b"}})
        await ask("cut the last items off", "DELETE", f"{one}/items?after={listed['data'][1]['id']}")
        await ask("list three conversations of an owner", "GET", f"{ALL}?owner=ada")
        await ask("`conversations.delete`", "DELETE", one)
    del found[""]
    return found


@pytest.mark.parametrize("place", PLACES)
def test_costs_are_those_of_the_page(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with metered(place, request, tmp_path) as (url, units):
        found = asyncio.run(measured(url, units))
    assert {name: written(one) for name, one in found.items()} == lines("openai.md", place)
