"""What cannot be kept of a file is named and takes nothing else with it; no two threads are taken for one."""

from __future__ import annotations

import gzip
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

import chatstore
from chatstore import ChatStore
from chatstore.importing import BadThread, Conversation, Outcome, Status, import_threads, read_threads
from tests.cli.running import Cli

HELLO = '{"role": "user", "content": "hello"}'
LONE = "\ud83d"
VALUES = {
    "NaN": ("NaN", "NaN"),
    "infinity": ("-Infinity", "Infinity"),
    "too large": ("1e400", "1e400"),
    "too small a number below zero": ("-1e999", "-1e999"),
    "half a surrogate": ('"\\ud83d"', "surrogate"),
    "the other half": ('{"\\udc00": 1}', "surrogate"),
    "a doubled key": ('{"a": 1, "a": 2}', "twice"),
    "an equal doubled key": ('{"a": 1, "a": 1}', "twice"),
    "depth 70": ("[" * 70 + "]" * 70, "nested deeper"),
    "depth of objects": ('{"a":' * 70 + "1" + "}" * 70, "nested deeper"),
    "depth 100,000": ("[" * 100_000 + "]" * 100_000, "nested deeper"),
    "5,000 digits": ("7" * 5000, "5,000 digits"),
    "5,000 digits below zero": ("-" + "7" * 5000, "too large"),
}
SHAPES = {
    "SimpleChatStore": '{"store": {"a": [%s], "b": [%s], "c": [%s]}, "class_name": "SimpleChatStore"}',
    "list": '[{"id": "a", "messages": [%s]}, {"id": "b", "messages": [%s]}, {"id": "c", "messages": [%s]}]',
    "lines": '{"id": "a", "messages": [%s]}\n{"id": "b", "messages": [%s]}\n{"id": "c", "messages": [%s]}',
    "message a line": "%s\n%s\n%s",
}


def imported(store: ChatStore, text: str | bytes) -> list[Outcome]:
    return list(import_threads(store, io.BytesIO(text.encode() if isinstance(text, str) else text)))


def found(text: str | bytes) -> list[Conversation | BadThread]:
    return list(read_threads(io.BytesIO(text.encode() if isinstance(text, str) else text)))


def lengths(store: ChatStore) -> dict[str, int]:
    return {thread.id: len(list(store.iter_messages(thread.id))) for thread in store.iter_threads()}


@pytest.mark.parametrize("shape", ["SimpleChatStore", "list", "lines"])
@pytest.mark.parametrize("value", VALUES)
def test_one_value_takes_no_other_message_with_it(shape: str, value: str) -> None:
    bad, reason = VALUES[value]
    messages = f'{HELLO}, {{"role": "user", "content": {bad}}}, {HELLO}'
    with chatstore.connect("memory://") as store:
        outcomes = imported(store, SHAPES[shape] % (HELLO, messages, HELLO))
        assert lengths(store) == {"a": 1, "b": 2, "c": 1}
        assert [outcome.status for outcome in outcomes] == [Status.ADDED] * 3
        [named] = outcomes[1].damage
        assert named.startswith("message 2: ")
        assert reason in named
        assert not outcomes[0].damage
        again = imported(store, SHAPES[shape] % (HELLO, messages, HELLO))
        assert {outcome.status for outcome in again} == {Status.UNCHANGED}
        assert again[1].damage == outcomes[1].damage


@pytest.mark.parametrize("shape", ["SimpleChatStore", "list", "lines"])
@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('{"content": "x"}', "needs a role"),
        ('{"role": null, "content": "x"}', "needs a role"),
        ('{"role": ""}', "needs a role"),
        ('{"role": {}}', "needs a role"),
        ("7", "not int"),
        ("null", "not NoneType"),
        ('"hello"', "not str"),
        ("[]", "not list"),
        ('{"message": HELLO, "redact_message": HELLO, "message_id": 0}',
         "'redact_message', 'message_id'"),
        ('{"message": HELLO}', "beside it nothing"),
        ('{"message": HELLO, "id": "x", "created_at": "2026-01-01"}', "'id', 'created_at'"),
        ('{"message": HELLO, "id": 7, "position": "1"}', "'id', 'position'"),
        ('{"message": HELLO, "id": "x", "position": "1", "note": 1}', "'note'"),
    ],
)  # fmt: skip
def test_a_message_that_is_none_is_named_and_left_out(shape: str, message: str, reason: str) -> None:
    messages = ", ".join([HELLO, message.replace("HELLO", HELLO), HELLO])
    with chatstore.connect("memory://") as store:
        outcomes = imported(store, SHAPES[shape] % (HELLO, messages, HELLO))
        assert lengths(store) == {"a": 1, "b": 2, "c": 1}
    [named] = outcomes[1].damage
    assert named.startswith("message 2: ")
    assert reason in named


