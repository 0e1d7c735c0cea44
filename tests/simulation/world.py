"""Virtual time: coroutines of several processes, which a scheduler runs one at a time."""

from __future__ import annotations

import contextlib
import email.utils
import functools
import heapq
import itertools
import random
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chatstore.contract import Backend

T = TypeVar("T")

MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

LATE = 5 * MINUTE
"""How long after its answer was given up a call may still arrive."""

_MOST_STEPS = 300_000


class Endless(Exception):
    """A history does not come to its end."""


class _Wait:
    def __init__(self, micros: int) -> None:
        self._micros = micros

    def __await__(self) -> Generator[int]:
        yield self._micros


async def wait(micros: int) -> None:
    """Let virtual time pass."""
    await _Wait(micros)


@dataclass
class Process:
    """A process, whose clock is ahead by `offset`. When it is killed, another life takes its place."""

    number: int
    offset: int
    backend: Backend | None = None
    life: int = 0


@dataclass
class Task:
    """A coroutine of one life of a process, and where its chances come from.

    After so many calls that are `left` its process is killed. `stalls` is how often it sleeps for hours
    behind a call, as a machine does that is suspended.
    """

    coroutine: Coroutine[Any, Any, None]
    process: Process
    life: int
    chance: random.Random
    left: int | None = None
    stalls: float = 0.0

    def last(self) -> bool:
        """Whether it does not live to see what comes of this call."""
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0


@dataclass(frozen=True)
class Faults:
    """How often calls go wrong, and how slow they are."""

    share: float = 0.0
    kills: float = 0.0
    slow: float = 0.0


@dataclass
class World:
    """The present in microseconds, and what is to come."""

    now: int
    faults: Faults = Faults()
    running: Task | None = None
    late: bool = False
    """Whether what happens is a call that arrives after its answer was given up."""
    _coming: list[tuple[int, int, Task | Callable[[], None]]] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)
    _steps: int = 0

    def begin(self, at: int, task: Task) -> None:
        """Have a task go on at a time."""
        heapq.heappush(self._coming, (at, next(self._numbers), task))

    def later(self, micros: int, do: Callable[[], None]) -> None:
        """Have something happen that no process waits for."""
        heapq.heappush(self._coming, (self.now + micros, next(self._numbers), do))

    def arrive_late(self, micros: int, call: Callable[[], Any]) -> None:
        """Have a call arrive that nobody waits for any more, nor hears of where it is refused."""

        def arrive() -> None:
            self.late = True
            with contextlib.suppress(Exception):
                call()
            self.late = False

        self.later(micros, arrive)

    def run(self) -> None:
        """Go on until nothing is to come."""
        while self._coming:
            at, _, what = heapq.heappop(self._coming)
            self.now = max(self.now, at)
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise Endless
            if isinstance(what, Task):
                self._step(what)
            else:
                what()

    def _step(self, task: Task) -> None:
        if task.life != task.process.life:
            with contextlib.suppress(RuntimeError):
                task.coroutine.close()
            return
        self.running = task
        try:
            micros = task.coroutine.send(None)
        except StopIteration:
            return
        self.begin(self.now + micros, task)


