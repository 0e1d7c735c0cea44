"""What ranges of rows that were cut away say."""

from __future__ import annotations

from chatstore.engines.fenced.cuts import Range, around, first_of, vacant, with_cut
from chatstore.position import nth

CUTS = (Range(nth(3), 5), Range(nth(8), 9))


def test_a_cut_begins_at_its_message_or_right_behind_it() -> None:
    assert first_of(nth(3), behind=False) == nth(3) < first_of(nth(3), behind=True) < nth(4)


def test_a_cut_takes_in_those_behind_it() -> None:
    assert with_cut(CUTS, nth(7), 12) == (CUTS[0], Range(nth(7), 12))
    assert with_cut(CUTS, nth(8), 12) == (CUTS[0], Range(nth(8), 12))


def test_slots_around_cuts_leave_out_what_is_empty() -> None:
    assert list(around(CUTS, 1, 12)) == [(1, 2), (6, 7), (10, 12)]
    assert list(around(CUTS, 3, 9)) == [(6, 7)]


def test_the_vacant_slot_lies_between_two_positions() -> None:
    assert vacant(CUTS, nth(2), nth(7)) == nth(6)
    assert vacant(CUTS, nth(6), nth(7)) is None
