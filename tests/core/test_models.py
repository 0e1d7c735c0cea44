"""Messages, cursors, times and what goes over a wire."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import MISSING, FrozenInstanceError, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from inspect import signature
from types import MappingProxyType
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore.codec import Json, encode
from chatstore.contract import NewThread
from chatstore.errors import InvalidCursor, InvalidMessage
from chatstore.models import (
    Appended,
    Cost,
    Cursor,
    Entries,
    Message,
    Origin,
    Page,
    Participant,
    Place,
    Thread,
    ThreadCursor,
    Window,
    from_micros,
    rfc3339,
    to_micros,
)
from tests.core.json_values import MESSAGES

ZONES = st.builds(timezone, st.integers(-14 * 60, 14 * 60).map(lambda minutes: timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001 - zones are beside
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PARTICIPANT = Participant("ada", "Ada", {"team": 1})
MESSAGE = Message('{"role":"user"}', "id", "7", AT, "e", AT, {"a": 1}, "key", Cost("toy", {}, 1))
THREAD = Thread(
    "t", "ada", "topic", {"a": [1]}, (PARTICIPANT,), AT, AT, AT, "e",
    "kind", timedelta(1), Origin("s", "m"), 7, "hello", Cost("toy", {}, 1),
)  # fmt: skip
SPENT = Cost("toy", {}, 1)
MADE = [
    MESSAGE,
    THREAD,
    PARTICIPANT,
    SPENT,
    Appended((MESSAGE,), "e", 1, "r", SPENT),
    Page((MESSAGE,), "n", "e", "t", SPENT),
    Window((MESSAGE,), "n", "e", "t", SPENT, 7, "estimate"),
    Entries("{}", "n", "e", "t", SPENT),
    NewThread("ada", "topic", {"a": 1}, (PARTICIPANT,), timedelta(1), True, "kind"),
]
THREAD_IDS = st.text(st.characters(codec="utf-8"), max_size=60)


@given(MESSAGES)
def test_a_message_gives_back_what_was_sent(data: dict[str, Json]) -> None:
    message = Message.from_dict(data)
    assert json.dumps(message.to_dict()) == json.dumps(data)
    assert (message.role, message.content) == (data["role"], data.get("content"))
    assert Message.from_dict(MappingProxyType(data)) == message


@given(MESSAGES)
def test_an_entry_keeps_apart_what_the_store_adds(data: dict[str, Json]) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    entry = Message(Message.from_dict(data).text, "id", "7", at, "etag").to_entry()
    assert list(entry) == ["id", "position", "created_at", "expires_at", "etag", "key", "metadata", "message"]
    assert [entry[name] for name in ("id", "position", "etag")] == ["id", "7", "etag"]
    assert entry["created_at"] == "2026-01-02T03:04:05.000000Z"
    assert json.dumps(entry["message"]) == json.dumps(data)
    assert Message.from_dict(data).to_entry()["created_at"] is None


@given(MESSAGES, THREAD_IDS, TIMES | st.none(), TIMES | st.none())
def test_an_entry_is_spliced_as_it_would_be_written(
    data: dict[str, Json], name: str, created: datetime | None, expires: datetime | None
) -> None:
    message = Message(Message.from_dict(data).text, name, name, created, name, expires)
    assert message.entry_text() == encode(message.to_entry())


def test_a_message_is_not_changed_by_what_is_done_to_its_dictionary() -> None:
    data: dict[str, Any] = {"role": "user", "content": ["a"]}
    message = Message.from_dict(data)
    data["content"].append("b")
    message.to_dict()["content"].append("c")
    assert message.content == ["a"]


@pytest.mark.parametrize("made", MADE, ids=lambda made: type(made).__name__)
def test_a_snapshot_is_the_frozen_dataclass_that_it_is_written_as(made: Any) -> None:
    kind = type(made)
    values = {one.name: getattr(made, one.name) for one in fields(made)}
    for name in values:
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, None)
        with pytest.raises(FrozenInstanceError):
            delattr(made, name)
    assert kind(*values.values()) == kind(**values) == replace(made) == made
    assert copy.copy(made) == copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made  # noqa: S301
    assert repr(made).startswith(f"{kind.__name__}({next(iter(values))}=")
    assert "cost" not in repr(made)
    for name, value in values.items():
        compared = name not in ("cost", "message_count", "preview")
        assert (replace(made, **{name: {"other": value}}) != made) == compared, name


@pytest.mark.parametrize("kind", [type(made) for made in MADE])
def test_a_snapshot_takes_what_its_fields_say(kind: type[Any]) -> None:
    needed = [one.name for one in fields(kind) if one.default is one.default_factory is MISSING]
    made, other = kind(*needed), kind(**dict(zip(needed, needed, strict=True)))
    assert made == other
    for one in fields(kind):
        if one.default is not MISSING:
            assert getattr(made, one.name) == one.default
        if one.default_factory is not MISSING:
            assert getattr(made, one.name) == one.default_factory()
            assert getattr(made, one.name) is not getattr(other, one.name), "each has its own"
    if needed:
        with pytest.raises(TypeError, match=rf"{kind.__name__}.__init__\(\) missing .*'{needed[-1]}'"):
            kind(*needed[:-1])
    assert get_type_hints(kind.__init__).keys() == {*signature(kind).parameters, "return"}


def test_messages_of_the_same_content_are_one_in_a_set() -> None:
    assert len({MESSAGE, replace(MESSAGE), replace(MESSAGE, metadata={}), replace(MESSAGE, id="i")}) == 3


@pytest.mark.parametrize(
    "data", [None, 7, "user", ["role"], [("role", "user")], {}, {"role": ""}, {"role": 1}, {"Role": "x"}]
)
def test_what_is_no_message_is_refused(data: Any) -> None:
    with pytest.raises(InvalidMessage, match="role"):
        Message.from_dict(data)


@given(TIMES)
def test_times_are_kept_to_the_microsecond(time: datetime) -> None:
    assert from_micros(to_micros(time)) == time
    assert datetime.fromisoformat(rfc3339(time)) == time
    assert rfc3339(time).endswith("Z")


@given(TIMES, TIMES)
def test_times_sort_as_their_texts_do(one: datetime, other: datetime) -> None:
    assert (rfc3339(one) < rfc3339(other)) == (one < other)


def test_a_time_of_another_zone_is_written_in_utc() -> None:
    noon = datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert rfc3339(noon) == "2026-06-01T06:15:00.000000Z"


@given(
    st.from_regex(r"[0-9A-Za-z]{1,64}", fullmatch=True).filter(str.isascii),
    st.from_regex(r"[0-9A-Za-z.]{1,512}", fullmatch=True).filter(str.isascii),
)
def test_cursors_and_positions_parse_to_what_they_were(epoch: str, position: str) -> None:
    cursor = Cursor.at(epoch, position)
    assert Place.parse(cursor) == Place.parse(str(cursor)) == (epoch, position)
    assert Place.parse(position) == (None, position)


@given(st.text() | st.none() | st.integers() | st.binary())
def test_any_other_text_is_no_cursor(text: Any) -> None:
    try:
        place = Place.parse(text)
    except InvalidCursor:
        return
    assert text == (place.position if place.epoch is None else Cursor.at(place.epoch, place.position))


@given(TIMES, THREAD_IDS)
def test_cursors_of_listings_parse_to_what_they_were(time: datetime, id: str) -> None:
    text = ThreadCursor(time, id).text()
    assert ThreadCursor.parse(text) == (time, id)
    assert text.isascii()
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text() | st.none() | st.integers() | st.binary() | st.from_regex(r"[\w-]{1,40}", fullmatch=True))
def test_any_other_text_is_no_cursor_of_a_listing(text: Any) -> None:
    try:
        cursor = ThreadCursor.parse(text)
    except InvalidCursor:
        return
    assert cursor.text() == text


def test_a_page_is_a_sequence_of_what_it_holds() -> None:
    page = Page((1, 2, 3))
    assert (list(page), len(page)) == ([1, 2, 3], 3)
    assert Page((1,), cost=Cost("x", {}, 1)) == Page((1,)), "what an answer cost is no part of it"