class Network:
    """The way of one life of a process to the storage: calls take time, fail, arrive late or twice."""

    def __init__(
        self,
        world: World,
        process: Process,
        failure: Callable[[], Exception],
        heard: Callable[[str, int], None],
    ) -> None:
        self._world = world
        self._process = process
        self._heard = heard
        self._failure = failure

    async def ask(self, call: Callable[[], T]) -> T:
        """A call that changes nothing."""
        chance, asked = self._chance(), self._world.now
        dies = self._task().last()
        await wait(self._latency(chance))
        if dies or self._fails(chance):
            await self._die_or_give_up(chance, dies=dies)
        answer = call()
        await self._back(chance, asked)
        return answer

    async def transact(self, call: Callable[[], T]) -> T:
        """A call that is done as it arrives or never; whether its answer comes is another thing."""
        chance, asked = self._chance(), self._world.now
        dies = self._dies(chance)
        await wait(self._latency(chance))
        fails = dies or self._fails(chance)
        if fails and chance.random() < 0.5:
            await self._die_or_give_up(chance, dies=dies)
        answer = call()
        if fails:
            await self._die_or_give_up(chance, dies=dies)
        await self._back(chance, asked)
        return answer

    async def send(self, call: Callable[[], T], *, once: bool = False) -> T:
        """A call that changes something; it may be sent twice unless it is `once`."""
        world, chance, asked = self._world, self._chance(), self._world.now
        await wait(self._latency(chance))
        dies = self._dies(chance)
        fate = "done"
        if dies or self._fails(chance):
            fate = chance.choice(
                ("lost", "no answer", "late", *(() if once or dies else ("twice", "twice, late")))
            )
        if fate in ("late", "twice, late"):
            world.arrive_late(_lateness(chance), call)
        if fate in ("lost", "late"):
            await self._die_or_give_up(chance, dies=dies)
        answer = call()
        if fate == "twice":
            answer = call()
        if fate == "no answer":
            await self._die_or_give_up(chance, dies=dies)
        await self._back(chance, asked)
        return answer

    async def send_each(self, calls: list[Callable[[], None]]) -> None:
        """Calls that arrive in one request and are done in order: all, none, or the first of them."""
        world, chance, asked = self._world, self._chance(), self._world.now
        await wait(self._latency(chance))
        dies = self._dies(chance)
        if dies or self._fails(chance):
            fate, lateness = chance.choice(("lost", "no answer", "late", "in part")), _lateness(chance)
            done = calls[: chance.randrange(len(calls)) if fate == "in part" else len(calls)]
            if fate == "late":
                for call in done:
                    world.arrive_late(lateness, call)
            elif fate != "lost":
                for call in done:
                    call()
            await self._die_or_give_up(chance, dies=dies)
        apart = len(calls) > 1 and chance.random() < 0.2
        for call in calls:
            if apart:
                await wait(chance.randrange(5 * MILLISECOND))
            call()
        await self._back(chance, asked)

    async def pause(self, seconds: float) -> None:
        """Wait."""
        await wait(int(seconds * SECOND))

    def _task(self) -> Task:
        task = self._world.running
        assert task is not None
        return task

    def _chance(self) -> random.Random:
        return self._task().chance

    def _dies(self, chance: random.Random) -> bool:
        last = self._task().last()
        return chance.random() < self._world.faults.kills or last

    def _latency(self, chance: random.Random) -> int:
        kind = chance.random()
        if kind >= self._world.faults.slow:
            return 500 + int(kind * 997_000) % 8_000
        return chance.choice(
            (chance.randrange(SECOND), chance.randrange(20 * SECOND), chance.randrange(3 * MINUTE))
        )

    async def _back(self, chance: random.Random, asked: int) -> None:
        """The answer arrives, and says what time it was when it was given."""
        date = http_date(self._world.now)
        if chance.random() < 0.15:
            await wait(self._latency(chance))
        self._heard(date, asked)
        stalls = self._task().stalls
        if stalls and chance.random() < stalls:
            await wait(chance.choice((chance.randrange(3 * HOUR), chance.randrange(2 * DAY))))

    def _fails(self, chance: random.Random) -> bool:
        share = self._world.faults.share
        return share > 0 and chance.random() < share

    async def _die_or_give_up(self, chance: random.Random, *, dies: bool) -> None:
        if dies:
            self._process.life += 1
        await wait(chance.randrange(10 * MILLISECOND, 10 * SECOND))
        raise self._failure()


@functools.lru_cache(maxsize=256)
def _date(second: int) -> str:
    return email.utils.formatdate(second, usegmt=True)


def http_date(micros: int) -> str:
    """A time as HTTP writes it."""
    return _date(micros // SECOND)


def _lateness(chance: random.Random) -> int:
    return chance.choice((chance.randrange(SECOND), chance.randrange(30 * SECOND), chance.randrange(LATE)))
