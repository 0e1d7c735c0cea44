"""Runs actors over a table one storage call at a time, in every order there is, and checks what they saw.

An actor is a list of operations on a backend of its own. Wherever it calls the table for a thread's
rows it stops, and the explorer chooses who goes on: each choice is tried. It may also kill an
actor, drop a call, lose its answer, or deliver it later; `faults` says how many such things may
happen in one schedule. A state that was met before is not gone into again. At the end of each schedule the
thread is read, and there must be an order of the operations that explains every result.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from chatstore.errors import Unavailable
from chatstore.log import Key, Row, Rows, Table
from tests.log.memory_table import MemoryTable

T = TypeVar("T")
State = Any
"""What the model is in; anything that compares and hashes."""

MOST_STATES = 400_000


class Operation(NamedTuple):
    """One call: what it does to the store, and what it does to the model.

    `step` gives the model's state afterwards and the result that must have been seen.
    """

    name: str
    call: Callable[[Any], Awaitable[Any]]
    step: Callable[[State], tuple[State, Any]]


@dataclass
class Done:
    """An operation that was called: which were over before it, and its result if it came to one."""

    operation: Operation
    after: frozenset[int]
    result: Any = None
    over: bool = False


@dataclass
class Count:
    """What an exploration went through."""

    schedules: int = 0
    states: int = 0
    bad: list[str] = field(default_factory=list)


class _Stop:
    """A call that waits to be let go."""

    def __init__(self, *, writes: bool) -> None:
        self.writes = writes


class _Fate:
    """Hands a stop to the explorer; awaiting it gives what is to become of the call."""

    def __init__(self, stop: _Stop) -> None:
        self._stop = stop

    def __await__(self) -> Generator[_Stop, str, str]:
        return (yield self._stop)


class SteppedTable(Table):
    """A table that stops before each call for a thread's rows."""

    def __init__(self, table: MemoryTable, run: _Run, actor: int) -> None:
        self._table = table
        self._run = run
        self._actor = actor

    async def query(
        self,
        pk: str,
        low: str,
        high: str,
        *,
        limit: int,
        newest: bool = False,
        after: str | None = None,
        stale: bool = False,
    ) -> Rows:
        async def call() -> Rows:
            return await self._table.query(pk, low, high, limit=limit, newest=newest, after=after)

        return await self._stepped(pk, call, writes=False)

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        return await self._stepped(keys[0].pk, lambda: self._table.get(keys), writes=False)

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        return await self._stepped(str(row["pk"]), lambda: self._table.put_new(row, free=free), writes=True)

    async def swap(self, row: Row, version: int | None) -> bool:
        return await self._stepped(str(row["pk"]), lambda: self._table.swap(row, version), writes=True)

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        first = puts[0]["pk"] if puts else deletes[0].pk
        await self._stepped(str(first), lambda: self._table.write(puts, deletes), writes=True)

    async def ping(self) -> None: ...

    async def pause(self, seconds: float) -> None: ...

    async def close(self) -> None: ...

    async def _stepped(self, pk: str, call: Callable[[], Awaitable[T]], *, writes: bool) -> T:
        if not pk.startswith("T#"):
            # Lists only point to threads: nobody reads them here, so their order makes no difference.
            return await call()
        fate = await _Fate(_Stop(writes=writes))
        if fate == "late":
            self._run.late.append(call)
        if fate in ("drop", "late"):
            self._run.told(self._actor, "nothing")
            raise Unavailable("no answer")
        result = await call()
        if fate == "lose":
            self._run.told(self._actor, "nothing")
            raise Unavailable("no answer")
        self._run.told(self._actor, repr(result))
        return result


