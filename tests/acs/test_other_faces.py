"""What other faces do to chats: what they write is shown, and what they delete leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from chatstore.backends.memory import MemoryBackend
from chatstore.store import AsyncChatStore
from chatstore.testing.manual_clock import ManualClock
from tests.acs.test_access import World, everything, person

DAY = timedelta(days=1)

SHOWN: list[tuple[dict[str, Any], str]] = [
    ({"role": "assistant", "content": "hi"}, "hi"),
    ({"role": "user", "content": ["a", {"type": "text", "text": "b"}, {"type": "image", "url": "c"}]}, "a b"),
    ({"role": "assistant", "content": None, "tool_calls": [{"id": "one", "type": "function"}]}, ""),
    ({"role": "tool", "content": "42", "tool_call_id": "one"}, "42"),
    ({"role": "assistant", "chatstore": {"item": {"type": "quantum_call", "spin": [1, -0.5, None]}}}, ""),
]


def world(**settings: Any) -> tuple[World, ManualClock]:
    clock = ManualClock()
    return World(MemoryBackend(clock=clock), **settings), clock


async def owned(world: World, messages: list[dict[str, Any]]) -> str:
    """A thread of ada's with these messages, made at the native face."""
    id = (await world.ask("ada", "POST", "/v1/threads", {})).json()["id"]
    assert (await world.ask("ada", "POST", f"/v1/threads/{id}/messages", messages)).status_code == 201
    return str(id)


def test_messages_of_another_face_are_shown_whole() -> None:
    async def play() -> None:
        at, _ = world()
        thread = await owned(at, [message for message, _ in SHOWN])
        found = (await at.ask("ada", "GET", f"/chat/threads/{thread}/messages")).json()["value"][::-1]
        for (message, text), told in zip(SHOWN, found, strict=True):
            assert (told["content"]["message"], told["senderDisplayName"]) == (text, message["role"])
            assert (told["type"], "senderCommunicationIdentifier" in told) == ("text", False)
            if message == {"role": message["role"], "content": text}:
                assert "metadata" not in told
            else:
                assert json.loads(told["metadata"]["acs"]) == message
            path = f"/chat/threads/{thread}/messages/{told['id']}"
            assert (await at.ask("ada", "GET", path)).json() == told
            assert (await at.ask("ada", "PATCH", path, {"content": "x"})).status_code == 403
            assert (await at.ask("ada", "DELETE", path)).status_code == 403

    asyncio.run(play())


def test_an_answer_that_would_be_too_long_is_a_shorter_page() -> None:
    async def play() -> None:
        most = 50_000
        at, _ = world(max_answer_bytes=most)
        texts = [f"{number}" + '"' * 4000 for number in range(25)]
        thread = await owned(at, [{"role": "user", "content": [text]} for text in texts])
        found, sizes, path = [], [], f"/chat/threads/{thread}/messages"
        while path:
            answer = await at.ask("ada", "GET", path)
            sizes.append(len(answer.content))
            found += [one["content"]["message"] for one in answer.json()["value"]]
            path = answer.json().get("nextLink")
        assert found == texts[::-1]
        assert max(sizes) < most + 1000

    asyncio.run(play())


async def by_native(at: World, thread: str, _clock: ManualClock) -> None:
    await AsyncChatStore(at.backend, tenant="acme").delete_thread(thread)


async def by_time(_at: World, _thread: str, clock: ManualClock) -> None:
    clock.advance(DAY * 40)


async def by_participants(at: World, thread: str, _clock: ManualClock) -> None:
    store = AsyncChatStore(at.backend, tenant="acme")
    await store.update_thread(thread, participants=[])


