"""An append that goes the plain way leaves what the long way leaves."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore.contract import Draft, NewThread, Request, ThreadKey
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.attempts import Attempt, packed_rows
from chatstore.engines.fenced.changing import View
from chatstore.engines.fenced.cuts import Range
from chatstore.engines.fenced.header import MINUTE, Known, State, born, heading
from chatstore.engines.fenced.payload import pack, unpack
from chatstore.engines.fenced.plain import plainly, remembering
from chatstore.engines.fenced.plans import appended, beginning
from chatstore.engines.fenced.segments import Segment
from chatstore.engines.fenced.table import Dialect, Table
from examples.fenced_driver import MemoryDriver, MemoryGroups

NOW = 1_700_000_000_000_000
KEY = ThreadKey("default", "t", None)
PARTITION = layout.partition("default", "t")
DRAFTS = st.lists(st.text(max_size=900).map(Draft), min_size=1, max_size=16)


def state_of(tail: int, writes: int) -> State:
    view = View(KEY, PARTITION, Known(), NOW)
    state = born(None, "default", beginning(view, NewThread()), NOW)
    return state._replace(tail=tail, writes=tuple(f"{number:018x}" for number in range(writes)))


@given(
    drafts=DRAFTS,
    tail=st.integers(0, 9_999_999_000),
    passed=st.integers(0, MINUTE - NOW % MINUTE - 1),
    writes=st.integers(0, 8),
)
def test_it_writes_what_the_long_way_writes(drafts: list[Draft], tail: int, passed: int, writes: int) -> None:
    state = state_of(tail, writes)
    view = View(KEY, PARTITION, Known(state, "etag"), NOW + passed)
    plain = plainly(view, drafts)
    assert plain is not None
    with pytest.MonkeyPatch.context() as patch:
        ids = iter([one.id for one in plain.result.messages])
        patch.setattr(layout, "message_id", lambda *_: next(ids))
        change = appended(view, state, drafts, None)
    assert change.result == plain.result
    assert change.state is not None
    assert plain.state == change.state.written(plain.name)
    table = Table(MemoryDriver(MemoryGroups()), Dialect(ordered=True, group_bytes=2_700_000))
    rows, pieces = packed_rows(table, plain.name, change.put, [])
    assert (list(plain.ops), pieces) == ([heading(plain.state, "etag"), *rows], [])
    [_, row] = plain.ops
    read = Segment.load(row.row, unpack([row.properties]))
    assert [one.message() for one in read.messages] == list(plain.result.messages)


@given(drafts=DRAFTS, owner=st.sampled_from([None, "zoe"]))
def test_it_remembers_what_the_long_way_remembers(drafts: list[Draft], owner: str | None) -> None:
    own = layout.listing("default", owner)
    state = state_of(1, 0)._replace(owner=owner, listings=(own,), due=NOW)
    view = View(ThreadKey("default", "t", owner), PARTITION, Known(state, "etag"), NOW)
    plain = plainly(view, drafts)
    assert plain is not None
    request, day = Request("r", "digest", None), timedelta(days=1)
    remembered = remembering(plain, view, request, day)
    assert remembered is not None
    attempt = Attempt(
        Table(MemoryDriver(MemoryGroups()), Dialect(ordered=True, group_bytes=1)), view, plain.name
    )
    attempt.record(request, plain.result, drafts, own, NOW + 86_400_000_000, None, state.epoch)
    assert remembered.ops == [*plain.ops, *attempt.ops]
    assert remembered[:2] == plain[:2]
    for more in (state._replace(due=None), state._replace(listings=("L",))):
        assert remembering(plain._replace(state=more), view, request, day) is None


@pytest.mark.parametrize(
    "unusual",
    [
        State._replace(state_of(1, 0), deleted=NOW),
        State._replace(state_of(1, 0), expires=NOW + 1),
        State._replace(state_of(1, 0), owner="zoe"),
        State._replace(state_of(1, 0), active=NOW - MINUTE),
        State._replace(state_of(1, 0), listings=("L",) * 33),
        State._replace(state_of(1, 0), cuts=(Range("0000000001", 1),) * 32),
        None,
    ],
)
def test_whatever_is_more_goes_the_long_way(unusual: State | None) -> None:
    owner = "other" if unusual is not None and unusual.owner is not None else None
    view = View(ThreadKey("default", "t", owner), PARTITION, Known(unusual, "etag"), NOW)
    assert plainly(view, [Draft("{}")]) is None


LARGE = "".join(map(chr, random.Random(1).choices(range(0x4E00, 0x9000), k=190_000)))
"""Few enough characters, of three bytes each."""


@pytest.mark.parametrize(
    "drafts",
    [
        [Draft("{}", key="k")],
        [Draft("{}", metadata="{}")],
        [Draft("{}")] * 17,
        [Draft(LARGE)],
    ],
)
def test_so_do_messages_with_more_and_long_turns(drafts: list[Draft]) -> None:
    view = View(KEY, PARTITION, Known(state_of(1, 0), "etag"), NOW)
    assert plainly(view, drafts) is None
    assert plainly(view, [Draft("{}")]) is not None
    assert pack("r", "a", "").chunks == ()
