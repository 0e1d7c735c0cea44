"""An append beside processes that never rest, in virtual time: one that is further away has its turn too."""

from __future__ import annotations

import random

import pytest

from chatstore.clocks import ServerClock
from chatstore.contract import Backend, Draft, NewThread, ThreadKey
from tests.simulation.storages import LogStorage
from tests.simulation.world import MILLISECOND, SECOND, Network, Process, Task, World, wait

KEY = ThreadKey("acme", "t")
HOT = 3
TIMES = 6
CALL = 2 * MILLISECOND
"""What one way to the storage takes the processes that never rest."""


async def _append(backend: Backend) -> None:
    draft = Draft('{"role":"user","content":"hello"}')
    await backend.append(KEY, [draft], create=NewThread(), if_match=None, request=None)


@pytest.mark.parametrize("slower", [1, 4, 12])
def test_an_append_takes_less_than_two_seconds_beside_others_that_never_rest(
    slower: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random.seed(slower)
    world, storage = World(1_790_000_000 * SECOND), LogStorage()
    chance, took = random.Random(slower), list[int]()
    there = [Process(number, 0) for number in range(HOT + 1)]

    def way(self: Network) -> int:
        return int(CALL * (slower if self._process is there[-1] else 1) * chance.uniform(0.5, 1.5))

    async def back(self: Network, _: random.Random, asked: int) -> None:
        await wait(way(self))
        self._heard("", asked)

    monkeypatch.setattr(Network, "_latency", lambda self, _: way(self))
    monkeypatch.setattr(Network, "_back", back)

    def opened(process: Process) -> Backend:
        return storage.backend(world, process, ServerClock(lambda: world.now, lambda: world.now))

    async def hot(process: Process) -> None:
        backend = opened(process)
        while len(took) < TIMES:
            await _append(backend)

    async def other(process: Process) -> None:
        for _ in range(TIMES):
            # One that knows nothing of the thread.
            await wait(SECOND // 2)
            began, backend = world.now, opened(process)
            await _append(backend)
            took.append(world.now - began)

    for process in there:
        act = other if process is there[-1] else hot
        world.begin(world.now, Task(act(process), process, 0, chance))
    world.run()
    assert len(took) == TIMES
    assert max(took) < 2 * SECOND, [micros / SECOND for micros in took]
