"""Keys of messages beside all that gives, moves or frees them: one message has each, and is found by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatstore.blocking import run
from chatstore.engines.log import LogBackend
from chatstore.engines.log.claiming import Claimer
from chatstore.engines.log.claims import Claim
from chatstore.engines.log.finding import Finder
from chatstore.engines.log.layout import HOUR
from chatstore.engines.log.visiting import _Survey
from tests.conftest import SOAK
from tests.log.memory_table import MemoryTable
from tests.schedules import log as do
from tests.schedules import log_keys as by
from tests.schedules.explorer import Actor, Count, explore
from tests.schedules.log import KEY, Deterministic, SteppedTable, judge
from tests.schedules.log_cuts import append_keyed, truncate
from tests.schedules.model import Modelled

LATE = 26 * HOUR
LAST = [do.read("finally"), by.find("key", "finally find")]


def started(*, gone: bool = False) -> tuple[MemoryTable, dict[str, str], LogBackend]:
    """A thread of which one message has a key; it may be `gone`, so that its claim is void."""
    table, ids, backend = do.started(["a"], ["b"])
    drafts = [by.keyed("key", "1")]
    [message] = run(backend.append(KEY, drafts, create=None, if_match=None, request=None)).messages
    ids["key"] = message.id or ""
    if gone:
        run(by.delete("key", "before")(backend))
    return table, ids, backend


TABLES = {"new": do.started(["a"], ["b"]), "there": started(), "void": started(gone=True)}
THERE = {"new": ("a", "b"), "there": ("a", "b", "key=1"), "void": ("a", "b")}

WRITES: dict[str, Callable[[dict[str, str], str], Modelled]] = {
    "append": lambda _, who: append_keyed(f"x{who}", "key", who),
    "insert": lambda ids, who: by.insert(ids["b"], "b", "key", f"i{who}"),
    "cut and append": lambda ids, who: by.cut_and_append(ids["a"], "a", "key", f"c{who}"),
    "put": lambda _, who: by.put("key", f"p{who}"),
    "delete": lambda _, who: by.delete("key", who),
    "replace all": lambda _, who: by.replace_all("key", f"r{who}"),
}
BESIDE: dict[str, Callable[[dict[str, str]], Modelled]] = {
    "another append": lambda _: do.append("x"),
    "truncate": lambda ids: truncate(ids["a"], "a"),
    "compact": lambda _: do.compact(),
    "clear": lambda _: do.clear(),
    "delete thread": lambda _: do.delete_thread(),
    "find": lambda _: by.find("key"),
    "visit": lambda _: do.visit(),
}
PAIRS = [(one, other) for number, one in enumerate(WRITES) for other in list(WRITES)[number:]]


def actor(
    number: int, operation: Modelled, *, known: LogBackend | None = None, ahead: int = 0
) -> Actor[Modelled]:
    def backend() -> LogBackend:
        made = Deterministic(SteppedTable(), number, ahead=ahead)
        if known is not None:
            made.knowing(known)
        return made

    return Actor([operation], backend, repeats=True)


def hold(counts: list[Count], there: str, *actors: Actor[Modelled], faults: int = 0) -> None:
    count = explore(TABLES[there][0], actors, judge(THERE[there], last=LAST), faults=faults)
    counts.append(count)
    assert not count.bad, count.bad[0]
    assert count.ends


@pytest.mark.parametrize("there", TABLES)
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_that_want_a_key(one: str, other: str, there: str, counted: list[Count]) -> None:
    _, ids, known = TABLES[there]
    hold(counted, there, actor(1, WRITES[one](ids, ""), known=known), actor(2, WRITES[other](ids, "2")))


@pytest.mark.parametrize("there", TABLES)
@pytest.mark.parametrize("one", ["append", "insert", "cut and append"])
def test_who_wants_a_key_beside_every_other(one: str, there: str, counted: list[Count]) -> None:
    _, ids, known = TABLES[there]
    for other in BESIDE.values():
        hold(counted, there, actor(1, WRITES[one](ids, ""), known=known), actor(2, other(ids)))


@pytest.mark.parametrize("there", TABLES)
@pytest.mark.parametrize("one", ["append", "insert", "cut and append", *(["replace all"] if SOAK else [])])
def test_who_wants_a_key_while_one_thing_fails(one: str, there: str, counted: list[Count]) -> None:
    _, ids, known = TABLES[there]
    first = actor(1, WRITES[one](ids, ""), known=known)
    hold(counted, there, first, actor(2, append_keyed("y", "key", "2")), faults=1)


@pytest.mark.parametrize("there", ["new", "there"])
def test_three_that_want_a_key(there: str, counted: list[Count]) -> None:
    _, ids, known = TABLES[there]
    some = [WRITES["cut and append"](ids, ""), append_keyed("y", "key", "2"), do.append("z")]
    hold(counted, there, *(actor(number, one, known=known) for number, one in enumerate(some, 1)))


@pytest.mark.parametrize("one", ["append", "insert", "cut and append"])
def test_who_wants_a_key_beside_a_visit_that_removes_its_claim(one: str, counted: list[Count]) -> None:
    _, ids, _ = TABLES["void"]
    hold(
        counted,
        "void",
        actor(1, WRITES[one](ids, ""), ahead=LATE),
        actor(2, do.visit(), ahead=LATE),
        faults=1,
    )


def test_a_thread_made_by_two_with_one_key(counted: list[Count]) -> None:
    empty, drafts = MemoryTable(), append_keyed("x", "key")
    actors = [actor(1, drafts), actor(2, append_keyed("y", "key", "2")), actor(3, do.visit())]
    for faults, some in ((1, actors[:2]), (0, actors)):
        count = explore(empty, some, judge(None, last=LAST), faults=faults)
        counted.append(count)
        assert not count.bad, count.bad[0]


# What is relied on, taken out


def found_out(there: str, *writes: str, late: bool = False) -> None:
    _, ids, known = TABLES[there]
    ahead = LATE if late else 0
    made = [do.visit() if one == "visit" else WRITES[one](ids, str(n)) for n, one in enumerate(writes)]
    actors = [actor(n, one, known=None if late else known, ahead=ahead) for n, one in enumerate(made, 1)]
    assert explore(TABLES[there][0], actors, judge(THERE[there], last=LAST), faults=1).bad


def test_without_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> None: ...

    monkeypatch.setattr(Claimer, "take", never)
    found_out("new", "append", "append")


def test_a_claim_that_is_believed_without_a_look_at_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> None: ...

    monkeypatch.setattr(Finder, "claimed", never)
    found_out("there", "append", "delete")


def test_a_claim_that_forgets_a_message_which_another_slot_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    staying = Claimer._staying

    async def forgetting(*given: Any) -> tuple[str, ...]:
        await staying(*given)
        return ()

    monkeypatch.setattr(Claimer, "_staying", forgetting)
    found_out("there", "cut and append", "put")


def test_a_claim_that_goes_back_to_what_a_process_knew(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _, _ = TABLES["there"]
    _, _, stale = do.started(["a"])
    writer = actor(1, append_keyed("x", "key"), known=stale)
    assert not explore(table, [writer], judge(THERE["there"], last=LAST), faults=1).bad
    monkeypatch.setattr(Claim, "number", 0)
    assert explore(table, [writer], judge(THERE["there"], last=LAST), faults=1).bad


def test_a_visit_that_takes_a_claim_whose_slot_is_still_to_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def void(self: Any) -> int:
        self._remains.shared += [row for _, row in self._claims]
        return 0

    monkeypatch.setattr(_Survey, "_void_claims", void)
    found_out("new", "append", "visit")
