"""The forms of files that can be imported, and what becomes of what cannot."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import BinaryIO, cast

import pytest

import chatstore
from chatstore.importing import BadThread, Conversation, Status, import_threads, read_threads

HELLO = {"role": "user", "content": "hello"}
WORLD = {"role": "assistant", "content": None, "n": 1.0}


def found(text: str | bytes) -> list[Conversation | BadThread]:
    return list(read_threads(io.BytesIO(text.encode() if isinstance(text, str) else text)))


def messages(of: Conversation | BadThread) -> list[object]:
    assert isinstance(of, Conversation), of
    return [message.to_dict() for message in of.messages]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("form", "ids"),
    [
        ({"id": "a", "messages": [HELLO, WORLD]}, ["a"]),
        ({"messages": [HELLO, WORLD]}, [None]),
        ([HELLO, WORLD], [None]),
        ([{"messages": [HELLO, WORLD]}, {"id": "b", "messages": [HELLO, WORLD]}], [None, "b"]),
        ({"store": {"a": [HELLO, WORLD], "": [HELLO, WORLD]}, "class_name": "SimpleChatStore"}, ["a", ""]),
        ({"id": "a", "messages": [{"id": "x", "position": "1", "message": HELLO}, WORLD]}, ["a"]),
    ],
    ids=["thread", "openai", "messages", "threads", "llama-index", "entries"],
)
def test_one_document(form: object, ids: list[str | None], indent: int | None, mark: bytes) -> None:
    threads = found(mark + json.dumps(form, indent=indent).encode())
    assert [messages(thread) for thread in threads] == [[HELLO, WORLD]] * len(ids)
    for thread, expected in zip(threads, ids, strict=True):
        assert isinstance(thread, Conversation)
        assert thread.id == expected or (expected is None and thread.id.startswith("sha256-"))


def test_a_thread_without_an_id_is_one_of_its_own() -> None:
    one, same, other, types = found(
        "\n".join(json.dumps({"messages": each}) for each in ([HELLO], [HELLO], [WORLD], [{**WORLD, "n": 1}]))
    )
    assert isinstance(one, Conversation)
    assert isinstance(same, Conversation)
    assert isinstance(other, Conversation)
    assert isinstance(types, Conversation)
    assert len({one.id, same.id, other.id, types.id}) == 4


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "not JSON"),
        ('{"messages": [', "not JSON"),
        ("7", "a list of messages"),
        ('{"id": "a"}', "a list of messages"),
        ('{"id": 7, "messages": []}', "id is a string"),
        ('{"messages": [{"content": "x"}]}', "message 1: a message needs a role"),
        ('{"messages": [{"role": "user", "role": "tool"}]}', "'role' is said twice"),
        ('{"messages": [{"role": "user", "n": NaN}]}', "NaN"),
        ('{"messages": [{"role": "user", "content": "\\ud800"}]}', "surrogate"),
        ('{"messages": [{"role": "user", "in": ' + "[" * 99 + "]" * 99 + "}]}", "nested deeper"),
        ('{"messages": [], "participants": "ada"}', "participants are a list"),
        ('{"messages": [], "metadata": {"tools": 1}, "tools": 2}', "tools"),
        ('{"messages": [], "expires_at": "tomorrow"}', "RFC 3339"),
        ('{"messages": [], "expires_at": "2020-01-01T00:00:00Z"}', "expired"),
        ('{"messages": [], "owner": ""}', "owner cannot be empty"),
        ('{"messages": [], "participants": [{"name": "x"}]}', "a participant has an id"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_line_is_named_and_writes_nothing(line: str, reason: str, place: int) -> None:
    lines = [json.dumps({"id": name, "messages": [HELLO]}) for name in "ab"]
    lines.insert(place, line)
    with chatstore.connect("memory://") as store:
        outcomes = list(import_threads(store, io.BytesIO("\n".join(lines).encode())))
        assert {thread.id for thread in store.iter_threads()} == {"a", "b"}
    bad = outcomes.pop(place)
    assert [outcome.status for outcome in outcomes] == [Status.ADDED] * 2
    assert (bad.where, bad.status) == (f"line {place + 1}", Status.BAD)
    assert reason in (bad.reason or "")


def test_a_broken_document_is_one_bad_thread() -> None:
    [bad] = found(json.dumps([HELLO, WORLD], indent=2)[:-5])
    assert isinstance(bad, BadThread)
    assert bad.where == "line 1"


def test_a_message_as_deep_as_can_be_is_imported() -> None:
    deep: object = 1
    for _ in range(63):
        deep = [deep]
    message = {"role": "user", "in": deep}
    [thread] = found(json.dumps([{"messages": [{"id": "x", "position": "1", "message": message}]}]))
    assert messages(thread) == [message]


def test_properties_and_further_fields_are_kept() -> None:
    thread = {
        "id": "a", "topic": "T", "owner": "ada", "metadata": {"n": 1.0}, "participants": [{"id": "p"}],
        "messages": [HELLO], "tools": [{"type": "function"}], "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    with chatstore.connect("memory://") as store:
        list(import_threads(store, io.BytesIO(json.dumps(thread).encode())))
        kept = store.get_thread("a")
    assert (kept.topic, kept.owner, kept.participants[0].id) == ("T", "ada", "p")
    assert kept.metadata == {"n": 1.0, "tools": [{"type": "function"}]}


class Endless:
    """A file of as many lines as are asked for, none of them kept."""

    def __init__(self, lines: int) -> None:
        self._lines = lines

    def read(self, size: int) -> bytes:
        self._lines -= 1
        line = json.dumps({"messages": [{"role": "user", "content": "x" * 10_000}]}).encode() + b"\n"
        return line if self._lines >= 0 else b""


def test_memory_does_not_grow_with_the_file() -> None:
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_threads(cast("BinaryIO", Endless(2000)))) == 2000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # of 20 million bytes
    finally:
        tracemalloc.stop()
