"""What LlamaIndex's messages may hold, and what other clients' become: all of it back, or refused."""

from __future__ import annotations

import base64
import dataclasses
import enum
from collections import deque
from collections.abc import Callable
from datetime import date
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from pydantic import BaseModel, ConfigDict

import chatstore
from chatstore.errors import CorruptData, InvalidMessage
from chatstore.integrations.llama_index import LlamaIndexChatStore
from chatstore.integrations.llama_index.messages import read, write
from tests.integrations.conftest import Fresh
from tests.integrations.llama import COLOURS, face, said

SIGNATURE = b"\x8a\x01\xd6"
PLACES: dict[str, Callable[[Any], ChatMessage]] = {
    "thinking": lambda value: ChatMessage(
        blocks=[ThinkingBlock(content="hm", additional_information={"thought_signature": value})]
    ),
    "tool call": lambda value: ChatMessage(
        role="assistant", blocks=[ToolCallBlock(tool_name="f", tool_kwargs={"deep": [{"image": value}]})]
    ),
    "additional_kwargs": lambda value: said("x", deep=[{"value": value}]),
    "inside a citable block": lambda value: ChatMessage(
        blocks=[CitableBlock(title="t", source="s", content=[TextBlock(text="c")])],
        additional_kwargs={"value": value},
    ),
}  # fmt: skip


def back(message: ChatMessage) -> ChatMessage:
    return read([write(message)])[0]


@pytest.mark.parametrize("colour", COLOURS)
def test_bytes_in_free_fields_come_back_equal_on_every_backend(fresh: Fresh, colour: str) -> None:
    values = (SIGNATURE, b"", b"plain text", bytes(range(256)))
    messages = [PLACES[place](value) for place in PLACES for value in values]
    with face(fresh(), colour) as store:
        store.set_messages("k", messages)
        assert store.get_messages("k") == messages
        store.set_messages("k", store.get_messages("k"))
        assert store.get_messages("k") == messages


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.binary()
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=settings().max_examples // 2)
@given(value=VALUES, place=st.sampled_from(sorted(PLACES)))
def test_whatever_json_and_bytes_can_say_comes_back_type_included(value: Any, place: str) -> None:
    message = PLACES[place](value)
    assert repr(back(message)) == repr(message)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class OpenMessage(ChatMessage):
    model_config = ConfigDict(extra="allow")


@dataclasses.dataclass
class Point:
    x: Any


class Odd(enum.Enum):
    NAN = float("nan")


NAN = float("nan")
LOST = {
    "NaN": NAN,
    "infinity": float("-inf"),
    "a pydantic extra field": Open.model_validate({"x": NAN}),
    "a nested model": Open.model_validate({"x": Open.model_validate({"y": [NAN]})}),
    "a dataclass": Point(NAN),
    "a dataclass in a dataclass": Point([Point(NAN)]),
    "a set": {NAN},
    "a frozenset": frozenset([NAN]),
    "a deque": deque([NAN]),
    "a tuple in a deque": deque([(1, NAN)]),
    "an enum": Odd.NAN,
    "a mapping": MappingProxyType({"x": NAN}),
    "a key": {NAN: 1},
    "a key of bytes": {b"x": 1},
    "two keys of one text": {1: "a", "1": "b"},
    "a bytearray": bytearray(b"x"),
    "a memoryview": memoryview(b"x"),
    "an object": object(),
    "half a surrogate": "\ud800",
    "what stands for bytes": {"chatstore:bytes": "eA=="},
}


@pytest.mark.parametrize("value", LOST)
@pytest.mark.parametrize("place", PLACES)
def test_what_would_be_lost_is_refused_wherever_it_stands(value: str, place: str) -> None:
    with chatstore.connect("memory://") as plain:
        store = LlamaIndexChatStore.from_store(plain)
        with pytest.raises(InvalidMessage):
            store.add_message("k", PLACES[place](LOST[value]))
        assert store.get_keys() == []


def test_a_generator_and_a_list_in_itself_are_refused_or_kept_whole() -> None:
    with pytest.raises(InvalidMessage, match=r"nan at additional_kwargs\.thing"):
        write(said("x", thing=(each for each in [1.0, NAN])))
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidMessage):
        write(said("x", thing=endless))
    assert back(said("x", thing=(each for each in [1, 2]))).additional_kwargs == {"thing": [1, 2]}


def test_a_message_of_a_users_own_class_with_nan_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidMessage, match="score"):
        write(OpenMessage.model_validate({"role": "user", "content": "x", "score": NAN}))


