"""Threads of every kind, messages' keys and metadata, and origins: through a backup, a copy, an export."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import chatstore
from chatstore.backends.memory import MemoryBackend
from chatstore.backup import Backup, Chosen, compare, kept_threads, restore_threads, write_backup
from chatstore.exporting import export_threads
from chatstore.http.app import create_app
from chatstore.importing import Status, import_threads
from chatstore.models import Thread
from chatstore.store import AsyncChatStore, ChatStore
from tests.http.serving import serving

HELLO = {"role": "user", "content": "hello"}


@pytest.fixture
def source() -> ChatStore:
    store = ChatStore(MemoryBackend())
    store.append(
        "trip", HELLO, HELLO, key=["first", None], metadata=[None, {"rating": 5.0, "none": None}], owner="ada"
    )
    store.append("state", HELLO, kind="state", ttl=3600, sliding=True, owner="ada")
    store.fork("trip", "fork", through="key:first")
    return store


def everything(store: ChatStore) -> list[tuple[object, ...]]:
    return sorted(
        (thread.id, thread.kind, thread.sliding, thread.forked_from, thread.expires_at, _said(store, thread))
        for thread in store.iter_threads(kind=None)
    )


def _said(store: ChatStore, thread: Thread) -> list[tuple[object, ...]]:
    return [(one.id, one.text, one.key, dict(one.metadata)) for one in store.read(thread.id)]


def test_a_backup_has_all_of_it(source: ChatStore, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    with path.open("wb") as file:
        assert write_backup(source, Chosen(), file).threads == 3
    target = ChatStore(MemoryBackend())
    assert [one.status.value for one in restore_threads(target, Backup(path).threads(Chosen()))] == [
        "added"
    ] * 3
    assert everything(target) == everything(source)
    assert compare(target, kept_threads(source, Chosen())).equal
    target.update_message("trip", "key:first", metadata={"other": 1})
    assert compare(target, kept_threads(source, Chosen())).differing == [("default", "trip")]


def test_a_backup_of_before_is_read_as_it_is(source: ChatStore, tmp_path: Path) -> None:
    written = io.BytesIO()
    write_backup(source, Chosen(), written)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    for line in lines:
        if line["kind"] == "thread":
            for name in ("kind", "sliding", "forked_from"):
                del line["thread"][name]
        for item in line.get("items", ()):
            item.pop("key", None)
            item.pop("metadata", None)
    path = tmp_path / "old"
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    target = ChatStore(MemoryBackend())
    list(restore_threads(target, Backup(path).threads(Chosen())))
    assert {thread.kind for thread in target.iter_threads(kind=None)} == {"chat"}
    assert [message.key for message in target.read("trip")] == [None, None]


def test_a_copy_goes_through_a_service(source: ChatStore) -> None:
    backend = MemoryBackend()
    with serving(create_app(AsyncChatStore(backend))) as address, chatstore.connect(address) as target:
        outcomes = list(restore_threads(target, kept_threads(source, Chosen())))
        assert [one.status.value for one in outcomes] == ["added"] * 3
        assert everything(target) == everything(ChatStore(backend)) == everything(source)
        assert [one.status.value for one in restore_threads(target, kept_threads(source, Chosen()))] == [
            "unchanged"
        ] * 3


def test_an_export_comes_back(source: ChatStore) -> None:
    out = io.BytesIO()
    assert {one.thread_id for one in export_threads(source, out)} == {"trip", "state", "fork"}
    target = ChatStore(MemoryBackend())
    outcomes = list(import_threads(target, io.BytesIO(out.getvalue())))
    assert [(one.status, list(one.damage)) for one in outcomes] == [(Status.ADDED, [])] * 3
    assert [(one.key, one.metadata) for one in target.read("trip")] == [
        (one.key, one.metadata) for one in source.read("trip")
    ]
    state = target.get_thread("state")
    assert (state.kind, state.sliding) == ("state", source.get_thread("state").sliding)
    assert target.get_thread("trip").metadata == {}
    assert target.get_thread("fork").metadata["forked_from"]["thread"] == "trip"
    again = list(import_threads(target, io.BytesIO(out.getvalue())))
    assert {one.status for one in again} == {Status.UNCHANGED}


@pytest.mark.parametrize(
    "beside", [{"key": 1}, {"key": "k" * 257}, {"metadata": [1]}, {"metadata": {"x": "x" * 16_384}}]
)
def test_what_cannot_stand_beside_a_message_is_said(beside: dict[str, object]) -> None:
    entry = {"id": "a", "position": "1", "message": HELLO, **beside}
    line = json.dumps({"id": "t", "messages": [entry, HELLO]})
    target = ChatStore(MemoryBackend())
    [outcome] = import_threads(target, io.BytesIO(line.encode()))
    assert (outcome.status, outcome.messages, len(outcome.damage)) == (Status.ADDED, 1, 1)


def test_erasure_takes_every_kind(source: ChatStore) -> None:
    assert source.erase("ada").threads == 3
    assert everything(source) == []
