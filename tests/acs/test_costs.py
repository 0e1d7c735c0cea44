"""What each operation costs, as the service's log tells it: the table in docs/acs.md, line for line."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatstore import AsyncChatStore
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.urls import open_backend
from tests.acs.sdk import SETTINGS, token
from tests.acs.test_access import person
from tests.costs import PLACES, Units, clock_in_an_hour, lines, metered, written

ALL = "/chat/threads"


async def measured(url: str, units: Units) -> dict[str, str]:
    """What was billed for each operation, of a process that has been at work in the thread."""
    clock = clock_in_an_hour()
    found: dict[str, str] = {}
    names = itertools.count()
    async with AsyncChatStore(open_backend(url, blocking=False, clock=clock)) as store:
        app = create_app(store, Settings(**SETTINGS))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:

            async def ask(name: str, method: str, path: str, body: Any = None, user: str = "ada") -> Any:
                merge = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
                answer = await http.request(
                    method, path, **({} if body is None else {"json": body}),
                    headers={
                        "Authorization": f"Bearer {token(user)}", **merge,
                        "x-ms-client-request-id": str(next(names)),
                    },
                )  # fmt: skip
                assert answer.status_code in {200, 201, 204}, answer.text
                found[name] = written(units.last)
                return answer.json() if answer.content else None

            def new(topic: str) -> dict[str, Any]:
                return {"topic": topic, "participants": [person("bob")]}

            # The first of a tenant and an hour cost more.
            for number in range(3):
                await ask("", "POST", ALL, new(str(number)))
            made = await ask("create a thread of two", "POST", ALL, new("t"))
            one = f"{ALL}/{made['chatThread']['id']}"
            for number in range(3):
                await ask("", "POST", f"{one}/messages", {"content": str(number)})
            sent = await ask("send a message", "POST", f"{one}/messages", {"content": "x"})
            await ask("send a message", "POST", f"{one}/messages", {"content": "y"})
            message = f"{one}/messages/{sent['id']}"
            page = await ask("list messages, the newest 100", "GET", f"{one}/messages")
            await ask("", "GET", f"{one}/messages?maxPageSize=2")
            page = await ask("", "GET", f"{one}/messages?maxPageSize=2")
            await ask("list messages, a page after it", "GET", page["nextLink"])
            await ask("get a message", "GET", message)
            await ask("update a message", "PATCH", message, {"content": "z"})
            await ask("delete a message", "DELETE", message)
            await ask("get properties", "GET", one)
            await ask("update the topic", "PATCH", one, {"topic": "u"})
            await ask(
                "add a participant",
                "POST",
                f"{one}/participants/:add",
                {"participants": [person("cleo")]},
            )
            await ask("list participants", "GET", f"{one}/participants")
            await ask("remove a participant", "POST", f"{one}/participants/:remove", {"rawId": "cleo"})
            await ask("", "POST", f"{one}/readReceipts", {"chatMessageId": sent["id"]})
            last = await ask("", "POST", f"{one}/messages", {"content": "y"}, "bob")
            await ask("send a read receipt", "POST", f"{one}/readReceipts", {"chatMessageId": last["id"]})
            await ask("list read receipts", "GET", f"{one}/readReceipts")
            await ask("send a typing notification", "POST", f"{one}/typing", {})
            await ask("list four threads", "GET", ALL)
            await ask("delete a thread of two", "DELETE", one)
    del found[""]
    return found


@pytest.mark.parametrize("place", PLACES)
def test_costs_are_those_of_the_page(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with metered(place, request, tmp_path) as (url, units):
        found = asyncio.run(measured(url, units))
    assert found == lines("acs.md", place)
