"""How many statements the transaction of each operation has on SQLite, however long the thread is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore.backends.sqlite.statements import Statements
from chatstore.testing.samples import say

# In docs/backends.md as well, in these words.
TABLE = {
    "append, of any number of messages": 2,
    "append that creates a thread": 6,
    "append with a key for one message": 3,
    "append with a patch, if_thread or both": 4,
    "append to an owner's thread with a new request id": 5,
    "append with a request id that was used": 1,
    "append after a message, cutting one": 5,
    "truncate by one message, named by id or key": 4,
    "last 20": 2,
    "page that begins at a message": 3,
    "properties": 1,
    "message by id or key": 2,
    "message replaced, or its metadata": 5,
    "message deleted": 4,
    "list of 20 threads": 1,
    "list of 5 threads with previews": 16,
    "threads counted": 1,
}


def noting(method: Callable[..., Any], seen: list[str]) -> Callable[..., Any]:
    """The same, and what it was asked is put into `seen`."""

    def noted(self: Statements, sql: str, *given: Any, **more: Any) -> Any:
        seen.append(sql)
        return method(self, sql, *given, **more)

    return noted


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], int]:
    """How many statements a call has between BEGIN and COMMIT."""
    seen: list[str] = []
    for name in ("one", "all", "until", "run", "many"):
        monkeypatch.setattr(Statements, name, noting(getattr(Statements, name), seen))

    def count(call: Callable[[], Any]) -> int:
        seen.clear()
        call()
        return len(seen)

    return count


@pytest.mark.parametrize("length", [1, 500])
def test_every_operation(tmp_path: Path, length: int, count: Callable[[Callable[[], Any]], int]) -> None:
    costs: dict[str, int] = {}

    with chatstore.connect(f"sqlite:///{tmp_path / 'chat.db'}") as store:

        def note(name: str, call: Callable[[], Any]) -> None:
            statements = count(call)
            assert costs.setdefault(name, statements) == statements

        store.append("t", *[say(number) for number in range(length)], owner="ada")
        first = store.append("t", say("a"), key="first").messages[0].id or ""
        note("append, of any number of messages", lambda: store.append("t", say("a")))
        note("append, of any number of messages", lambda: store.append("t", *[say(one) for one in range(90)]))
        note("append that creates a thread", lambda: store.append("u", say("a")))
        note("append with a key for one message", lambda: store.append("t", say("a"), key="k"))
        etag = store.get_thread("t").etag
        name = "append with a patch, if_thread or both"
        note(name, lambda: store.append("t", say("a"), patch={"topic": "x"}, if_thread=etag))
        name = "append to an owner's thread with a new request id"
        note(name, lambda: store.append("t", say("a"), request_id="r"))
        note("append with a request id that was used", lambda: store.append("t", say("a"), request_id="r"))
        note("last 20", lambda: store.read("t", last=20))
        note("page that begins at a message", lambda: store.read("t", limit=20, before="key:first"))
        note("properties", lambda: store.get_thread("t"))
        note("message by id or key", lambda: store.get_message("t", first))
        note("message by id or key", lambda: store.get_message("t", "key:first"))
        note("message replaced, or its metadata", lambda: store.replace_message("t", first, say("b")))
        note("message replaced, or its metadata", lambda: store.update_message("t", first, metadata={"a": 1}))
        second = store.append("t", say("b"), say("c"), after=first).messages[0].id or ""
        note("append after a message, cutting one", lambda: store.append("t", say("d"), after=second))
        note("truncate by one message, named by id or key", lambda: store.truncate("t", after=second))
        note("truncate by one message, named by id or key", lambda: store.truncate("t", after="key:first"))
        note("message deleted", lambda: store.delete_message("t", first))
        for number in range(4):
            store.append(f"v{number}", say("a"), owner="bob")
        store.append("v4", say("a"), owner="bob")
        note("list of 20 threads", lambda: store.list_threads(limit=20))
        note("list of 5 threads with previews", lambda: store.list_threads(owner="bob", preview=True))
        note("threads counted", lambda: store.count_threads(owner="bob"))
    assert costs == TABLE
