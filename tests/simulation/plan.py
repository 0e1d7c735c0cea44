"""What happens in a history: which operations begin when, on which processes, all from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tests.simulation.world import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Faults

TENANTS = ("acme", "blue")
OWNERS = ("ada", "bob")
BEGIN = 1_790_000_000 * SECOND // HOUR * HOUR
_CHANGES = {
    "append": 32, "read": 12, "get": 4, "list": 8, "insert": 4, "replace_message": 5, "delete_message": 5,
    "pop": 4, "replace_all": 5, "clear": 3, "fork": 4, "update": 4, "delete": 6, "create": 4, "sweep": 10,
    "erase": 5, "cut": 14, "rate": 4, "find": 3,
}  # fmt: skip
_KINDS, _WEIGHTS = list(_CHANGES), list(_CHANGES.values())


@dataclass(frozen=True)
class Step:
    """An operation to come: when and by whom, and of which thread and owner if it is of one.

    After so many calls that are `left` its process is killed; `stalls` is how often it sleeps behind one.
    """

    number: int
    at: int
    process: int
    kind: str
    tenant: str
    thread: int
    owner: str | None
    left: int | None = None
    stalls: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A history to come. `offsets` are by how much the clocks of the processes are ahead.

    `large` is the share of texts of 800 KB.
    """

    seed: int
    offsets: tuple[int, ...]
    faults: Faults
    large: float
    steps: tuple[Step, ...]


def owner_name(tenant: str, owner: str) -> str:
    """What an owner is called, which is nobody's name in another tenant."""
    return f"owner-{owner}-{tenant}"


def plan(seed: int) -> Plan:
    """The history of a seed."""
    chance = random.Random(seed)
    offsets = _offsets(chance)
    faults = chance.choice(
        (Faults(), Faults(slow=0.02), Faults(0.02, 0.005), Faults(0.05, 0.01, 0.02), Faults(0.15, 0.02, 0.05))
    )
    large = 0.3 if chance.random() < 0.05 else 0.003
    owners = chance.choice((OWNERS, (*OWNERS, None), OWNERS[:1]))
    tenants = chance.choice((TENANTS[:1], TENANTS))
    threads = chance.randint(1, 3)
    # Some histories are about one thing: what seldom meets then does.
    favoured = chance.sample(_KINDS, 3) if chance.random() < 0.5 else []
    weights = [weight * (4 if kind in favoured else 1) for kind, weight in _CHANGES.items()]
    steps: list[Step] = []
    now = BEGIN + chance.choice((HOUR - 5 * SECOND, chance.randrange(HOUR)))
    while len(steps) < 45:
        burst, spread = chance.randint(1, 9), chance.choice((5 * MILLISECOND, 40 * MILLISECOND, 2 * SECOND))
        focus = chance.choice(tenants), chance.randrange(threads), chance.choice(owners)
        for _ in range(burst):
            now += chance.randrange(spread)
            tenant, thread, owner = focus if chance.random() < 0.75 else (
                chance.choice(tenants), chance.randrange(threads), chance.choice(owners)
            )  # fmt: skip
            kind = chance.choices(_KINDS, weights)[0]
            steps.append(Step(len(steps), now, chance.randrange(len(offsets)), kind, tenant, thread, owner))
        now = _gap(chance, now)
    steps += _fading(seed, steps, len(offsets))
    return Plan(seed, offsets, faults, large, _cut_short(seed, steps, kills=faults.share > 0))


def _fading(seed: int, steps: list[Step], processes: int) -> list[Step]:
    """In some histories messages that expire are written and read besides."""
    chance = random.Random(f"{seed} expiring")
    if chance.random() > 0.3:
        return []
    tenant, count = chance.choice(steps).tenant, len(steps)
    times = sorted(chance.choice(steps).at + chance.randrange(2 * SECOND) for _ in range(12))
    return [
        Step(count + number, at, chance.randrange(processes), "fade", tenant, 0, None)
        for number, at in enumerate(times)
    ]


def _cut_short(seed: int, steps: list[Step], *, kills: bool) -> tuple[Step, ...]:
    """Some sweeps and erasures are killed on their way, and some sweeps sleep for hours on theirs."""
    chance = random.Random(f"{seed} cut short")
    sleepy = 0.1 if chance.random() < 0.2 else 0.0

    def changed(step: Step) -> Step:
        if step.kind not in ("sweep", "erase"):
            return step
        left = chance.randrange(20) if kills and chance.random() < 0.2 else None
        return replace(step, left=left, stalls=sleepy if step.kind == "sweep" else 0.0)

    return tuple(changed(step) for step in steps)


def _gap(chance: random.Random, now: int) -> int:
    kind = chance.randrange(8)
    if kind < 3:
        return now + chance.randrange(10 * SECOND)
    if kind == 3:
        return now + chance.randrange(20 * MINUTE)
    if kind == 4:
        return now + chance.randrange(2 * HOUR)
    if kind == 5:
        return now + chance.randrange(2 * DAY)
    # Just before an hour ends.
    return max(now, (now // HOUR + chance.randint(1, 2)) * HOUR - chance.randrange(3 * SECOND))


def _offsets(chance: random.Random) -> tuple[int, ...]:
    kind = chance.randrange(10)
    if kind < 3:
        return (0, 0, 0)
    most = 3 * SECOND if kind < 6 else 10 * MINUTE
    offsets = [chance.randrange(-most, most) // 2 for _ in range(3)]
    if kind == 9:
        offsets[0] = chance.choice((61 * MINUTE, 26 * HOUR, -3 * DAY, 5 * DAY))
    return tuple(offsets)
