"""Many at one thread at once: nothing is lost, doubled, reordered or torn, and no reader sees a half."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import chatstore
from chatstore.models import Message
from chatstore.testing.history import Turn, find_faults, mark_of, marked

from . import actors

ROUNDS = 320 if os.environ.get("CHATSTORE_SOAK") else 80


def in_threads(url: str, seed: int) -> tuple[list[actors.Told], chatstore.ChatStore]:
    store = chatstore.connect(url)

    def act(number: int, actor: str) -> actors.Told:
        return actors.ACTORS[actor](store, f"{actor}-{number}", random.Random(seed + number), ROUNDS)

    with ThreadPoolExecutor(len(actors.CAST)) as pool:
        return list(pool.map(act, range(len(actors.CAST)), actors.CAST)), store


def in_processes(url: str, seed: int) -> tuple[list[actors.Told], chatstore.ChatStore]:
    """One process an actor: ten of them."""
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                actors.__file__,
                url,
                actor,
                f"{actor}-{number}",
                f"{seed}-{number}",
                str(ROUNDS),
            ],
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
        told = [actors.Told.from_json(process.communicate(timeout=100)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
    return told, chatstore.connect(url)


def messages(texts: list[str]) -> list[Message]:
    return [Message(text) for text in texts]


@pytest.mark.parametrize(
    ("scheme", "together"),
    [("memory", in_threads), ("sqlite", in_threads), ("sqlite", in_processes)],
    ids=["memory-threads", "sqlite-threads", "sqlite-processes"],
)
def test_all_at_once(
    scheme: str,
    together: Callable[[str, int], tuple[list[actors.Told], chatstore.ChatStore]],
    tmp_path: Path,
) -> None:
    seed = random.randrange(2**32)
    told, store = together("memory://" if scheme == "memory" else f"sqlite:///{tmp_path}/chat.db", seed)
    with store:
        final = list(store.iter_messages(actors.LOG))
    acknowledged = [turn for one in told for turn in one.acknowledged]
    assert len(acknowledged) > 5 * ROUNDS, f"seed {seed}: the actors hardly acted"
    faults = find_faults(
        acknowledged,
        [messages(view) for one in told for view in one.views],
        final,
        removed=[mark for one in told for mark in one.removed],
        inserted={turn.writer for turn in acknowledged if turn.writer.startswith("insert")},
        complete=len(final) <= 1000,
    )
    assert not faults, f"seed {seed}: {faults[:5]}"

    there = {message.id: message for message in final}
    for one in told:
        for message_id, content in one.contents.items():
            assert there[message_id].content == content, f"seed {seed}: a replacement was lost"
    for document in (document for one in told for document in one.documents if document):
        turns = {mark.turn for mark in map(mark_of, messages(document)) if mark is not None}
        assert len(document) == actors.PARTS, f"seed {seed}: a reader saw a part of a history"
        assert len(turns) == 1, f"seed {seed}: a reader saw two histories mixed"


@pytest.mark.parametrize("scheme", ["memory", "sqlite"])
def test_tasks_of_one_loop(scheme: str, tmp_path: Path) -> None:
    """200 tasks append to one thread of one asynchronous store, beside a reader."""
    turns = [Turn(f"task-{task}", number, 2) for task in range(200) for number in range(3)]

    async def main() -> tuple[list[list[Message]], list[Message]]:
        url = "memory://" if scheme == "memory" else f"sqlite:///{tmp_path}/chat.db?synchronous=NORMAL"
        async with chatstore.aconnect(url) as store:
            views: list[list[Message]] = []

            async def write(task: int) -> None:
                for number in range(3):
                    await store.append("t", *marked(Turn(f"task-{task}", number, 2)))

            async def look() -> None:
                while len(views) < 20:
                    views.append(list(await store.read("t", last=1000)))

            await asyncio.gather(look(), *(write(task) for task in range(200)))
            return views, [message async for message in store.iter_messages("t")]

    views, final = asyncio.run(main())
    assert len(final) == 2 * len(turns)
    assert not find_faults(turns, views, final, complete=False)


def test_a_condition_lets_one_of_many_win(tmp_path: Path) -> None:
    """Counting by compare-and-set from many threads loses no count."""
    with chatstore.connect(f"sqlite:///{tmp_path}/chat.db?synchronous=NORMAL") as store:
        store.append("count", {"role": "user", "content": 0})

        def increment(_: int) -> None:
            while True:
                page = store.read("count", last=1)
                try:
                    store.append(
                        "count", {"role": "user", "content": page.items[0].content + 1}, if_match=page.etag
                    )
                    return
                except chatstore.Conflict:
                    continue

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(increment, range(100)))
        assert [message.content for message in store.iter_messages("count")] == list(range(101))


def test_one_request_sent_by_many_takes_effect_once(tmp_path: Path) -> None:
    with chatstore.connect(f"sqlite:///{tmp_path}/chat.db?synchronous=NORMAL") as store:
        requests = [chatstore.uuid7() for _ in range(50)] * 4
        random.shuffle(requests)

        def send(request: str) -> chatstore.Appended:
            return store.append("t", {"role": "user", "content": request}, request_id=request)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, requests))
        assert len(list(store.iter_messages("t"))) == 50
        assert len({answer.messages[0].id for answer in answers}) == 50
