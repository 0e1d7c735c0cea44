"""A try whose answer was lost is told apart, and its rows go into one group."""

from __future__ import annotations

import random

import pytest

from chatstore.contract import Draft, ThreadKey
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.attempts import Attempt, packed_rows
from chatstore.engines.fenced.changing import View
from chatstore.engines.fenced.header import Known, State
from chatstore.engines.fenced.segments import Segment, new_message
from chatstore.engines.fenced.table import Dialect, Table
from chatstore.errors import Unavailable
from chatstore.position import nth
from examples.fenced_driver import MemoryDriver, MemoryGroups

NOW = 1_700_000_000_000_000
TABLE = Table(MemoryDriver(MemoryGroups()), Dialect(ordered=True, group_bytes=100_000))
VIEW = View(
    ThreadKey("default", "t", None),
    layout.partition("default", "t"),
    Known(State("e", writes=("known",))),
    NOW,
)
EIGHT = tuple(f"w{number}" for number in range(8))


@pytest.mark.parametrize("now", [None, State("e", writes=EIGHT)])
def test_an_outcome_that_nothing_tells_is_unknown(now: State | None) -> None:
    attempt = Attempt(TABLE, VIEW, "mine")
    assert not attempt.took_place(now, lost=False)
    with pytest.raises(Unavailable, match="the outcome is unknown"):
        attempt.took_place(now, lost=True)


def test_a_header_that_remembers_enough_tells_the_outcome() -> None:
    attempt = Attempt(TABLE, VIEW, "mine")
    assert attempt.took_place(State("e", writes=("other", "mine", "known")), lost=True)
    assert not attempt.took_place(State("e", writes=("other", "known")), lost=True)
    assert not attempt.took_place(State("e", writes=(*EIGHT[:7], "known")), lost=True)


@pytest.mark.parametrize("earlier", [None, State("e")])
def test_where_nothing_was_written_before_a_header_that_is_not_full_tells(earlier: State | None) -> None:
    attempt = Attempt(TABLE, VIEW._replace(known=Known(earlier)), "mine")
    assert not attempt.took_place(State("e", writes=EIGHT[:7]), lost=True)
    with pytest.raises(Unavailable, match="outcome is unknown"):
        attempt.took_place(State("e", writes=EIGHT), lost=True)


@pytest.mark.parametrize(("rows", "pieces"), [(1, False), (12, True)])
def test_rows_hold_their_messages_themselves_where_a_group_takes_them(rows: int, *, pieces: bool) -> None:
    noise = random.Random(3)
    segments = [
        Segment.of("e", [new_message(Draft(noise.randbytes(10_000).hex()), nth(slot), NOW)])
        for slot in range(1, rows + 1)
    ]
    written, beside = packed_rows(TABLE, "mine", segments, [])
    assert TABLE.fits(written)
    assert bool(beside) == pieces
