"""The wire breaks at every request of an operation: it takes effect once, or says that it may have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore.errors import Unavailable
from chatstore.testing.samples import contents, say
from tests.redis.proxy import Wire, wire_to
from tests.redis.servers import prefixed

OPERATIONS: dict[str, Callable[[chatstore.ChatStore], Any]] = {
    "append": lambda store: store.append("t", say("new")),
    "begin": lambda store: store.append("other", say("new"), owner="zoe", key="first"),
    "request": lambda store: store.append("t", say("new"), request_id="r1"),
    "insert": lambda store: store.insert("t", say("new"), index=0),
    "truncate": lambda store: store.truncate("t", after=store.read("t", limit=1).items[0].id),
    "pop": lambda store: store.pop("t"),
    "replace all": lambda store: store.replace_all("t", [say("anew")]),
    "large": lambda store: store.append("t", say("x" * 700_000)),
    "update": lambda store: store.update_thread("t", metadata={"a": 1}),
    "fork": lambda store: store.fork("t", new_id="forked"),
    "delete": lambda store: store.delete_thread("t"),
    "erase": lambda store: store.erase("zoe"),
    "list": lambda store: [one.id for one in store.list_threads()],
    "read": lambda store: contents(store.read("t")),
}


@pytest.fixture(scope="module")
def wire(redis_url: str) -> Iterator[Wire]:
    with wire_to(int(redis_url.rpartition(":")[2].partition("/")[0])) as wire:
        yield wire


def state(store: chatstore.ChatStore) -> dict[str, list[str]]:
    return {thread.id: contents(store.read(thread.id)) for thread in store.iter_threads()}


def prepared(url: str) -> chatstore.ChatStore:
    store = chatstore.connect(url)
    store.append("t", say("one"), say("two"), owner="zoe")
    return store


@pytest.mark.parametrize("answered", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_wire_breaks_at_each_request(
    wire: Wire, redis_url: str, tmp_path: Path, name: str, answered: bool
) -> None:
    operation = OPERATIONS[name]
    with prepared(prefixed(redis_url, tmp_path / "right")) as store:
        operation(store)
        right = state(store)
    broke = 0
    for request in range(1, 40):
        direct = prefixed(redis_url, tmp_path / str(request))
        prepared(direct).close()
        through = prefixed(f"redis://127.0.0.1:{wire.port}/0", tmp_path / str(request))
        with chatstore.connect(through) as store, chatstore.connect(direct) as looking:
            store.ping()
            before = state(looking)
            wire.arm(request, answered=answered)
            try:
                operation(store)
            except Unavailable:
                assert state(looking) in (before, right)
            else:
                assert state(looking) == right
            reached = wire.sent >= request
            wire.arm(None, answered=False)
        if not reached:
            break
        broke += 1
    assert broke, "no request was met"
