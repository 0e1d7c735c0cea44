"""JSON is kept exactly, or refused with a reason."""

from __future__ import annotations

import enum
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore.codec import MAX_DEPTH, Json, decode, encode, is_object, parse, parse_texts
from chatstore.errors import CorruptData, InvalidMessage
from chatstore.models import Entries, Message, Page
from tests.core.json_values import TEXT, VALUES


def nested(levels: int, *, objects: bool) -> Json:
    value: Json = {} if objects else []
    for _ in range(levels - 1):
        value = {"a": value} if objects else [value]
    return value


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@given(VALUES)
def test_what_is_encoded_decodes_to_the_same_json_text(value: Json) -> None:
    assert json.dumps(decode(encode(value))) == json.dumps(value)


@given(VALUES)
def test_what_is_written_by_others_parses_to_the_same(value: Json) -> None:
    for text in (
        json.dumps(value),
        json.dumps(value, ensure_ascii=False).encode(),
        json.dumps(value, indent=1),
    ):
        assert json.dumps(parse(text)) == json.dumps(value)


@given(VALUES)
def test_encoded_text_is_compact_and_stays_the_same(value: Json) -> None:
    text = encode(value)
    assert encode(decode(text)) == encode(parse(text)) == text
    assert len(text) <= len(json.dumps(value, ensure_ascii=False))


def test_one_and_one_point_zero_and_true_are_three_things() -> None:
    assert [encode(value) for value in (1, 1.0, True, -0.0)] == ["1", "1.0", "true", "-0.0"]


def test_subclasses_are_written_as_what_they_hold() -> None:
    assert encode([Colour.RED, Level.LOW, (1, 2)]) == '["red",1,[1,2]]'


@pytest.mark.parametrize("objects", [True, False])
def test_depth_is_limited_on_both_ways_in(objects: bool) -> None:
    deepest, too_deep = nested(MAX_DEPTH, objects=objects), nested(MAX_DEPTH + 1, objects=objects)
    assert decode(encode(deepest)) == parse(json.dumps(deepest)) == deepest
    for refused in (
        lambda: encode(too_deep),
        lambda: parse(json.dumps(too_deep)),
        lambda: parse("[" * 10**5),
    ):
        with pytest.raises(InvalidMessage, match="nested deeper than 64 levels"):
            refused()


def test_a_value_inside_itself_is_too_deep() -> None:
    value: list[Json] = []
    value.append(value)
    with pytest.raises(InvalidMessage, match="nested deeper"):
        encode(value)


REFUSED: list[tuple[Any, str]] = [
    (float("nan"), "nan"),
    (float("inf"), "inf"),
    ({"a": [0, float("-inf")]}, r"at 'a'\[1\] holds -inf"),
    (b"x", "binary.*base64"),
    (bytearray(b"x"), "binary.*base64"),
    ({1: "a"}, "the key 1"),
    ({"a": {None: 1}}, "at 'a' has the key None"),
    ("a\ud800", "lone surrogate at character 1"),
    ({"\udfff": 1}, "lone surrogate"),
    ({"a": [{"b": {1, 2}}]}, r"at 'a'\[0\].'b' is of type set"),
    (object(), "of type object"),
    (1 + 2j, "of type complex"),
    (10**5000, "cannot be written"),
]


@pytest.mark.parametrize(("value", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_json_cannot_carry_is_refused_by_its_place(value: Any, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=reason) as refused:
        encode(value, "the thing")
    assert str(refused.value).startswith("the thing ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[1] 2", "is not JSON"),
        ("{'a': 1}", "is not JSON"),
        ('{"a": 1, "a": 1}', "has the key 'a' twice"),
        ('[{"b": {"a": 1, "c": 2, "a": 3}}]', "has the key 'a' twice"),
        ("NaN", "holds NaN"),
        ("[-Infinity]", "holds -Infinity"),
        ("1e999", "too large"),
        ("-1e999", "too large"),
        ("9" * 5000, "is not JSON"),
        ('"\\ud800"', "lone surrogate"),
        ('{"\\udc00": 1}', "lone surrogate"),
        (b'"\xff"', "not UTF-8: .* at byte 1"),
        (b"\xff\xfe1\x00", "not UTF-8"),
        ("\ufeff1", "is not JSON"),
    ],
)
def test_text_that_would_come_back_changed_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=reason) as refused:
        parse(text, "the line")
    assert str(refused.value).startswith("the line ")


@given(st.text() | st.binary())
def test_any_text_is_taken_exactly_or_refused(text: str | bytes) -> None:
    try:
        value = parse(text)
    except InvalidMessage:
        return
    if "-0" not in json.dumps(value):
        assert json.dumps(value) == json.dumps(json.loads(text))


