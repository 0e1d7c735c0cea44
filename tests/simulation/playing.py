"""Plays a history from its plan and judges it; makes one that fails smaller, and tells what happened."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import random
import re
import secrets
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from chatstore.clocks import FURTHEST, ServerClock
from chatstore.contract import Backend, Span, ThreadKey
from chatstore.engines.fenced import layout
from chatstore.engines.fenced import messages as fenced_messages
from chatstore.engines.fenced import writing as fenced_writing
from chatstore.engines.log import deciding as log_deciding
from chatstore.engines.sql import steps as sql_steps
from chatstore.models import from_micros
from tests.simulation import fading, listed, traces
from tests.simulation.acting import ADDS, WRITES, Op
from tests.simulation.clients import Clients
from tests.simulation.judging import Undecided, explained, made_again, operations_on, sent_again
from tests.simulation.model import Rules
from tests.simulation.plan import OWNERS, Plan, owner_name
from tests.simulation.storages import Storage
from tests.simulation.telling import told
from tests.simulation.world import DAY, HOUR, LATE, MINUTE, SECOND, Endless, Faults, Process, World

__all__ = ["Failure", "play", "shrunk"]

_TENANTS = re.compile(r"N / |A#[^#]+ / !")
"""Rows that tell of tenants alone, and stay."""

FINAL = 900
_FURTHEST = FURTHEST // datetime.timedelta(microseconds=1)


@dataclass
class Failure:
    """What is wrong with a history: which promise, how so, and the operations."""

    promise: str
    why: str
    ops: list[Op]
    plan: Plan

    def __str__(self) -> str:
        lines = [f"seed {self.plan.seed}: {self.promise}: {self.why}"]
        lines.append(
            f"clocks ahead by {[offset / SECOND for offset in self.plan.offsets]} s; {self.plan.faults}"
        )
        lines += [
            told(op)
            for op in sorted(self.ops, key=lambda op: op.start)
            if op.number < FINAL or op in self.tail
        ]
        return "\n".join(lines)

    @property
    def tail(self) -> list[Op]:
        """The last looks at the threads, without the lists and sweeps between them."""
        return [op for op in self.ops if op.kind in ("get", "read") and op.number >= FINAL][-6:]


@dataclass
class Verdict:
    """What came of a history."""

    failure: Failure | None
    ops: Sequence[Op]
    undecided: int

    @property
    def operations(self) -> int:
        """How many there were before all was over."""
        return sum(op.number < FINAL for op in self.ops)

    @property
    def told(self) -> str:
        """All of it, a line each."""
        return "\n".join(map(told, self.ops))


class _Wrong(Exception):
    def __init__(self, promise: str, why: str) -> None:
        super().__init__(promise, why)
        self.promise, self.why = promise, why


def play(plan: Plan, storage: Storage) -> Verdict:
    """Play a history to its end and judge it."""
    if storage.one_clock:
        plan = replace(plan, offsets=(0,) * len(plan.offsets))
    with _seeded(plan.seed), closing(storage):
        history = _History(plan, storage)
        try:
            history.play()
            failure = None
        except _Wrong as wrong:
            failure = Failure(wrong.promise, wrong.why, history.actors.ops, plan)
        except Endless:
            failure = Failure("ends", "it does not come to an end", history.actors.ops, plan)
        return Verdict(failure, history.actors.ops, history.undecided)


def shrunk(failure: Failure, storage: Callable[[], Storage], tries: int = 150) -> Failure:
    """The same failure with fewer operations."""
    best = failure
    for size in (16, 8, 4, 2, 1):
        at = 0
        while at < len(best.plan.steps) and tries > 0:
            tries -= 1
            steps = best.plan.steps[:at] + best.plan.steps[at + size :]
            found = play(replace(best.plan, steps=steps), storage()).failure
            if found is not None and found.promise == best.promise:
                best = found
            else:
                at += size
    return best


class _History:
    def __init__(self, plan: Plan, storage: Storage) -> None:
        self.plan = plan
        self.storage = storage
        self.undecided = 0
        self.world = World(plan.steps[0].at if plan.steps else 0, plan.faults)
        self.processes = [Process(number, offset) for number, offset in enumerate(plan.offsets)]
        self.actors = Clients(self.world, self.processes, self._open)
        self.actors.erased = self._erased
        self.tolerance = (4 * MINUTE if plan.faults.slow else 10 * SECOND) * bool(any(plan.offsets)) + SECOND

    def play(self) -> None:
        for step in self.plan.steps:
            self.actors.begin(step, self.plan.seed, self.plan.large)
        self.world.run()
        # The network heals, and what was late has arrived.
        self.world.faults = Faults()
        self.world.now += LATE + MINUTE
        self._refused_sweeps()
        for process in self.processes:
            process.life += 1
        sane = [one for one in self.processes if abs(one.offset) < HOUR]
        self._sound()
        for op in [one for one in self.actors.ops if one.kind == "erase" and one.unknown]:
            # Who gets no answer erases again.
            self._final(sane[0], self.actors.erase(906, sane[0], op.key.tenant, cast("str", op.key.owner)))
        # What was deleted by one that was killed may be listed until a sweep comes by.
        self._look(sane, exact=self.plan.faults.share == 0)
        self._sweep_for_days(sane)
        shown: set[str] = set()
        living = self._look(sane, exact=True, shown=shown)
        self._judge()
        # Who lists may have found what leads to nothing.
        self._sweep_for_days(sane[:1])
        dead = [key for key in self.actors.threads if key not in living]
        for trace in (
            traces.of_threads(self.storage, self.actors, dead),
            traces.of_texts(self.storage, self.actors, shown),
        ):
            if trace is not None:
                raise _Wrong("traces", f"after days of sweeps {trace}")
        self._erase_all(sane, living)

    # The end

    def _look(
        self, processes: list[Process], *, exact: bool, shown: set[str] | None = None
    ) -> dict[ThreadKey, Any]:
        """All threads as they are found, and in lists those that are, and no other if they are `exact`.

        What their messages say is put into `shown`.
        """
        living = {}
        process = processes[0]
        for key in self.actors.threads:
            got = self._final(process, self.actors.get(900, process, key))
            read = self._final(process, self.actors.read(901, process, key, Span(limit=1000)))
            if got.ok:
                living[key] = got.result
            if shown is not None and read.ok:
                shown.update(self.actors.labels[one.text] for one in read.result.items)
            if got.ok != (read.result.etag is not None):
                raise _Wrong("threads", f"{key.id} is there and is not: {told(got)} {told(read)}")
        # Whoever is killed, or gets no answer, leaves the note of activity to whoever comes next. A note that
        # was slow to arrive may be of an earlier try than the one that is there.
        late = 4 * MINUTE if self.plan.faults.slow else 0
        tolerance = self.tolerance + late if self.plan.faults.share == 0 else None
        listed.complete(self._lists(processes), living, tolerance, _Wrong, self._tried, exact=exact)
        return living

    def _tried(self, key: ThreadKey, at: datetime.datetime, near: datetime.timedelta) -> bool:
        """Whether somebody tried then to add to a thread, and a try at least came to nothing.

        One that was repeated had perhaps come to something before, which its answer does not tell.
        """
        return any(
            from_micros(op.start) - near <= at <= from_micros(op.end) + near
            for op in self.actors.ops
            if op.kind in ADDS and op.key._replace(owner=None) == key and not (op.ok and op.request is None)
        )

    def _lists(self, processes: list[Process]) -> Iterator[tuple[str, str | None, list[Any]]]:
        turns = itertools.cycle(processes)
        for tenant in sorted({key.tenant for key in self.actors.threads}):
            for owner in (None, *(owner_name(tenant, one) for one in OWNERS)):
                process = next(turns)
                got = self._final(process, self.actors.list(902, process, tenant, owner, 3))
                yield tenant, owner, got.result

    def _final(self, process: Process, act: Coroutine[Any, Any, Op]) -> Op:
        op = self.actors.do(process, act)
        self._sound()
        if op.unknown:
            raise _Wrong("ends", f"no answer though nothing is wrong any more: {told(op)}")
        return op

    def _sound(self) -> None:
        if self.actors.wrong:
            raise _Wrong(*self.actors.wrong[0])

    def _refused_sweeps(self) -> None:
        for op in self.actors.ops:
            if op.kind == "sweep" and op.ok and abs(self.plan.offsets[op.process]) > _FURTHEST:
                raise _Wrong("sweeps", f"one by a clock that is far off did not refuse: {told(op)}")

    def _sweep_for_days(self, processes: list[Process]) -> None:
        for process in itertools.islice(itertools.cycle(processes), 4):
            self.world.now += DAY + HOUR + 7 * MINUTE
            for _ in range(50):
                swept = self._final(process, self.actors.sweep(903, process))
                if not swept.result.more:
                    break

    def _judge(self) -> None:
        actors = self.actors
        listed.during(actors.ops, self.tolerance, _Wrong)
        requests: dict[str, int] = {}
        for op in actors.ops:
            if op.kind == "fork" and op.request is not None:
                requests[op.request] = requests.get(op.request, 0) + 1
        for op in actors.ops:
            if op.kind == "fork" and requests.get(op.request or "", 0) > 1:
                op.given["again"] = True
        rules = Rules(
            self.tolerance, actors.labels, actors.roots, actors.keys, actors.places, actors.ids,
            sent_again(actors.ops),
        )  # fmt: skip
        for key in actors.threads:
            if key.id.startswith(fading.NAME):
                own = operations_on(actors.ops, key)
                if fault := fading.fault(own, self.tolerance):
                    raise _Wrong("fading", f"{key.id}: {fault}")
                continue
            ops = [
                op
                for op in operations_on(actors.ops, key)
                if not (op.unknown and op.kind in ("read", "get", "find", "fork"))
            ]
            born = [op for op in ops if op.kind == "born"]
            if key.id.startswith("fork-") and not (born and "copied" in born[0].given["from"].given):
                continue
            try:
                well, best = explained(ops, rules)
            except Undecided:
                self.undecided += 1
                continue
            if not well and made_again(ops):
                # An erasure forgets that a fork was made, and so a repetition makes it again.
                self.undecided += 1
                continue
            if not well:
                lines = "\n".join(told(op) for op in ops if op not in best)
                raise _Wrong("order", f"no order explains {key.tenant}/{key.id}; not placed are\n{lines}\n--")

    def _erased(self, erasure: Op) -> None:
        """After one beside which nobody wrote, nothing of its owner is there."""
        for op in self.actors.ops:
            mine = op.key.tenant == erasure.key.tenant and op.key.owner in (None, erasure.key.owner)
            if mine and op.kind in WRITES and op.end >= erasure.start:
                return
        self._nothing_of({cast("str", erasure.key.owner)}, self.storage.late)

    def _nothing_of(self, owners: Collection[str], late: Collection[str] = ()) -> None:
        trace = traces.of_owners(self.storage, self.actors, owners, late)
        if trace is not None:
            self.actors.wrong.append(("erased", f"after an erasure {trace}"))

    def _erase_all(self, processes: list[Process], living: dict[ThreadKey, Any]) -> None:
        process = processes[-1]
        pairs = sorted({(tenant, owner) for tenant, owner in self.actors.owners.values()})
        pairs = sorted(
            {*pairs, *((key.tenant, thread.owner) for key, thread in living.items() if thread.owner)}
        )
        for tenant, owner in pairs:
            self._final(process, self.actors.erase(904, process, tenant, owner))
        self._nothing_of({owner for _, owner in pairs})
        self._sound()
        for key, thread in living.items():
            if thread.owner is None:
                self._final(process, self.actors.end(905, process, key))
        self._sweep_for_days(processes)
        for _ in self._lists(processes):
            pass
        self._sweep_for_days(processes[:1])
        for name, body in self.storage.rows():
            if _TENANTS.match(name):
                continue
            raise _Wrong("empty", f"all was deleted and swept, and there is {name} {body[:200]!r}")

    def _open(self, process: Process) -> Backend:
        return self.storage.backend(self.world, process, self._clock(process))

    def _clock(self, process: Process) -> ServerClock:
        world = self.world
        return ServerClock(lambda: world.now + process.offset, lambda: world.now)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Randomness that is the same for a seed."""
    chance = random.Random(seed)
    state = random.getstate()
    random.seed(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_hex", lambda count: chance.randbytes(count).hex())
        patch.setattr(layout, "urandom", chance.randbytes)
        # Histories are short: so a cut of two messages is far from their end, five cuts are many, and a step
        # of SQLite's ends after its first rows.
        patch.setattr(fenced_messages, "_NEAR", 1)
        patch.setattr(fenced_writing, "CUTS", 5)
        patch.setattr(log_deciding, "MOST_CUTS", 5)
        patch.setattr(sql_steps, "STEP_SECONDS", -1)
        yield
    random.setstate(state)
