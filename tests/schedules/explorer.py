"""Runs a few coroutines in every order of their steps, or in some where there are too many.

An actor is a coroutine that awaits `Stage.step` before each call to its storage. What it does from there to
its next step is one indivisible move. A stage's step also says what becomes of the call: that it is made,
that its answer is lost, or that it never arrives; as many such faults as are allowed are tried at
every place. An actor may also be killed in front of any step.

Nothing here knows a storage: any whose driver awaits the step can be explored.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Fate", "Outcome", "Scene", "Stage", "explore", "sample"]


class Fate(enum.Enum):
    """What becomes of a call, or of who makes it."""

    MADE = "made"
    ANSWER_LOST = "made, and its answer lost"
    LOST = "lost"
    KILLED = "killed in front of it"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an actor ended: with a result, with an error, or not at all."""

    result: object = None
    error: BaseException | None = None
    killed: bool = False


class Scene(Protocol):
    """One run: actors on a fresh storage."""

    def actors(self, stage: Stage) -> Sequence[Coroutine[Any, Any, object]]:
        """The actors, whose storage awaits `stage.step`."""

    def check(self, outcomes: Sequence[Outcome]) -> None:
        """Raise AssertionError for what must not come of it."""


class Stage:
    """Where actors meet: each waits in its step until its turn comes."""

    async def step(self, call: str) -> Fate:
        """Wait for the next move, which `call` describes; what becomes of it."""
        return await _Step(call)


@dataclass(slots=True)
class _Step(Awaitable[Fate]):
    call: str

    def __await__(self) -> Generator[_Step, Fate, Fate]:
        return (yield self)


@dataclass(slots=True)
class _Run:
    """One schedule: which of the choices at each move was taken, of how many."""

    taken: list[int] = field(default_factory=list)
    offered: list[int] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    chance: random.Random | None = None

    def choose(self, choices: Sequence[tuple[int, Fate]], follow: Sequence[int]) -> tuple[int, Fate]:
        at = len(self.taken)
        if self.chance is not None:
            number = self.chance.randrange(len(choices))
        else:
            number = follow[at] if at < len(follow) else 0
        self.taken.append(number)
        self.offered.append(len(choices))
        return choices[number]

    def following(self) -> list[int] | None:
        """The choices that lead to the next schedule; None after the last."""
        for at in reversed(range(len(self.taken))):
            if self.taken[at] + 1 < self.offered[at]:
                return [*self.taken[:at], self.taken[at] + 1]
        return None


def explore(scene: Callable[[], Scene], *, faults: Sequence[Fate] = (), most_faults: int = 0) -> int:
    """Run every schedule of `scene`, with at most so many of `faults` in each; how many there were."""
    follow: list[int] | None = []
    count = 0
    while follow is not None:
        run = _Run()
        _play(scene(), run, follow, faults, most_faults)
        follow = run.following()
        count += 1
    return count


def sample(
    scene: Callable[[], Scene], count: int, seed: int, *, faults: Sequence[Fate] = (), most_faults: int = 0
) -> int:
    """Run `count` schedules made up by chance, where there are too many to run each; `count` again."""
    chance = random.Random(seed)
    for _ in range(count):
        _play(scene(), _Run(chance=chance), (), faults, most_faults)
    return count


def _play(scene: Scene, run: _Run, follow: Sequence[int], faults: Sequence[Fate], left: int) -> None:
    actors = list(scene.actors(Stage()))
    outcomes: list[Outcome | None] = [None] * len(actors)
    waiting: dict[int, str] = {}
    for number, actor in enumerate(actors):
        _advance(actor, None, number, waiting, outcomes)
    while waiting:
        fates = [Fate.MADE, *(faults if left else ())]
        number, fate = run.choose([(one, fate) for fate in fates for one in sorted(waiting)], follow)
        left -= int(fate is not Fate.MADE)
        run.moves.append(f"{number} {waiting.pop(number)}: {fate.value}")
        if fate is Fate.KILLED:
            actors[number].close()
            outcomes[number] = Outcome(killed=True)
        else:
            _advance(actors[number], fate, number, waiting, outcomes)
    try:
        scene.check([outcome for outcome in outcomes if outcome is not None])
    except AssertionError as wrong:
        raise AssertionError("\n".join([str(wrong), "after", *run.moves])) from wrong


def _advance(
    actor: Coroutine[Any, Any, object],
    fate: Fate | None,
    number: int,
    waiting: dict[int, str],
    outcomes: list[Outcome | None],
) -> None:
    try:
        waiting[number] = actor.send(fate).call
    except StopIteration as ended:
        outcomes[number] = Outcome(ended.value)
    except Exception as error:  # noqa: BLE001 - how an actor ends is for the scene to judge
        outcomes[number] = Outcome(error=error)
