"""Many at one thread at once: nothing is lost, doubled, reordered or torn, and no reader sees a half.

Derive from these and say where the store is.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import chatstore
from chatstore.models import Message
from chatstore.testing.history import Turn, find_faults, marked

from . import actors

ROOT = Path(__file__).parents[2]

SOAK = bool(os.environ.get("CHATSTORE_SOAK"))
_PATIENCE = 1000 if SOAK else 100
"""Seconds in which every process has done all that it was to do."""


def in_threads(url: str, seed: int, rounds: int) -> tuple[list[actors.Told], chatstore.ChatStore]:
    store = chatstore.connect(url)
    caller = actors.caller(store, url)

    def act(number: int, actor: str) -> actors.Told:
        return actors.ACTORS[actor](caller, f"{actor}-{number}", random.Random(seed + number), rounds)

    with ThreadPoolExecutor(len(actors.CAST)) as pool:
        return list(pool.map(act, range(len(actors.CAST)), actors.CAST)), store


def in_processes(url: str, seed: int, rounds: int) -> tuple[list[actors.Told], chatstore.ChatStore]:
    """One process an actor: ten of them."""
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                actors.__name__,
                url,
                actor,
                f"{actor}-{number}",
                f"{seed}-{number}",
                str(rounds),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, actor in enumerate(actors.CAST)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [actors.Told.from_json(process.communicate(timeout=_PATIENCE)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
    return told, chatstore.connect(url)


class ManyWriters(ABC):
    """Writers in threads and tasks of one process."""

    rounds = 320 if SOAK else 80
    """How often each of ten actors acts."""

    tasks = 200

    @abstractmethod
    def url(self, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        """Where the store is: an empty one for a `tmp_path` that is."""

    @pytest.fixture
    def place(self, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        return self.url(tmp_path, request)

    def test_all_at_once_in_threads(self, place: str) -> None:
        seed = random.randrange(2**32)
        self.check(*in_threads(place, seed, self.rounds), seed)

    def check(self, told: list[actors.Told], store: chatstore.ChatStore, seed: int) -> None:
        with store:
            final = list(store.iter_messages(actors.LOG))
        acknowledged = sum(len(one.acknowledged) for one in told)
        assert acknowledged > 5 * self.rounds, f"seed {seed}: the actors hardly acted"
        actors.check(told, final, f"seed {seed}")

    def test_tasks_of_one_loop(self, place: str) -> None:
        """Tasks append to one thread of one asynchronous store, beside a reader."""
        turns = [Turn(f"task-{task}", number, 2) for task in range(self.tasks) for number in range(3)]

        async def main() -> tuple[list[list[Message]], list[Message]]:
            async with chatstore.aconnect(place) as store:
                views: list[list[Message]] = []

                async def write(task: int) -> None:
                    for number in range(3):
                        await store.append("t", *marked(Turn(f"task-{task}", number, 2)))

                async def look() -> None:
                    while len(views) < 20:
                        views.append(list(await store.read("t", last=1000)))

                await asyncio.gather(look(), *(write(task) for task in range(self.tasks)))
                return views, [message async for message in store.iter_messages("t")]

        views, final = asyncio.run(main())
        assert len(final) == 2 * len(turns)
        assert not find_faults(turns, views, final, complete=False)

    def test_a_condition_lets_one_of_many_win(self, place: str) -> None:
        """Counting by compare-and-set from many threads loses no count."""
        with chatstore.connect(place) as store:
            store.append("count", {"role": "user", "content": 0})

            def increment(_: int) -> None:
                while True:
                    page = store.read("count", last=1)
                    one_more = {"role": "user", "content": page.items[0].content + 1}
                    try:
                        store.append("count", one_more, if_match=page.etag)
                        return
                    except chatstore.Conflict:
                        continue

            with ThreadPoolExecutor(8) as pool:
                list(pool.map(increment, range(100)))
            assert [message.content for message in store.iter_messages("count")] == list(range(101))

    def test_one_request_sent_by_many_takes_effect_once(self, place: str) -> None:
        with chatstore.connect(place) as store:
            requests = [chatstore.uuid7() for _ in range(50)] * 4
            random.shuffle(requests)

            def send(request: str) -> chatstore.Appended:
                return store.append("t", {"role": "user", "content": request}, request_id=request)

            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(send, requests))
            assert len(list(store.iter_messages("t"))) == 50
            assert len({answer.messages[0].id for answer in answers}) == 50


class ManyProcesses(ManyWriters):
    """Writers in processes too, for a store that these can share."""

    def test_all_at_once_in_processes(self, place: str) -> None:
        seed = random.randrange(2**32)
        self.check(*in_processes(place, seed, self.rounds), seed)