def test_the_commands_exit_code_and_its_words_say_what_was_left_out(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "store.json"
    file.write_text(SHAPES["SimpleChatStore"] % (HELLO, f'{HELLO}, {{"role": "user", "n": NaN}}', HELLO))
    url = f"sqlite:///{tmp_path}/chat.db"
    for _ in range(2):
        done = cli("import", file, "--to", url)
        assert done.code == 1
        assert "key 'b': damaged: message 2: the message at 'n' holds NaN" in done.err


@pytest.mark.parametrize(
    ("properties", "kept"),
    [
        ('"topic": NaN', {}),
        ('"topic": "x", "topic": "y"', {}),
        ('"metadata": {"good": 1, "bad": 1e400}', {"good": 1}),
        ('"metadata": {"good": 1, "b\\ud800": 2}', {"good": 1}),
        ('"participants": [{"id": "\\ud800"}]', {}),
        ('"tools": [NaN], "seed": 7', {"seed": 7}),
        (f'"tools": "{"x" * 70_000}", "seed": 7', {"seed": 7}),
    ],
)
def test_a_property_that_cannot_be_kept_does_not_take_the_messages(properties: str, kept: object) -> None:
    with chatstore.connect("memory://") as store:
        [outcome] = imported(store, f'{{"id": "a", {properties}, "messages": [{HELLO}]}}')
        assert lengths(store) == {"a": 1}
        assert store.get_thread("a").metadata == kept
    [named] = outcome.damage
    assert "left out" in named


@pytest.mark.parametrize(
    "needed",
    [
        '"id": "\\ud800"',
        '"id": NaN',
        '"id": "a", "owner": "\\ud800"',
        '"id": "a", "owner": "ada", "owner": "bob"',
        '"id": "a", "expires_at": NaN',
        '"id": "a", "messages": []',
    ],
)
def test_without_its_id_owner_or_expiry_a_thread_is_bad_alone(needed: str) -> None:
    with chatstore.connect("memory://") as store:
        lines = f'{{"messages": [{HELLO}], {needed}}}\n{{"id": "b", "messages": [{HELLO}]}}'
        assert [outcome.status for outcome in imported(store, lines)] == [Status.BAD, Status.ADDED]
        assert lengths(store) == {"b": 1}


@pytest.mark.parametrize("shape", ["lines", "list"])
def test_threads_that_differ_in_anything_or_are_equal_are_all_threads(shape: str) -> None:
    message = json.loads(HELLO)
    several: list[dict[str, object]] = [
        {}, {}, {}, {"owner": "ada"}, {"owner": "bob"}, {"owner": "bob"}, {"topic": "x"}, {"topic": "y"},
        {"metadata": {"n": 1}}, {"metadata": {"n": 1.0}}, {"n": 1}, {"participants": [{"id": "p"}]},
        {"expires_at": "2099-01-01T00:00:00Z"}, {"expires_at": "2098-01-01T00:00:00Z"},
    ]  # fmt: skip
    threads = [{**properties, "messages": [message]} for properties in several]
    text = json.dumps(threads) if shape == "list" else "\n".join(map(json.dumps, threads))
    with chatstore.connect("memory://") as store:
        assert {outcome.status for outcome in imported(store, text)} == {Status.ADDED}
        assert set(lengths(store).values()) == {1}
        kept = [store.get_thread(thread.id) for thread in store.iter_threads()]
        assert len(kept) == len(several)
        assert sorted(thread.owner or "" for thread in kept)[-3:] == ["ada", "bob", "bob"]
        assert {outcome.status for outcome in imported(store, text)} == {Status.UNCHANGED}
        assert len(lengths(store)) == len(several)


def test_an_id_that_stands_twice_is_taken_for_one_only_where_all_else_is_equal() -> None:
    with chatstore.connect("memory://") as store:
        lines = [
            {"id": "a", "owner": owner, "messages": [json.loads(HELLO)]} for owner in ("ada", "ada", "bob")
        ]
        outcomes = imported(store, "\n".join(map(json.dumps, lines)))
        assert [outcome.status for outcome in outcomes] == [Status.ADDED, Status.UNCHANGED, Status.BAD]
        assert "earlier thread with other properties" in (outcomes[2].reason or "")


@pytest.mark.parametrize(
    ("time_", "reason"),
    [
        ("0001-01-01T00:00:00+14:00", "outside the years"),
        ("9999-12-31T23:59:59-14:00", "outside the years"),
        ("0001-01-01T00:00:00Z", "expired at 0001-01-01"),
        ("9999-12-31T23:59:59Z", "36,525 days"),
        ("2099-01-01T00:00:00", "time zone"),
        ("2099-13-01T00:00:00Z", "RFC 3339"),
        (4102444800, "RFC 3339"),
        (True, "RFC 3339"),
    ],
)
def test_a_time_that_cannot_be_kept_makes_its_thread_bad_alone(time_: object, reason: str) -> None:
    bad = {"id": "a", "expires_at": time_, "messages": [json.loads(HELLO)]}
    with chatstore.connect("memory://") as store:
        outcomes = imported(store, json.dumps(bad) + f'\n{{"id": "b", "messages": [{HELLO}]}}')
        assert [outcome.status for outcome in outcomes] == [Status.BAD, Status.ADDED]
        assert reason in (outcomes[0].reason or "")
        assert lengths(store) == {"b": 1}


def test_a_messages_own_expiry_is_kept_and_what_has_expired_stays_away() -> None:
    def entry(number: int, expires_at: str | None) -> dict[str, object]:
        message = {"role": "user", "content": f"{number}"}
        return {"id": f"{number}", "position": f"{number}", "expires_at": expires_at, "message": message}

    entries = [entry(1, None), entry(2, "2001-01-01T00:00:00Z"), entry(3, "2098-01-01T00:00:00+01:00")]
    with chatstore.connect("memory://") as store:
        text = json.dumps({"id": "a", "messages": entries})
        [outcome] = imported(store, text)
        kept = list(store.read("a"))
        assert [message.content for message in kept] == ["1", "3"]
        assert kept[0].expires_at is None
        assert kept[1].expires_at is not None
        assert abs(kept[1].expires_at.timestamp() - 4039369200) < 60
        assert outcome.damage == ("1 of its messages have expired, the first of them number 2",)
        [again] = imported(store, text)
        assert again.status is Status.UNCHANGED


class Unending:
    """A file that goes on as long as it is read."""

    def __init__(self, start: bytes, rest: bytes) -> None:
        self._pieces: Iterator[bytes] = iter([start])
        self._rest = rest

    def read(self, size: int) -> bytes:
        return next(self._pieces, self._rest)


@pytest.mark.parametrize("start", [b'{"messages": [', b"[", b'"', b"x", b'{"id": "a", "messages": []}\n['])
def test_a_line_without_an_end_is_named_and_ends_the_import(start: bytes) -> None:
    source = cast("BinaryIO", Unending(start, b"1," * 50_000))
    bad = list(read_threads(source, max_bytes=1_000_000))
    assert isinstance(bad[-1], BadThread)
    assert "has no end" in bad[-1].reason
    assert f"line {1 + start.count(10)}" in bad[-1].reason
    assert len([one for one in bad if isinstance(one, Conversation)]) == start.count(10)


def test_a_long_line_is_named_and_those_behind_it_are_read() -> None:
    threads = [{"id": name, "messages": [{"role": "user", "content": "x" * size}]} for name, size in
               [("a", 10), ("b", 3_000_000), ("c", 10)]]  # fmt: skip
    text = "\n".join(map(json.dumps, threads)).encode()
    first, long, last = read_threads(io.BytesIO(text), max_bytes=1_000_000)
    assert isinstance(first, Conversation)
    assert isinstance(last, Conversation)
    assert isinstance(long, BadThread)
    assert long.where == "line 2"
    assert "longer than 1,000,000 bytes" in long.reason
    [document] = read_threads(io.BytesIO(json.dumps(threads, indent=1).encode()), max_bytes=1_000_000)
    assert isinstance(document, BadThread)
    assert "longer than 1,000,000 bytes" in document.reason


PLAIN = "\n".join(
    f'{{"id": "{name}", "messages": [{{"role": "user", "content": "ü€😀"}}]}}' for name in "abc"
)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "encoded",
    [
        lambda text: text.encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.encode("utf-32"),
        lambda text: text.encode("utf-32-be"),
        lambda text: gzip.compress(text.encode()),
        lambda text: gzip.compress(text.encode("utf-16")),
        lambda text: gzip.compress(gzip.compress(text.encode())),
        lambda text: gzip.compress(text[:50].encode()) + gzip.compress(text[50:].encode()) + b"\0" * 512,
        lambda text: text.replace("\n", "\r\n").encode(),
    ],
)
def test_whatever_a_file_is_written_in(encoded: object, indent: int | None) -> None:
    threads = [json.loads(line) for line in PLAIN.splitlines()]
    text = PLAIN if indent is None else json.dumps(threads, indent=indent, ensure_ascii=False)
    several = found(encoded(text))  # type: ignore[operator]
    assert [one.id for one in several if isinstance(one, Conversation)] == ["a", "b", "c"]
    assert {one.messages[0].content for one in several if isinstance(one, Conversation)} == {"ü€😀"}


