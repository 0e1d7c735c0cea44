"""What an earlier version stored is read, repeated and added to as if it had been written today."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chatstore import ChatStore, MessageExists
from chatstore.testing import ManualClock
from tests.stored.storages import STORAGES
from tests.stored.writing import ROWS, TENANTS, repeated, repeated_of_more, say, seen

FILES = sorted(ROWS.glob("*.json.gz"))


def ids_behind(thread: Any, id: str) -> list[str]:
    """The ids of what follows a message."""
    ids = [message[0] for message in thread["messages"]]
    return ids[ids.index(id) + 1 :]


def kind_of(path: Path) -> str:
    """The storage whose rows they are."""
    return path.name.partition(".json")[0].rpartition("-")[2]


@pytest.fixture(params=FILES, ids=[path.name.partition(".json")[0] for path in FILES])
def told(request: pytest.FixtureRequest) -> Any:
    return {**json.loads(gzip.decompress(request.param.read_bytes())), "kind": kind_of(request.param)}


@pytest.fixture
def store(told: Any, tmp_path: Path) -> Iterator[ChatStore]:
    clock = ManualClock()
    clock.advance(timedelta(microseconds=told["clock"] - clock()))
    with ChatStore(STORAGES[told["kind"]](tmp_path, clock, told["rows"]).backend) as store:
        yield store


def test_there_is_one_of_each_storage() -> None:
    assert {kind_of(path) for path in FILES} == set(STORAGES)


def test_everything_reads_the_same(told: Any, store: ChatStore) -> None:
    assert json.loads(json.dumps(seen(store))) == told["seen"]


def test_cursors_go_on(told: Any, store: ChatStore) -> None:
    for tenant in TENANTS:
        for id, thread in told["seen"][tenant]["threads"].items():
            if thread["before"] is not None:
                page = store.for_tenant(tenant).read(id, limit=1000, before=thread["before"])
                ids = [message[0] for message in thread["messages"]]
                assert [message.id for message in page] + thread["last"] == ids


def test_a_repeated_request_has_its_first_result(told: Any, store: ChatStore) -> None:
    for tenant in TENANTS:
        threads = told["seen"][tenant]["threads"]
        again = repeated(store.for_tenant(tenant))
        assert again["append"] == [threads["told"]["messages"][-1][0]]
        assert "popped" in again["pop"]
        assert again["thread"] == threads["made"]["times"][0].replace(" ", "T")
        if "again" in told:
            assert json.loads(json.dumps(repeated_of_more(store.for_tenant(tenant)))) == told["again"][tenant]
    assert json.loads(json.dumps(seen(store))) == told["seen"]


def test_names_that_are_taken_stay_taken(told: Any, store: ChatStore) -> None:
    for tenant in TENANTS:
        scoped = store.for_tenant(tenant)
        for id, thread in told["seen"][tenant]["threads"].items():
            for message in thread["messages"]:
                if len(message) > 5 and message[5] is not None:
                    with pytest.raises(MessageExists) as taken:
                        scoped.append(id, *say("another"), key=message[5])
                    assert taken.value.message_id == message[0]
                    page = scoped.read(id, limit=1000, after=f"key:{message[5]}")
                    assert [one.id for one in page] == ids_behind(thread, message[0])
    assert json.loads(json.dumps(seen(store))) == told["seen"]


def test_it_is_cut_again(told: Any, store: ChatStore) -> None:
    for tenant in TENANTS:
        scoped = store.for_tenant(tenant)
        for id, thread in told["seen"][tenant]["threads"].items():
            if thread["messages"]:
                first = thread["messages"][0][0]
                added = scoped.append(id, *say("instead"), after=first, key="two").messages[0]
                assert [message.id for message in scoped.iter_messages(id)] == [first, added.id]
    store.sweep()
    for tenant in TENANTS:
        for id, thread in told["seen"][tenant]["threads"].items():
            left = [message.id for message in store.for_tenant(tenant).iter_messages(id)]
            assert left[:1] == [message[0] for message in thread["messages"][:1]]
            assert len(left) == min(2, 2 * len(thread["messages"]))


def test_a_thread_goes_on_under_its_old_etag(told: Any, store: ChatStore) -> None:
    for tenant in TENANTS:
        scoped = store.for_tenant(tenant)
        for id, thread in told["seen"][tenant]["threads"].items():
            added = scoped.append(id, *say("today"), if_match=thread["log"])
            ids = [message[0] for message in thread["messages"]]
            assert [message.id for message in scoped.iter_messages(id)] == [*ids, added.messages[0].id]
        assert next(iter(scoped.iter_threads())).id == list(told["seen"][tenant]["threads"])[-1]


def test_it_is_swept_and_erased(told: Any, store: ChatStore) -> None:
    store.sweep()
    assert json.loads(json.dumps(seen(store))) == told["seen"]
    for tenant in TENANTS:
        scoped = store.for_tenant(tenant)
        scoped.erase("ada")
        left = {id for id, thread in told["seen"][tenant]["threads"].items() if thread["owner"] != "ada"}
        assert {thread.id for thread in scoped.iter_threads()} == left
