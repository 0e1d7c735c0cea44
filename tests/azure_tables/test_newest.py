"""The newest messages of a row are read as all others are."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatstore import position
from chatstore.engines.fenced import layout
from chatstore.engines.fenced.segments import Segment, Stored, add_newest
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
