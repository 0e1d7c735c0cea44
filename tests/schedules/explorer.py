"""Runs actors over one storage, a call at a time, in every order there is, and judges what came of each.

An actor calls operations, one after another, on a backend of its own, whose every call to the storage awaits
`stop`. Whose call is made next is a choice, and each is tried. As often as `faults` allows, a call is lost,
its answer is lost, it arrives late, or its actor is killed. An operation begins with its first call: to begin
earlier would only excuse more.

What an actor does depends on nothing but what it was told, so it does it once for all schedules in which it
is told the same; and a storage is asked the same once. A state that was met before is not gone into again.
"""

from __future__ import annotations

import contextvars
import copy
import pickle
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from chatstore.errors import Unavailable

__all__ = ["Actor", "Count", "Done", "Lost", "Storage", "explore", "stop"]

T = TypeVar("T")
O = TypeVar("O", bound=Callable[[Any], Awaitable[Any]])  # noqa: E741 - an operation

_REPETITIONS = 20
MOST_STATES = 5_000_000


class Storage(Protocol):
    """What actors share. Whoever changes it has made a copy."""

    def copy(self) -> Storage:
        """Another with the same in it."""

    def key(self) -> Hashable:
        """Equal where the same is in it."""


class Lost(Exception):
    """There was no answer to a call, which was made or was not, or will be."""


@dataclass(frozen=True, eq=False)
class _Call:
    name: str
    made: Callable[[Any], Awaitable[Any]]
    writes: bool
    eager: bool = False


class _Stop:
    """Awaiting it hands a call to the explorer, or says that an operation may begin, and gives the answer."""

    def __init__(self, call: _Call | None) -> None:
        self._call = call

    def __await__(self) -> Generator[_Call | None, Any, Any]:
        return (yield self._call)


async def stop(name: str, call: Callable[[Any], Awaitable[T]], *, writes: bool, eager: bool = False) -> T:
    """Wait until it is this call's turn to be made, on the storage that it is then given; its answer.

    One that is `eager` is made right after its actor's last one. That leaves schedules out, for longer ones.
    """
    answer: T = await _Stop(_Call(name, call, writes, eager))
    return answer


@dataclass(frozen=True)
class Actor(Generic[O]):
    """Somebody who calls `operations` one after another; with `repeats`, again after no answer.

    `backend` is called in a context of the actor's own, more than once: what it makes must do the same again.
    """

    operations: Sequence[O]
    backend: Callable[[], Any]
    repeats: bool = False

    async def act(self, results: list[Any]) -> None:
        """Do it all, and keep the results: an error's is its name. Without an answer there is none."""
        backend = self.backend()
        for operation in self.operations:
            await _Stop(None)
            for _ in range(_REPETITIONS if self.repeats else 1):
                try:
                    results.append(await operation(backend))
                except Unavailable:
                    continue
                except Exception as error:  # noqa: BLE001 - how an operation ends is for the judge
                    results.append(type(error).__name__)
                break
            else:
                return


@dataclass(frozen=True)
class Done(Generic[O]):
    """An operation that was begun: which were over before it, and its result if it came to one."""

    operation: O
    after: frozenset[int]
    result: Any = None
    over: bool = False


@dataclass
class Count:
    """What an exploration went through: states, of which so many were ends."""

    ends: int = 0
    states: int = 0
    bad: list[str] = field(default_factory=list)


class _News:
    """What an actor is told: the answer to its call, or the error that it ended in."""

    def __init__(self, answer: Any = None, error: Exception | None = None) -> None:
        self.error = error
        # It may be told the same again, and may change what it is given.
        self._answer = pickle.dumps(answer)

    @property
    def answer(self) -> Any:
        """The answer, whose it is."""
        return pickle.loads(self._answer)  # noqa: S301 - dumped here


_BEGIN = _News()
_NO_ANSWER = _News(error=Lost())


class _Running:
    """An actor that is being run."""

    def __init__(self, actor: Actor[Any], heard: Sequence[_News]) -> None:
        self.actor = actor
        self.heard: list[_News] = []
        self.results: list[Any] = []
        self.asks: _Call | None = None
        self.ended = False
        self._context = contextvars.copy_context()
        self._coroutine = actor.act(self.results)
        self._context.run(self._coroutine.send, None)
        for news in heard:
            self.tell(news)

    def __del__(self) -> None:
        # Where it is left standing it ends in its own context: what it set there is reset there.
        self._context.run(self._coroutine.close)

    def tell(self, news: _News) -> None:
        """Let it go on to its next stop."""
        self.heard.append(news)
        try:
            if news.error is not None:
                # An error that is raised again would keep the frames of every time.
                self.asks = self._context.run(self._coroutine.throw, news.error.with_traceback(None))
            else:
                self.asks = self._context.run(self._coroutine.send, news.answer)
        except StopIteration:
            self.asks, self.ended = None, True


class _Moment:
    """An actor after all that it was told: in front of a call, before an operation, or at its end."""

    def __init__(self, running: _Running) -> None:
        self.asks, self.ended, self.results = running.asks, running.ended, tuple(running.results)
        self._actor, self._heard = running.actor, tuple(running.heard)
        self.key: Hashable = repr(self.results) if self.ended else id(self)
        self._running: _Running | None = running
        self._next: dict[_News, _Moment] = {}
        self._dead: _Moment | None = None

    def told(self, news: _News) -> _Moment:
        """What becomes of the actor."""
        if news not in self._next:
            running, self._running = self._running or _Running(self._actor, self._heard), None
            running.tell(news)
            self._next[news] = _Moment(running)
        return self._next[news]

    def killed(self) -> _Moment:
        """The actor as it is, and never goes on."""
        if self._dead is None:
            self._dead = copy.copy(self)
            self._dead.asks, self._dead.ended, self._dead.key = None, True, repr(self.results)
        return self._dead


