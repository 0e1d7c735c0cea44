"""Rows that something else than chatstore wrote, or that a disk gave back changed."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore.store import ChatStore
from chatstore.testing.samples import say

COLUMNS = (
    *(
        f"threads.{name}"
        for name in ("owner", "topic", "metadata", "participants", "created_at", "active_at")
    ),
    *(f"threads.{name}" for name in ("expires_at", "revision", "epoch", "tail", "edits")),
    *(f"threads.{name}" for name in ("cuts", "sliding", "kind", "origin")),
    *(f"messages.{name}" for name in ("text", "created_at", "expires_at", "revision", "metadata")),
    *(f"requests.{name}" for name in ("digest", "result")),
)
VALUES = ("'[\"a secret'", "'{\"a secret\":1}'", "x'6120736563726574'", "1e300")
"""JSON that is cut off, JSON of another kind than is meant, bytes, and a number."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "chat.db"
    with chatstore.connect(f"sqlite:///{path}") as store:
        store.create_thread(
            "t",
            topic="a topic",
            owner="ada",
            metadata={"a": 1},
            participants=[{"id": "ada"}],
            ttl=timedelta(days=1),
            sliding=True,
            request_id="made",
        )
        for _ in range(2):
            store.append("t", say("a"), expires_in=timedelta(hours=1))
        store.append("t", say("b"), request_id="appended")
    return path


@pytest.fixture
def damaged(made: Path, tmp_path: Path) -> Callable[[str, str], str]:
    def damage(column: str, value: str) -> str:
        path = tmp_path / "chat.db"
        shutil.copyfile(made, path)
        table, _, name = column.partition(".")
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute(f"UPDATE {table} SET {name} = {value}")  # noqa: S608 - a test's own
        return f"sqlite:///{path}"

    return damage


def calls(store: ChatStore) -> Iterator[Callable[[], Any]]:
    yield lambda: store.get_thread("t")
    yield lambda: list(store.iter_threads())
    yield lambda: store.list_threads(metadata={"a": 1})
    yield lambda: store.read("t")
    yield lambda: store.read_entries("t")
    yield lambda: store.read("t", last=1, max_bytes=10)
    yield lambda: [message.role for message in store.window("t", max_tokens=100)]
    yield lambda: store.append("t", say("b"), request_id="appended")
    yield lambda: store.append("t", say("c"))
    yield lambda: store.replace_all("t", [say("a")])
    yield lambda: store.replace_all("t", [say("a")], metadata={"a": 1})
    yield lambda: store.update_thread("t", metadata={"b": 1})
    yield lambda: store.fork("t", "copy")
    yield lambda: store.pop("t")
    yield store.sweep


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", VALUES)
def test_damage_is_an_error_of_ours_and_says_nothing_of_what_is_stored(
    damaged: Callable[[str, str], str], column: str, value: str
) -> None:
    with chatstore.connect(damaged(column, value)) as store:
        for call in calls(store):
            told = ""
            try:
                call()
            except chatstore.ChatStoreError as error:
                told = "".join(traceback.format_exception(error))
            assert "secret" not in told


@pytest.mark.parametrize(
    ("column", "call", "named"),
    [
        ("threads.metadata", lambda store: store.get_thread("t"), "thread 't'"),
        ("threads.participants", lambda store: store.list_threads(), "thread 't'"),
        ("messages.text", lambda store: store.read("t").items[0].role, "message '"),
        (
            "requests.result",
            lambda store: store.append("t", say("b"), request_id="appended"),
            "request 'appended'",
        ),
    ],
)
def test_damaged_json_is_corrupt_data_that_names_its_row(
    damaged: Callable[[str, str], str], column: str, call: Callable[[ChatStore], object], named: str
) -> None:
    url = damaged(column, VALUES[0])
    with chatstore.connect(url) as store, pytest.raises(chatstore.CorruptData, match=named):
        call(store)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("text", "x'7b7d'"),
        ("text", "x'ff'"),
        ("metadata", "'[1'"),
        ("metadata", "'[1]'"),
        ("metadata", "x'7b7d'"),
        ("key", "x'6b'"),
        ("expires_at", "1e300"),
    ],
)
@pytest.mark.parametrize("given", [{}, {"max_bytes": 10}])
@pytest.mark.parametrize("read", [ChatStore.read, ChatStore.read_entries])
def test_a_damaged_message_is_on_no_page(
    damaged: Callable[[str, str], str],
    column: str,
    value: str,
    given: dict[str, int],
    read: Callable[..., object],
) -> None:
    one = "WHERE position = (SELECT min(position) FROM messages)"
    with chatstore.connect(damaged(f"messages.{column}", f"{value} {one}")) as store:
        with pytest.raises(chatstore.CorruptData, match="message '"):
            read(store, "t", **given)
        read(store, "t", last=1)


def test_a_text_of_another_type_is_damage(made: Path, tmp_path: Path) -> None:
    """The column makes text of a number, so only a disk that changed a row gives one back."""
    shutil.copyfile(made, tmp_path / "chat.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "chat.db")) as db:
        db.execute("PRAGMA writable_schema = on")
        other, back = ("text TEXT", "text BLOB"), ("text BLOB", "text TEXT")
        change = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'messages'"
        for step in ((change, other), ("PRAGMA schema_version = 9001", ())):
            db.execute(*step)
        db.commit()
        db.execute("PRAGMA writable_schema = reset")
        db.execute("UPDATE messages SET text = 7 WHERE position = (SELECT min(position) FROM messages)")
        db.commit()
        db.execute("PRAGMA writable_schema = on")
        db.execute(change, back)
        db.commit()
    with chatstore.connect(f"sqlite:///{tmp_path}/chat.db") as store:
        for most in (None, 10):
            for read in (store.read, store.read_entries):
                with pytest.raises(chatstore.CorruptData, match="message '"):
                    read("t", max_bytes=most)
