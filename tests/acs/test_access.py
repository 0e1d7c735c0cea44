"""Who sees what: participants alone, as much of the history as is shared with them, while they are that."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore.backends.memory import MemoryBackend
from chatstore.http.acs.routes import ROUTES
from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.store import AsyncChatStore
from chatstore.testing.manual_clock import ManualClock
from tests.acs.sdk import SETTINGS, token
from tests.conftest import SOAK

USERS = ("ada", "bob", "cleo")
STRANGE = "never-there"
NOTHING = "nothing said yet"


class Paused(MemoryBackend):
    """A backend at each of whose calls somebody else may come first."""

    before: Callable[[], Awaitable[None]] | None = None

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in {
            "get_thread",
            "append",
            "read",
            "get_message",
            "replace_message",
            "update_thread",
            "delete_thread",
        }:
            return found

        async def call(*args: Any, **more: Any) -> Any:
            before, self.before = self.before, None
            if before is not None:
                await before()
            return await found(*args, **more)

        return call


class World:
    """A service and who asks it."""

    def __init__(self, backend: MemoryBackend, **settings: Any) -> None:
        self.backend = backend
        self.app = create_app(AsyncChatStore(backend, tenant="acme"), Settings(**{**SETTINGS, **settings}))
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="https://service")

    async def ask(self, user: str, method: str, path: str, body: Any = None) -> httpx.Response:
        merge = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        return await self.client.request(
            method,
            path,
            **({} if body is None else {"json": body}),
            headers={"Authorization": f"Bearer {token(user)}", **merge},
        )

    async def make(self, user: str, *others: dict[str, Any]) -> str:
        made = await self.ask(user, "POST", "/chat/threads", {"topic": "t", "participants": [*others]})
        assert made.status_code == 201, made.text
        return str(made.json()["chatThread"]["id"])

    async def said(self, user: str, thread: str) -> list[str] | None:
        """All the texts that somebody sees, the oldest first; None where they see no thread."""
        answer = await self.ask(user, "GET", f"/chat/threads/{thread}/messages?maxPageSize=1000")
        if answer.status_code == 403:
            return None
        return [one["content"]["message"] for one in answer.json()["value"][::-1] if one["type"] == "text"]

    async def listed(self, user: str) -> list[str]:
        found, path = [], "/chat/threads?maxPageSize=2"
        while path:
            page = (await self.ask(user, "GET", path)).json()
            found += [one["id"] for one in page["value"]]
            path = page.get("nextLink")
        return found


def person(user: str, since: str | None = None) -> dict[str, Any]:
    shared = {} if since is None else {"shareHistoryTime": since}
    return {"communicationIdentifier": {"rawId": user, "communicationUser": {"id": user}}, **shared}


BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", ""): {"topic": "theirs", "metadata": {"a": "b"}},
    ("POST", "/messages"): {"content": "theirs"},
    ("PATCH", "/messages/{message_id}"): {"content": "theirs"},
    ("POST", "/participants/:add"): {"participants": [person("eve"), person("bob")]},
    ("POST", "/participants/:remove"): {"rawId": "ada", "communicationUser": {"id": "ada"}},
    ("POST", "/readReceipts"): {"chatMessageId": "{message_id}"},
    ("POST", "/typing"): {},
}
ONE = "/chat/threads/{id}"
OF_A_THREAD = [(route.method, route.path.removeprefix(ONE)) for route in ROUTES if route.path.startswith(ONE)]


async def tried(world: World, user: str, method: str, rest: str, thread: str, message: str) -> httpx.Response:
    body = BODIES.get((method, rest))
    if rest == "/readReceipts" and method == "POST":
        body = {"chatMessageId": message}
    return await world.ask(user, method, f"/chat/threads/{thread}{rest.format(message_id=message)}", body)


def test_the_face_is_loaded_where_it_is_named_and_with_nothing_else() -> None:
    program = """
