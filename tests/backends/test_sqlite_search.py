"""The index of words in an SQLite file, which every writer keeps."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import chatstore
from chatstore.engines.sql import steps
from chatstore.testing import ManualClock


def say(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def found(path: Path, clock: ManualClock, text: str, tenant: str = "default") -> list[str]:
    with chatstore.connect(f"sqlite:///{path}?search=on", clock=clock, tenant=tenant) as store:
        return [str(one.message.content) for one in store.search(text, limit=100)]


def in_file(path: Path, text: bytes) -> bool:
    return any(text in place.read_bytes() for place in path.parent.iterdir())


def test_without_the_index_it_says_how_to_have_one(store: chatstore.ChatStore) -> None:
    with pytest.raises(chatstore.Unsupported, match=r"search=on"):
        store.search("x")


def test_what_is_there_is_indexed_and_every_writer_keeps_it(
    store: chatstore.ChatStore, path: Path, clock: ManualClock
) -> None:
    [old, *_] = store.append("t", say("old walrus"), say("walrus too"), owner="mary").messages
    assert sorted(found(path, clock, "walrus")) == ["old walrus", "walrus too"]
    clock.advance(timedelta(seconds=1))
    store.append("t", say("new walrus"), expires_in=60)
    store.replace_message("t", old.id or "", say("no more"))
    store.update_message("t", old.id or "", metadata={"walrus": 1})
    assert found(path, clock, "walrus") == ["new walrus", "walrus too"]
    assert found(path, clock, "more") == ["no more"]
    store.fork("t", "copy", owner="bob")
    clock.advance(timedelta(minutes=2))
    assert found(path, clock, "walrus") == ["walrus too"] * 2
    store.erase("mary")
    assert found(path, clock, "walrus") == ["walrus too"]
    assert found(path, clock, "walrus", "other") == []


def test_what_is_cut_or_hidden_is_not_found(
    store: chatstore.ChatStore, path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chatstore.engines.sql.transactions import Transacting

    async def killed(*_: object) -> None: ...

    for thread in "tuv":
        store.append(thread, *(say(f"walrus {number} {thread}") for number in range(9)))
    assert len(found(path, clock, "walrus")) == 27
    monkeypatch.setattr(steps, "STEP_SECONDS", 0.0)
    monkeypatch.setattr(Transacting, "_clean", killed)
    store.truncate("t", after=store.read("t", limit=1).items[0].id)
    store.replace_all("u", [say("other")])
    store.delete_thread("v")
    assert found(path, clock, "walrus") == ["walrus 0 t"]


def test_an_erasure_leaves_no_word(store: chatstore.ChatStore, path: Path, clock: ManualClock) -> None:
    for number in range(50):
        store.append("t", say(f"walruses {number}"), owner="mary")
        store.append("u", say(f"narwhals {number}"), owner="bob")
    assert len(found(path, clock, "walruses")) == 50
    assert in_file(path, b"walruses")
    store.erase("mary")
    assert not in_file(path, b"walruses")
    assert in_file(path, b"narwhals")
    assert found(path, clock, "walruses") == []
    assert len(found(path, clock, "narwhals")) == 50
