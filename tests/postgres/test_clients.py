"""Sixty-four clients at once, on one thread and on as many threads as there are."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict

import pytest

import chatstore
from chatstore.models import Message
from chatstore.testing.history import Turn, find_faults, mark_of, marked
from tests.conftest import SOAK

CLIENTS = 64
SECONDS = 60 if SOAK else 1.5
FEW = 10_000 if SOAK else 500


@pytest.mark.parametrize("threads", [1, FEW])
def test_clients_at_once(url: str, threads: int) -> None:
    """Each appends turns, repeats some, and reads: every turn is there once, whole, in its client's order."""
    acknowledged: dict[str, list[Turn]] = defaultdict(list)
    views: dict[str, list[list[Message]]] = defaultdict(list)

    async def act(store: chatstore.AsyncChatStore, client: int, until: float) -> None:
        chosen, number = random.Random(client), 0
        while time.monotonic() < until:
            name = f"t{chosen.randrange(threads)}"
            turn = Turn(f"c{client}", number, 2)
            request = chatstore.uuid7()
            for _ in range(1 + (chosen.random() < 0.2)):
                # No error reaches a client, of deadlocks neither.
                await store.append(name, *marked(turn), request_id=request)
            acknowledged[name].append(turn)
            number += 1
            if chosen.random() < 0.1:
                views[name].append(list((await store.read(name, last=1000)).items))

    async def main() -> dict[str, list[Message]]:
        async with chatstore.aconnect(f"{url}&pool={CLIENTS}&timeout=60") as store:
            until = time.monotonic() + SECONDS
            await asyncio.gather(*[act(store, client, until) for client in range(CLIENTS)])
            return {name: [one async for one in store.iter_messages(name)] for name in acknowledged}

    final = asyncio.run(main())
    assert sum(map(len, acknowledged.values())) >= CLIENTS
    for name, turns in acknowledged.items():
        assert not find_faults(turns, views[name], final[name], complete=False)
        assert {mark.turn for mark in map(mark_of, final[name]) if mark is not None} == set(turns)