NUMBERS = [
    "-0", "-0.0", "1e-400", "-1e-400", "10000000000000000.1", "9007199254740993.0", "0.10000000000000001",
    "0.1000000000000000055511151231257827021181583404541015625", "1e-99999999999999999999999", "5e-325",
    "123456789012345678901234567890.5", "-9007199254740993.0", "3.14159265358979323846264338327950288",
    "1.7976931348623157081e308", "10000000.0000000001",
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_no_float_is_stays_as_it_was_written(number: str) -> None:
    text = f'{{"role":"user","n":{number},"in":[[{number}],"-0",{{"k":{number}}}]}}'
    assert encode(parse(text)) == encode(decode(text)) == text
    assert Message(text).to_entry()["message"]["n"] == float(number)
    assert f'"message":{text}}}' in Message(text).entry_text()


@given(st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?\Z"))
def test_every_number_keeps_its_value_and_its_sign_or_is_refused(number: str) -> None:
    try:
        kept = encode(parse(number))
    except InvalidMessage as refused:
        assert "too large" in str(refused)  # noqa: PT017 - one of two outcomes
        assert math.isinf(float(number))
        return
    assert (Decimal(kept), kept.startswith("-")) == (Decimal(number), number.startswith("-"))
    assert encode(decode(kept)) == kept


def test_where_no_text_is_kept_such_a_number_is_refused() -> None:
    with pytest.raises(InvalidMessage, match=r"metadata holds the number 1e-400.*string"):
        encode(parse('{"a": [1e-400]}'), "metadata", floats_only=True)
    assert encode({"a": 0.1}, "metadata", floats_only=True) == '{"a":0.1}'


@given(TEXT, VALUES, VALUES)
def test_a_key_said_twice_is_always_refused(key: str, first: Json, second: Json) -> None:
    name = json.dumps(key)
    with pytest.raises(InvalidMessage, match="twice"):
        parse(f"{{{name}: {json.dumps(first)}, {name}: {json.dumps(second)}}}")


@given(st.lists(VALUES, max_size=3))
def test_parts_of_what_was_parsed_are_written_as_they_are_encoded(values: list[Json]) -> None:
    for text in (json.dumps(values), json.dumps(values, ensure_ascii=False, indent=1).encode()):
        parts, write = parse_texts(text)
        assert [write(part) for part in parts] == [encode(value) for value in values]


def test_parts_with_numbers_between_floats_are_written_as_they_were() -> None:
    text = f'[{{"n":[{",".join(NUMBERS)}],"m":1.5}},"a"]'
    [first, second], write = parse_texts(text)
    assert [write(first), write(second)] == [text[1:-5], '"a"']


def test_a_part_may_be_as_deep_as_a_value_by_itself() -> None:
    for levels, objects in ((MAX_DEPTH, True), (MAX_DEPTH, False)):
        deepest, deeper = nested(levels, objects=objects), nested(levels + 1, objects=objects)
        [part], write = parse_texts(json.dumps([deepest]), around=2)
        assert write(part) == encode(deepest)
        [part], write = parse_texts(json.dumps([deeper]), around=2)
        with pytest.raises(InvalidMessage, match="nested deeper"):
            write(part)


DAMAGED = [
    "", "{", "}", "[]", '"role"', "1", "null", "{'role':1}", "{role:1}", '{"role":01}', '{"role":+1}',
    '{"role":1,}', '{"role":tru}', '{"role":NaN}', '{"role" "user"}', '{"role":"user"', '{"role":"user"}}',
    '{"role":"user"},{}', '{"role":"user"} ', '{"role":"user"}\0', '{"role":"a\0"}', '{"role":"a\n"}',
    '{"role":"\\x"}', '{"role":"\\u12"}',
]  # fmt: skip


@pytest.mark.parametrize("text", [*DAMAGED, None, b"{}"])
def test_what_is_no_object_is_told_from_one(text: object) -> None:
    assert not is_object(text)


@given(st.dictionaries(TEXT, VALUES, max_size=3))
def test_every_object_is_one(value: dict[str, Json]) -> None:
    assert is_object(encode(value))


@pytest.mark.parametrize("text", DAMAGED)
def test_a_message_whose_text_is_damaged_does_not_get_into_a_page(text: str) -> None:
    damaged = Message(text, "an id")
    with pytest.raises(CorruptData, match="'an id' is damaged"):
        damaged.entry_text()
    with pytest.raises(CorruptData):
        Entries.of(Page((Message('{"role":"user"}', "another"), damaged)))