def test_what_has_a_form_of_its_own_keeps_it() -> None:
    found = back(said("x", day=date(2026, 1, 2), point=Point(1), odd={1: "a"}, several=(1, 2), one={3}))
    assert found.additional_kwargs == {
        "day": "2026-01-02", "point": {"x": 1}, "odd": {"1": "a"}, "several": [1, 2], "one": [3],
    }  # fmt: skip


DATA = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
UNKNOWN = {"type": "hologram", "depth": 3}
PARTS: dict[str, tuple[Any, list[Any], bool]] = {
    "text": ([{"type": "text", "text": "hi"}], [TextBlock(text="hi")], True),
    "two texts": (
        [{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}],
        [TextBlock(text="a"), TextBlock(text="b")],
        True,
    ),
    "plain text in a list": (["hi"], [TextBlock(text="hi")], True),
    "text that says more": (
        [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}],
        [TextBlock(text="hi")],
        False,
    ),
    "text with an id": ([{"type": "text", "text": "hi", "id": "x"}], [TextBlock(text="hi")], False),
    "a picture by its url": (
        [{"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}],
        [ImageBlock(url="https://example.com/a.png", detail="low")],
        True,
    ),
    "a picture as it came later": (
        [{"type": "input_image", "image_url": "https://example.com/a.png"}],
        [ImageBlock(url="https://example.com/a.png")],
        True,
    ),
    "a picture's bytes": (
        [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}],
        [ImageBlock(image=DATA.encode(), image_mimetype="image/png")],
        True,
    ),
    "a document by its url": (
        [{"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}],
        [DocumentBlock(url="https://example.com/a.pdf")],
        True,
    ),
    "sound": (
        [{"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}],
        [AudioBlock(audio=DATA.encode(), format="wav")],
        True,
    ),
    "thinking": (
        [{"type": "thinking", "thinking": "hm", "signature": "s"}],
        [ThinkingBlock(content="hm", additional_information={"signature": "s"})],
        True,
    ),
    "a call": (
        [{"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}}],
        [ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs={"x": 1})],
        True,
    ),
    "a result": ([{"type": "tool_result", "tool_use_id": "c", "content": "1"}], [], False),
    "an unknown part between others": (
        [{"type": "text", "text": "a"}, UNKNOWN, {"type": "text", "text": "b"}],
        [TextBlock(text="a"), TextBlock(text="b")],
        False,
    ),
    "a part that is none": ([None, 7, [], {"text": "x"}], [], False),
    "a url that is none": ([{"type": "image_url", "image_url": {"url": "not a url"}}], [], False),
    "a text that is none": ([{"type": "text", "text": 7}], [], False),
    "a type that is none": ([{"type": ["text"], "text": "x"}], [], False),
    "an object": ({"parts": ["x"]}, [], False),
    "a number": (7, [], False),
    "no parts": ([], [], True),
}


@pytest.mark.parametrize("case", PARTS)
def test_parts_become_blocks_and_what_they_cannot_say_is_kept_and_given_back(case: str) -> None:
    content, blocks, whole = PARTS[case]
    with chatstore.connect("memory://") as plain:
        store = LlamaIndexChatStore.from_store(plain)
        plain.append(
            "k", {"role": "user", "content": "before"}, {"role": "user", "content": content, "name": "ada"}
        )
        for _ in range(2):
            found = store.get_messages("k")
            assert [block.model_dump() for block in found[1].blocks] == [
                block.model_dump() for block in blocks
            ]
            kept = {} if whole else {"content": content}
            assert found[1].additional_kwargs == {"name": "ada", **kept}
            store.set_messages("k", found)


def test_a_role_that_it_does_not_know_is_still_corrupt() -> None:
    with chatstore.connect("memory://") as plain:
        plain.append("k", {"role": "narrator", "content": [{"type": "text", "text": "x"}]})
        with pytest.raises(CorruptData):
            LlamaIndexChatStore.from_store(plain).get_messages("k")


@pytest.mark.parametrize("colour", COLOURS)
def test_what_is_not_there_is_none(fresh: Fresh, colour: str) -> None:
    with face(fresh(), colour) as store:
        assert store.delete_last_message("k") is None
        store.set_messages("k", [])
        assert store.delete_last_message("k") is None
        store.add_message("k", said("a"))
        assert [store.delete_message("k", index) for index in (1, -2, 99, -99)] == [None] * 4
        assert store.delete_last_message("k") == said("a")
        assert store.delete_last_message("k") is None
        assert store.delete_message("k", 0) is None
        assert store.delete_message("k", -1) is None
        assert store.get_keys() == ["k"]