LONG = "".join(
    f'{{"id": "{n}", "messages": [{{"role": "user", "content": "{n * 7919}"}}]}}\n' for n in range(5000)
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(LONG.encode())[:-1000], "breaks off"),
        (gzip.compress(LONG.encode())[:-4], "breaks off"),
        (gzip.compress(LONG.encode())[:-8] + b"\0" * 8, "is gzip and damaged"),
        (LONG.encode("utf-16")[:-1], "is UTF-16 and damaged"),
    ],
)
def test_of_a_file_that_is_damaged_as_a_whole_what_came_before_is_kept(data: bytes, reason: str) -> None:
    *threads, last = found(data)
    assert isinstance(last, BadThread)
    assert last.where == "the file"
    assert reason in last.reason
    assert len(threads) > 1000
    assert all(isinstance(thread, Conversation) for thread in threads)


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"PK\x03\x04\x14\x00" + b"\n" * 300, "ZIP archive: unpack it"),
        (b"SQLite format 3\0" + b"\n" * 300, "llama-index+sqlite://"),
        (b"(\xb5/\xfd" + b"\n\0" * 300, "unzstd"),
        (b"BZh9" + b"\n" * 300, "bunzip2"),
        (b"\xfd7zXZ\0" + b"\n" * 300, "unxz"),
        (b"PAR1" + b"\n" * 300, "Parquet"),
        (b"%PDF-1.7\n" * 300, "PDF"),
        (b"\x80\x04\x95" + b"\n" * 300, "pickle"),
        (b"<!DOCTYPE html>\n" * 300, "HTML"),
        (b"role,content,time\n" * 300, "CSV"),
        (b"role\tcontent\ttime\n" * 300, "tab-separated"),
        (b"role;content;time\n" * 300, "CSV"),
        (b"messages:\n- role: user\n" * 300, "YAML"),
        (b"# Chat\n\nhello\n" * 300, "Markdown"),
        (b"user: hello\nassistant: hi\n" * 300, "text, but not JSON"),
        (b"{'role': 'user'}\n" * 300, "begins like JSON"),
        (b"\x89PNG\r\n\x1a\n\0\0\0" * 300, "binary"),
        (b'{"level": "info", "text": "x"}\n' * 300, "'level', 'text'"),
        (json.dumps([{"question": 1, "answer": 2}] * 300).encode(), "'question', 'answer'"),
        (b"1\n2\n" * 300, "a number"),
        (b'{"version": 1}', "'version'"),
    ],
)  # fmt: skip
def test_a_file_of_no_known_form_is_one_error_that_says_what_it_looks_like(data: bytes, looks: str) -> None:
    [bad] = found(data)
    assert isinstance(bad, BadThread)
    assert looks in bad.reason


def test_bytes_that_are_no_utf8_damage_their_own_message_alone() -> None:
    messages = b'{"role": "user", "content": "caf\xe9"}, ' + HELLO.encode()
    with chatstore.connect("memory://") as store:
        outcomes = imported(
            store,
            b'[{"id": "a", "messages": [%b]}, {"id": "b", "messages": [%b]}]' % (messages, HELLO.encode()),
        )
        assert lengths(store) == {"a": 1, "b": 1}
    assert len(outcomes[0].damage) == 1


def test_tolerance_costs_no_more_than_a_few_readings() -> None:
    text = SHAPES["list"] % (HELLO, '{"role": "user", "n": NaN}', ", ".join([HELLO] * 50_000))
    began = time.perf_counter()
    assert len(found(text)) == 3
    assert time.perf_counter() - began < 30