import sys, chatstore
from chatstore.http.app import create_app
from chatstore.settings import Settings
settings = Settings(faces=sys.argv[1], auth="user-token", user_token_secrets="s" * 32)
create_app(chatstore.aconnect("memory://"), settings)
watched = "chatstore.http.acs", "chatstore.http.openai", "pydantic", "jwt"
print(*(name for name in watched if name in sys.modules))
"""
    for faces, loaded in (("native", ""), ("native,acs", "chatstore.http.acs")):
        done = subprocess.run(
            [sys.executable, "-c", program, faces], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == loaded


def test_every_route_of_a_thread_is_tried() -> None:
    assert len(OF_A_THREAD) == len(ROUTES) - 2 == 14


def test_whoever_takes_no_part_is_told_what_is_told_of_no_thread() -> None:
    async def play() -> None:
        world = World(MemoryBackend())
        thread = await world.make("ada", person("bob"), person("gone"))
        message = (await tried(world, "ada", "POST", "/messages", thread, "")).json()["id"]
        left = await world.ask(
            "ada", "POST", f"/chat/threads/{thread}/participants/:remove", {"rawId": "gone"}
        )
        assert left.status_code == 204
        there = await everything(world)
        for user in ("eve", "gone"):
            for method, rest in OF_A_THREAD:
                of_this = await tried(world, user, method, rest, thread, message)
                of_none = await tried(world, user, method, rest, STRANGE, message)
                assert of_this.status_code == 403, (method, rest)
                assert of_this.content == of_none.content, (method, rest)
            assert await world.listed(user) == []
        assert await everything(world) == there
        for method, rest in OF_A_THREAD:
            if method == "GET":
                assert (await tried(world, "bob", method, rest, thread, message)).status_code == 200

    asyncio.run(play())


async def everything(world: World) -> list[Any]:
    store = AsyncChatStore(world.backend, tenant="acme")
    threads = [one async for one in store.iter_threads(kind=None)]
    return [(one, (await store.read(one.id)).items) for one in threads]


class Step(NamedTuple):
    """One thing that somebody does."""

    do: str
    by: str
    to: str
    shared: int
    thread: int


STEPS = st.builds(
    Step,
    do=st.sampled_from(("send", "send", "add", "add", "remove", "delete", "make", "receipt")),
    by=st.sampled_from(USERS),
    to=st.sampled_from(USERS),
    shared=st.integers(-3, 3),
    thread=st.integers(0, 2),
)


class Model:
    """What a thread ought to be: texts with their times, and from when on each participant sees them."""

    def __init__(self, creator: str) -> None:
        self.texts: list[tuple[str, str]] = []
        self.since: dict[str, str] = {creator: ""}

    def seen(self, user: str) -> list[str] | None:
        if user not in self.since:
            return None
        return [text for at, text in self.texts if at >= self.since[user]]


@given(steps=st.lists(STEPS, min_size=5, max_size=25))
@settings(max_examples=400 if SOAK else 10, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_participants_see_a_thread_from_when_it_is_shared_and_others_never(steps: list[Step]) -> None:
    async def play() -> None:
        clock = ManualClock()
        world = World(MemoryBackend(clock=clock))
        models: dict[str, Model] = {}
        for number, step in enumerate(steps):
            clock.advance(timedelta(minutes=1))
            if step.do == "make" or not models:
                models[await world.make(step.by)] = Model(step.by)
                continue
            thread = [*models][step.thread % len(models)]
            model, path = models[thread], f"/chat/threads/{thread}"
            part = step.by in model.since
            if step.do == "send":
                answer = await world.ask(step.by, "POST", f"{path}/messages", {"content": str(number)})
                if part:
                    at = (await world.ask(step.by, "GET", f"{path}/messages/{answer.json()['id']}")).json()
                    model.texts.append((at["createdOn"], str(number)))
            elif step.do == "add":
                times = sorted({at for at, _ in model.texts})
                since = times[step.shared % len(times)] if times and step.shared > 0 else None
                body = {"participants": [person(step.to, since)]}
                answer = await world.ask(step.by, "POST", f"{path}/participants/:add", body)
                if part:
                    model.since.setdefault(step.to, since or "")
            elif step.do == "remove":
                answer = await world.ask(step.by, "POST", f"{path}/participants/:remove", {"rawId": step.to})
                if part:
                    model.since.pop(step.to, None)
            elif step.do == "delete":
                answer = await world.ask(step.by, "DELETE", path)
                if part:
                    del models[thread]
            else:
                answer = await world.ask(step.by, "POST", f"{path}/typing", {})
            assert (answer.status_code < 300) == part, answer.text
            assert part or answer.status_code == 403
            for user in USERS:
                assert sorted(await world.listed(user)) == sorted(
                    id for id, one in models.items() if user in one.since
                )
                for id, one in models.items():
                    assert await world.said(user, id) == one.seen(user)

    asyncio.run(play())


@pytest.mark.parametrize(("method", "rest"), OF_A_THREAD, ids=[f"{one} {rest}" for one, rest in OF_A_THREAD])
def test_a_removal_ends_what_is_under_way(method: str, rest: str) -> None:
    """Bob is removed, and something is said without him, before each of the calls that his request makes."""

    async def play() -> None:
        before = 0
        while await removed_before(before, method, rest):
            before += 1
        assert before >= 1

    asyncio.run(play())


async def removed_before(calls: int, method: str, rest: str) -> bool:
    """Whether Bob's request makes more than so many calls, before the next of which he is removed."""
    backend = Paused()
    world = World(backend)
    thread = await world.make("ada", person("bob"))
    path = f"/chat/threads/{thread}"
    message = (await world.ask("bob", "POST", f"{path}/messages", {"content": "bob's"})).json()["id"]
    state: list[list[Any]] = []
    left = calls

    async def meanwhile() -> None:
        nonlocal left
        if left:
            left -= 1
            backend.before = meanwhile
            return
        await world.ask("ada", "POST", f"{path}/participants/:remove", {"rawId": "bob"})
        await world.ask("ada", "POST", f"{path}/messages", {"content": "without him"})
        state.append(seen_of(await everything(world), thread))

    backend.before = meanwhile
    answer = await tried(world, "bob", method, rest, thread, message)
    backend.before = None
    assert "without him" not in answer.text
    if not state:
        assert answer.status_code < 300
        return False
    assert answer.status_code in {200, 201, 204, 403}
    # Either his write came first, or nothing of it is there.
    assert seen_of(await everything(world), thread) == state[0]
    return True


def seen_of(state: list[Any], thread: str) -> list[Any]:
    """The thread itself, without what leads to it."""
    return [(one, messages) for one, messages in state if one.id == thread]
