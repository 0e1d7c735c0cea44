"""Many at one thread of Table Storage at once, and writers killed at any moment: as SQLite's are tested."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

import chatstore
from chatstore.contract import system_clock
from chatstore.testing.history import Turn, find_faults, mark_of, marked
from tests.azure_tables.azurite import ACCOUNT
from tests.azure_tables.unkind import Unkind
from tests.backends import actors, killing
from tests.backends.patient import Patient
from tests.conftest import SOAK
from tests.servers import table_for

ROUNDS = 60 if SOAK else 6
KILLS = 500 if SOAK else 25


@pytest.fixture
def url(azurite: str, tmp_path: Path) -> str:
    return f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={azurite}"


@pytest.fixture
def unkind(azurite: str, url: str) -> Iterator[str]:
    """The same table, through a proxy that loses answers, cuts pages and throttles."""
    with Unkind(azurite, cuts=0.2, throttles=0.05, losses=0.03) as proxy:
        yield url.replace(azurite, proxy.endpoint)


def checked(told: list[actors.Told], final: list[chatstore.Message]) -> None:
    faults = find_faults(
        [turn for one in told for turn in one.acknowledged],
        [[chatstore.Message(text) for text in view] for one in told for view in one.views],
        final,
        removed=[mark for one in told for mark in one.removed],
        inserted={
            turn.writer for one in told for turn in one.acknowledged if turn.writer.startswith("insert")
        },
        complete=len(final) <= 1000,
    )
    assert not faults, faults[:5]
    there = {message.id: message for message in final}
    for one in told:
        for message_id, content in one.contents.items():
            assert there[message_id].content == content, "a replacement was lost"
        for document in one.documents:
            assert len(document) in (0, actors.PARTS), "a reader saw a part of a history"
            marks = [mark_of(chatstore.Message(text)) for text in document]
            assert len({mark.turn for mark in marks if mark is not None}) <= 1, "two histories mixed"


def test_threads_of_two_processes(unkind: str) -> None:
    """Threads of one store, and those of another that knows nothing of it, where answers are lost."""
    seed = random.randrange(2**32)
    stores = [chatstore.connect(unkind) for _ in range(2)]

    def act(number: int, actor: str) -> actors.Told:
        chance = random.Random(seed + number)
        # An answer may be lost while so many others write that only a request id tells what came of it.
        patient = cast("chatstore.ChatStore", Patient(stores[number % 2], system_clock))
        return actors.ACTORS[actor](patient, f"{actor}-{number}", chance, ROUNDS)

    with ThreadPoolExecutor(len(actors.CAST)) as pool:
        told = list(pool.map(act, range(len(actors.CAST)), actors.CAST))
    final = list(stores[0].iter_messages(actors.LOG))
    for store in stores:
        store.close()
    checked(told, final)


@pytest.mark.parametrize("client", ["async", "blocking"])
def test_tasks_of_one_loop_and_of_the_next(url: str, client: str) -> None:
    """Tasks wait for each other, not for conflicts; a client of a loop that ended is replaced."""
    turns = [Turn(f"task-{task}", number, 2) for task in range(30) for number in range(2)]
    store = chatstore.aconnect(f"{url}&client={client}")

    async def write(number: int) -> float:
        spent = await asyncio.gather(
            *(store.append("t", *marked(turn)) for turn in turns if turn.number == number)
        )
        return sum(one.cost.trips for one in spent if one.cost is not None)

    async def read() -> list[chatstore.Message]:
        async with store:
            return [message async for message in store.iter_messages("t")]

    asyncio.run(write(0))
    assert asyncio.run(write(1)) <= 30 + 2
    final = asyncio.run(read())
    assert not find_faults(turns, [], final, complete=False)


def test_killed_writers(url: str) -> None:
    killing.check(url, KILLS, 0.05)