class _Run:
    """One schedule, played from its beginning."""

    def __init__(self, start: MemoryTable, actors: Sequence[Actor], faults: int) -> None:
        self.table = start.copy()
        self.done: list[Done] = []
        self.late: list[Callable[[], Awaitable[Any]]] = []
        self.faults = faults
        self._heard = [0] * len(actors)
        self._waiting: dict[int, _Stop] = {}
        self._tasks: dict[int, Coroutine[_Stop, str | None, None]] = {}
        self._backends: list[Any] = []
        for index, actor in enumerate(actors):
            self._backends.append(actor.backend(SteppedTable(self.table, self, index)))
        self._actors = actors
        self._idle = set(range(len(actors)))

    def told(self, actor: int, what: str) -> None:
        """Note what an actor got to know: with the same news it does the same."""
        self._heard[actor] = hash((self._heard[actor], what))

    def choices(self) -> list[tuple[str, int]]:
        """What may happen next."""
        found = [("go", index) for index in (*self._idle, *self._waiting)]
        found += [("deliver", number) for number in range(len(self.late))]
        if self.faults:
            for index, stop in self._waiting.items():
                found.append(("kill", index))
                found += [(fate, index) for fate in ("drop", "lose", "late") if stop.writes]
        return found

    def take(self, choice: tuple[str, int]) -> None:
        """Let it happen."""
        what, index = choice
        if what == "deliver":
            coroutine: Any = self.late.pop(index)()
            try:
                coroutine.send(None)
            except StopIteration:
                return
            raise AssertionError
        if what != "go":
            self.faults -= 1
        if what == "kill":
            self._waiting.pop(index)
            self._tasks[index].close()
            return
        first = index in self._idle
        if first:
            self._idle.discard(index)
            self._tasks[index] = self._acting(self._actors[index], self._backends[index])
        self._waiting.pop(index, None)
        try:
            self._waiting[index] = self._tasks[index].send(None if first else what)
        except StopIteration:
            return

    def end(self) -> None:
        """Leave everybody where they are."""
        for task in self._tasks.values():
            task.close()

    def key(self) -> int:
        """What the rest of the schedule depends on."""
        rows = frozenset(
            (pk, sk, row.get("v"), row.get("b"))
            for pk, part in self.table.rows.items()
            if pk.startswith("T#")
            for sk, row in part.items()
        )
        past = tuple(sorted((one.operation.name, one.after, one.over, repr(one.result)) for one in self.done))
        return hash((rows, tuple(self._heard), frozenset(self._idle), frozenset(self._waiting), past,
                     len(self.late), self.faults))  # fmt: skip

    async def _acting(self, actor: Actor, backend: Any) -> None:
        for operation in actor.operations:
            over = frozenset(number for number, one in enumerate(self.done) if one.over)
            done = Done(operation, over)
            self.done.append(done)
            for _ in range(20):
                try:
                    done.result = await operation.call(backend)
                except Unavailable:
                    if not actor.repeats:
                        return
                    continue
                done.over = True
                break


@dataclass(frozen=True)
class Actor:
    """Somebody who calls `operations` one after another; with `repeats`, again after no answer."""

    operations: Sequence[Operation]
    backend: Callable[[Table], Any]
    repeats: bool = True


def explore(
    start: MemoryTable,
    actors: Sequence[Actor],
    state: State,
    final: Operation,
    backend: Callable[[Table], Any],
    *,
    faults: int = 0,
    most: int = MOST_STATES,
) -> Count:
    """Play every schedule; `final` is called when all is over, on a backend of its own."""
    count = Count()
    met: set[int] = set()
    todo: list[tuple[tuple[str, int], ...]] = [()]
    while todo:
        prefix = todo.pop()
        run = _Run(start, actors, faults)
        for choice in prefix:
            run.take(choice)
        path = list(prefix)
        while True:
            key = run.key()
            if key in met:
                break
            met.add(key)
            choices = run.choices()
            if not choices:
                count.schedules += 1
                problem = _judge(run, state, final, backend)
                if problem is not None:
                    count.bad.append(f"{problem}\nschedule: {path}")
                break
            todo += [(*path, other) for other in choices[1:]]
            run.take(choices[0])
            path.append(choices[0])
        run.end()
        count.states = len(met)
        if count.bad or count.states > most:
            break
    return count


def _judge(run: _Run, state: State, final: Operation, backend: Callable[[Table], Any]) -> str | None:
    last = Done(final, frozenset(number for number, one in enumerate(run.done) if one.over), over=True)
    coroutine: Any = final.call(backend(run.table))
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        last.result = stopped.value
    operations = [*run.done, last]
    if explained(operations, state):
        return None
    return "\n".join(
        f"{number}: {one.operation.name} after {sorted(one.after)} -> {one.result if one.over else 'unknown'}"
        for number, one in enumerate(operations)
    )


def explained(operations: Sequence[Done], state: State) -> bool:
    """Whether the operations can have happened one after another, each within its time.

    One that never came to a result may have happened, at any time after it began, or not at all.
    """
    everything = frozenset(range(len(operations)))
    over = frozenset(number for number in everything if operations[number].over)
    seen: set[tuple[frozenset[int], State]] = set()
    todo = [(frozenset[int](), state)]
    while todo:
        placed, now = todo.pop()
        if over <= placed:
            return True
        if (placed, now) in seen:
            continue
        seen.add((placed, now))
        for number in everything - placed:
            one = operations[number]
            if not one.after <= placed:
                continue
            then, result = one.operation.step(now)
            if not one.over or result == one.result:
                todo.append((placed | {number}, then))
    return False