@pytest.mark.parametrize("gone", [by_native, by_time, by_participants])
def test_what_led_to_a_thread_goes_when_a_list_meets_it(
    gone: Callable[[World, str, ManualClock], Awaitable[None]],
) -> None:
    async def play() -> None:
        at, clock = world()
        keep = {"kind": "threadCreationDate", "deleteThreadAfterDays": 30}
        body = {"topic": "t", "participants": [person("bob")], "retentionPolicy": keep}
        made = await at.ask("ada", "POST", "/chat/threads", body)
        thread = made.json()["chatThread"]["id"]
        other = await at.make("bob")
        first = (await at.ask("ada", "POST", f"/chat/threads/{thread}/messages", {"content": "x"})).json()
        read = {"chatMessageId": first["id"]}
        assert (await at.ask("bob", "POST", f"/chat/threads/{thread}/readReceipts", read)).status_code == 200
        await gone(at, thread, clock)
        assert await at.listed("bob") == [other]
        clock.advance(DAY + timedelta(minutes=1))
        for _ in range(2):
            assert (await at.listed("ada"), await at.listed("bob")) == ([], [other])
        there = {one.id: one.kind for one, _ in await everything(at)}
        there.pop(thread, None)
        kinds = sorted(kind for id, kind in there.items() if id != other)
        assert kinds == ["acs-membership", *(["acs-receipts"] if gone is by_participants else [])]

    asyncio.run(play())


def test_what_leads_to_a_thread_that_is_about_to_be_made_stays() -> None:
    async def play() -> None:
        at, clock = world()
        thread = await at.make("ada")
        store = AsyncChatStore(at.backend, tenant="acme")
        clock.advance(DAY * 2)
        kept = await store.get_thread(thread)
        await store.update_thread(thread, participants=[])
        back = {"participants": [person("bob")]}
        await store.update_thread(thread, participants=kept.participants)
        assert (
            await at.ask("ada", "POST", f"/chat/threads/{thread}/participants/:add", back)
        ).status_code == 201
        assert await at.listed("bob") == [thread]
        await store.update_thread(thread, participants=kept.participants)
        clock.advance(timedelta(hours=23))
        assert await at.listed("bob") == []
        await store.update_thread(thread, participants=[*kept.participants, {"id": "bob"}])
        assert await at.listed("bob") == [thread]

    asyncio.run(play())


def test_who_lost_what_leads_them_is_led_again() -> None:
    """A thread that was deleted, and is back from a backup, is in the lists of those who are added again."""

    async def play() -> None:
        at, _ = world()
        thread = await at.make("ada", person("bob"))
        store = AsyncChatStore(at.backend, tenant="acme")
        [leads] = [one async for one in store.iter_threads(owner="bob", kind=None)]
        await store.delete_thread(leads.id)
        assert await at.listed("bob") == []
        again = {"participants": [person("bob")]}
        assert (
            await at.ask("ada", "POST", f"/chat/threads/{thread}/participants/:add", again)
        ).status_code == 201
        assert await at.listed("bob") == [thread]
        assert len((await at.ask("bob", "GET", f"/chat/threads/{thread}/messages")).json()["value"]) == 2

    asyncio.run(play())


def test_chats_that_others_added_somebody_to_are_not_counted_as_theirs() -> None:
    async def play() -> None:
        at, _ = world(max_threads_per_owner=2)
        for user in ("ada", "cleo", "dan"):
            for _ in range(2):
                await at.make(user, person("bob"))
        for _ in range(2):
            await at.make("bob", person("ada"))
        full = await at.ask("bob", "POST", "/chat/threads", {"topic": "t"})
        assert (full.status_code, full.json()["error"]["code"]) == (403, "Forbidden")
        assert (await at.ask("bob", "POST", "/v1/threads", {})).json()["code"] == "too-many-threads"
        assert len(await at.listed("bob")) == 8
        # Nobody's own threads pass for such: their ids are made here, whatever else they say.
        posed = {"kind": "acs-membership", "metadata": {"by": "ada"}}
        for status in (201, 201, 403):
            assert (await at.ask("eve", "POST", "/v1/threads", posed)).status_code == status

    asyncio.run(play())
