"""Identifiers carry their time, and positions leave room."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from chatstore import position
from chatstore.ids import time_of, token, uuid7

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # pragma: allowlist secret
# From 2016 until 2100, where a text is taken to carry its time.
MILLISECONDS = st.integers(1_451_606_400_000, 4_102_444_800_000 - 1)


def ulid(milliseconds: int) -> str:
    return "".join(CROCKFORD[milliseconds >> 5 * place & 31] for place in range(9, -1, -1)) + "0" * 16


def at(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


@given(MILLISECONDS)
def test_a_uuid7_is_one_and_gives_its_time_back(milliseconds: int) -> None:
    text = uuid7(milliseconds)
    parsed = uuid.UUID(text)
    assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, text)
    for form in (text, text.upper(), text.replace("-", "")):
        assert time_of(form) == at(milliseconds)


@given(MILLISECONDS, MILLISECONDS)
def test_uuid7s_sort_by_their_time(one: int, other: int) -> None:
    assert (uuid7(one)[:13] < uuid7(other)[:13]) == (one < other)


def test_uuid7s_of_a_moment_differ_and_are_of_now() -> None:
    assert len({uuid7(1_700_000_000_000) for _ in range(1000)}) == 1000
    found = time_of(uuid7())
    assert found is not None
    assert abs(found - datetime.now(UTC)) < timedelta(minutes=1)


@given(MILLISECONDS)
def test_a_ulid_gives_its_time_back(milliseconds: int) -> None:
    assert time_of(ulid(milliseconds)) == at(milliseconds)


@given(st.text(max_size=40) | st.uuids().map(str) | st.from_regex(r"[0-9A-Z]{26}", fullmatch=True))
@example("ffffffff-ffff-7fff-bfff-ffffffffffff")
@example("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
@example("00000000000000000000000000")
@example(str(uuid.UUID(int=0, version=4)))
@example(ulid(1_700_000_000_000).lower())
def test_any_other_text_carries_no_time_or_a_likely_one(text: str) -> None:
    found = time_of(text)
    assert found is None or 2016 <= found.year < 2100


def test_tokens_differ() -> None:
    tokens = {token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(re.fullmatch("[0-9a-f]{14}", one) for one in tokens)


@given(st.lists(st.floats(0, 1, exclude_max=True), max_size=60))
def test_there_is_always_room_between_two_positions(places: list[float]) -> None:
    found = [position.START, position.nth(1), position.nth(2)]
    for place in places:
        index = int(place * (len(found) - 1))
        middle = position.between(found[index], found[index + 1])
        assert found[index] < middle < found[index + 1]
        assert re.fullmatch("[0-9]{10}[0-9A-Za-z]+", middle)
        found.insert(index + 1, middle)
    assert found == sorted(set(found))
    assert all(one < position.nth(3) for one in found)


@given(st.integers(1, 10**10 - 2))
def test_appended_positions_sort_by_their_number(slot: int) -> None:
    assert position.START < position.nth(slot) < position.nth(slot + 1)
    assert position.between(position.nth(slot), position.nth(slot + 1)) < position.nth(slot + 1)


def test_one_gap_becomes_crowded_in_the_end_and_not_soon() -> None:
    for low_end in (True, False):
        low, high = position.nth(1), position.nth(2)
        count = 0
        while not position.crowded(middle := position.between(low, high)):
            low, high = (low, middle) if low_end else (middle, high)
            count += 1
        assert 400 < count < 1000
