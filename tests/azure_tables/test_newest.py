"""The newest messages of a row are read as all others are."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatstore import position
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.payload import pack
from chatstore.engines.fenced.segments import Segment, Stored, add_newest, newest_of
from chatstore.errors import CorruptData
from chatstore.ids import uuid7
from chatstore.models import Message

NOW = 1_700_000_000_123_456
PLACES = st.integers(1, 9_999_999_999).map(position.nth)


@st.composite
def kept(draw: st.DrawFn) -> Stored:
    """A message as it was appended, and one of every other kind."""
    place, text = draw(PLACES), draw(st.text(max_size=20))
    plain = Stored(layout.message_id(NOW, place), place, NOW, 0, None, text)
    changes: dict[str, Any] = draw(
        st.sampled_from(
            [
                {},
                {},
                {"revision": 3},
                {"expires": NOW},
                {"expires": NOW + 1},
                {"metadata": '{"a":1}'},
                {"key": "k"},
                {"position": f"{place}V"},
                {"id": uuid7()},
                {"created": NOW + 1000},
            ]
        )
    )
    return plain._replace(**changes)


def long_way(text: str) -> list[Message] | None:
    try:
        return [one.message() for one in reversed(Segment.load("", text).messages) if one.lives(NOW)]
    except CorruptData:
        return None


def short_way(text: str) -> list[Message] | None:
    before = Message("{}")
    found = [before]
    try:
        add_newest(found, text, NOW)
    except CorruptData:
        return None
    assert found[0] is before
    return found[1:]


@given(messages=st.lists(kept(), min_size=1, max_size=4), cut=st.integers(0, 200), put=st.text(max_size=2))
def test_the_short_way_reads_what_the_long_way_reads(messages: list[Stored], cut: int, put: str) -> None:
    text = Segment("", tuple(messages)).dump()
    living = [one.message() for one in reversed(messages) if one.lives(NOW)]
    assert short_way(text) == long_way(text) == living
    before = json.dumps(messages)
    assert short_way(before) == long_way(before) == living, "the form before, of JSON in JSON"
    damaged = text[:cut] + put + text[cut + 1 :]
    assert short_way(damaged) == long_way(damaged)


@given(
    rows=st.lists(st.lists(kept(), min_size=1, max_size=3), max_size=4),
    least=st.integers(1, 6),
    filled=st.sampled_from(["", "x" * 1100]),
    cut=st.integers(0, 400),
    put=st.text(max_size=2),
)
def test_rows_are_read_together_as_one_by_one(
    rows: list[list[Stored]], least: int, filled: str, cut: int, put: str
) -> None:
    texts = [Segment("", tuple(one._replace(text=one.text + filled) for one in row)).dump() for row in rows]
    found = newest_of([body(text) for text in texts], least)
    assert found is None or is_start_of(found, texts, least)
    usual = all(one == as_appended(one) for row in rows for one in row)
    assert found is not None or not usual
    if texts:
        texts[0] = texts[0][:cut] + put + texts[0][cut + 1 :]
        found = newest_of([body(text) for text in texts], least)
        assert found is None or is_start_of(found, texts, least)


def as_appended(one: Stored) -> Stored:
    return Stored(one.id, position.nth(layout.told_by(one.id)[1]), NOW, 0, None, one.text)


def body(text: str) -> bytes:
    found = pack("row", "attempt", text).properties["b00"] if text else b""
    assert isinstance(found, bytes)
    return found


def is_start_of(found: list[Message], texts: list[str], least: int) -> bool:
    """Whether these are the newest of all that the rows hold, and no row more than are needed."""
    whole: list[Message] = []
    for text in texts:
        if len(whole) < least:
            whole += long_way(text) or []
    return found == whole
