"""What one request looks at and writes is bounded, and what is refused leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chatstore.backends.memory import MemoryBackend
from chatstore.store.arguments import MAX_PARTICIPANTS
from tests.acs.conftest import PLACES
from tests.acs.sdk import token
from tests.acs.test_access import World, person
from tests.conftest import SOAK

LARGE = {"topic": "t" * 4000, "metadata": {"a": "x" * 60_000}}
MANY = 12
AT_ONCE = 10
"""So many threads are looked at together: the page ends behind those that made it too large."""


@pytest.mark.parametrize("place", PLACES if SOAK else PLACES[:1])
def test_a_list_ends_once_the_threads_that_it_reads_are_large(
    place: str, applied: Callable[[str], Any]
) -> None:
    async def pages() -> tuple[set[str], list[list[str]]]:
        found: list[list[str]] = []
        transport = httpx.ASGITransport(applied(place))
        async with httpx.AsyncClient(transport=transport, base_url="https://service") as client:

            async def ask(user: str, method: str, path: str, body: Any = None) -> Any:
                sent = {} if body is None else {"json": body}
                answer = await client.request(
                    method, path, headers={"Authorization": f"Bearer {token(user)}"}, **sent
                )
                assert answer.is_success, answer.text
                return answer.json()

            guest = person("guest of many") | {"metadata": {"b": "y" * 60_000}}
            made = set()
            for _ in range(MANY):
                thread = await ask("host", "POST", "/chat/threads", LARGE | {"participants": [guest]})
                made.add(thread["chatThread"]["id"])
            path: str | None = "/chat/threads?maxPageSize=100"
            while path is not None:
                page = await ask("guest of many", "GET", path)
                found.append([one["id"] for one in page["value"]])
                path = page.get("nextLink")
        return made, found

    made, found = asyncio.run(pages())
    assert [len(page) for page in found] == [AT_ONCE, MANY - AT_ONCE]
    assert sorted(one for page in found for one in page) == sorted(made)


def test_too_many_participants_leave_no_memberships() -> None:
    async def written() -> tuple[list[int], int]:
        backend = MemoryBackend()
        world = World(backend)
        too_many = [person(f"guest {number}") for number in range(MAX_PARTICIPANTS + 1)]
        too_large = [person(f"guest {number}") | {"metadata": {"a": "x" * 60_000}} for number in range(5)]
        thread = await world.make("ada")
        before = await backend.count_threads("acme", None, None)
        statuses = []
        for people in (too_many, too_large):
            body = {"topic": "t", "participants": people}
            statuses.append((await world.ask("ada", "POST", "/chat/threads", body)).status_code)
            adding = await world.ask(
                "ada", "POST", f"/chat/threads/{thread}/participants/:add", {"participants": people}
            )
            statuses.append(adding.status_code)
        return statuses, await backend.count_threads("acme", None, None) - before

    assert asyncio.run(written()) == ([400] * 4, 0)