class _Place:
    """A storage as it was met."""

    def __init__(self, storage: Any, met: _Met) -> None:
        self.storage = storage
        self._met = met
        self._after: dict[_Call, tuple[_News, _Place]] = {}

    def after(self, call: _Call) -> tuple[_News, _Place]:
        """What it answers to the call, and the storage as the call leaves it."""
        if call not in self._after:
            storage = self.storage.copy() if call.writes else self.storage
            news = self._met.news(*_answer(call, storage))
            self._after[call] = news, self._met.place(storage) if call.writes else self
        return self._after[call]


class _Met:
    """Everything that was met, once: equal storages are one place, equal answers one piece of news."""

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}
        self._news: dict[str, _News] = {}

    def place(self, storage: Storage) -> _Place:
        """Where the storage is as this one."""
        key = hash(storage.key())
        if key not in self._places:
            self._places[key] = _Place(storage, self)
        return self._places[key]

    def news(self, answer: Any, error: Exception | None) -> _News:
        """What tells of this."""
        key = repr((answer, error))
        if key not in self._news:
            self._news[key] = _News(answer, error)
        return self._news[key]


class _State(NamedTuple):
    """A moment of a schedule; `began` has for each actor what was over when each of its operations began."""

    place: _Place
    moments: tuple[_Moment, ...]
    began: tuple[tuple[tuple[int, ...], ...], ...]
    late: tuple[_Call, ...]
    faults: int
    path: tuple[Any, ...]

    def key(self) -> Hashable:
        """Equal where the same can follow, and be judged the same."""
        late = tuple(sorted(map(id, self.late)))
        return id(self.place), tuple([one.key for one in self.moments]), self.began, late, self.faults

    def schedule(self) -> list[str]:
        """What happened, in its order."""
        taken, path = list[str](), self.path
        while path:
            path, actor, call, what = path
            taken.append(f"{actor} {call.name if call else 'nothing to call'}{what}")
        return taken[::-1]

    def following(self) -> Iterator[_State]:
        """What may happen next."""
        for number, moment in enumerate(self.moments):
            if moment.asks is not None and moment.asks.eager:
                yield from self._advance(number, moment)
                return
        for number, moment in enumerate(self.moments):
            if not moment.ended:
                yield from self._advance(number, moment)
        for number, call in enumerate(self.late):
            _, place = self.place.after(call)
            rest = (*self.late[:number], *self.late[number + 1 :])
            path = (self.path, "late:", call, "")
            yield _State(place, self.moments, self.began, rest, self.faults, path)

    def _advance(self, number: int, moment: _Moment) -> Iterator[_State]:
        place, began, late, faults = self.place, self.began, self.late, self.faults
        begins = moment.asks is None
        if begins:
            over = tuple([len(one.results) for one in self.moments])
            began = _with(began, number, (*began[number], over))
            moment = moment.told(_BEGIN)
        call = moment.asks

        def state(then: _Moment, what: str, place: _Place, late: tuple[_Call, ...], faults: int) -> _State:
            moments, path = _with(self.moments, number, then), (self.path, number, call, what)
            return _State(place, moments, began, late, faults, path)

        if call is None:
            yield state(moment, "", place, late, faults)
            return
        news, done = place.after(call)
        yield state(moment.told(news), "", done, late, faults)
        if faults:
            unheard = moment.told(_NO_ANSWER)
            yield state(unheard, ": lost", place, late, faults - 1)
            if call.writes:
                yield state(unheard, ": its answer lost", done, late, faults - 1)
                yield state(unheard, ": comes late", place, (*late, call), faults - 1)
            if not begins:
                yield state(moment.killed(), ": killed in front of it", place, late, faults - 1)


def explore(
    storage: Storage,
    actors: Sequence[Actor[O]],
    judge: Callable[[Any, Sequence[Done[O]]], str | None],
    *,
    faults: int = 0,
) -> Count:
    """Play every schedule until one ends badly; `judge` says what is wrong with an end, if anything."""
    count = Count()
    met: set[int] = set()
    moments = tuple(_Moment(_Running(actor, ())) for actor in actors)
    todo = [_State(_Met().place(storage), moments, ((),) * len(actors), (), faults, ())]
    while todo and not count.bad:
        state = todo.pop()
        key = hash(state.key())
        if key in met:
            continue
        met.add(key)
        assert len(met) <= MOST_STATES, f"more than {MOST_STATES} states"
        before = len(todo)
        todo += state.following()
        if len(todo) == before:
            count.ends += 1
            problem = judge(state.place.storage, _done(state, actors))
            if problem is not None:
                count.bad.append("\n".join([problem, "schedule:", *state.schedule()]))
    count.states = len(met)
    return count


def _answer(call: _Call, storage: Any) -> tuple[Any, Exception | None]:
    coroutine: Any = call.made(storage)
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return stopped.value, None
    except Exception as error:  # noqa: BLE001 - what a storage refuses is an answer too
        return None, error
    raise AssertionError("a call to a storage waits for nothing")


def _done(state: _State, actors: Sequence[Actor[O]]) -> list[Done[O]]:
    begun = [(actor, number) for actor, began in enumerate(state.began) for number in range(len(began))]
    places = {one: place for place, one in enumerate(begun)}
    done = []
    for actor, number in begun:
        over = state.began[actor][number]
        after = frozenset(places[other, before] for other, many in enumerate(over) for before in range(many))
        results = state.moments[actor].results[number : number + 1]
        done.append(Done(actors[actor].operations[number], after, *results, *[True] * len(results)))
    return done


def _with(values: tuple[T, ...], number: int, value: T) -> tuple[T, ...]:
    return (*values[:number], value, *values[number + 1 :])
