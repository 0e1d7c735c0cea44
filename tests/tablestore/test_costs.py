"""What operations cost, in units as the service says and in trips; and what does not fit into one call."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore.blocking import run
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.urls import open_backend
from tests.costs import clock_in_an_hour
from tests.tablestore.connected import url_for
from tests.tablestore.service import Service

SAY = {"role": "user", "content": "x" * 400}
ANSWER = {"role": "assistant", "content": "y" * 400}


@pytest.fixture
def clock() -> ManualClock:
    return clock_in_an_hour()


@pytest.fixture
def opened(service: Service, clock: ManualClock, tmp_path: Path) -> Any:
    def opened() -> ChatStore:
        return ChatStore(open_backend(url_for(tmp_path), blocking=True, clock=clock))

    run(opened().backend.prepare())
    return opened


@pytest.fixture
def store(opened: Any) -> ChatStore:
    """A store whose process knows the thread ``t``: four turns of two messages, of one minute."""
    store: ChatStore = opened()
    for _ in range(4):
        store.append("t", SAY, ANSWER, owner="ada")
    return store


def cost(result: Any) -> tuple[float, float, int]:
    found = result.cost
    assert found.backend == "tablestore"
    return found.units["write_cu"], found.units["read_cu"], found.trips


def test_append(store: ChatStore, opened: Any, clock: ManualClock) -> None:
    assert cost(store.append("t", SAY)) == (1, 1, 1)
    assert cost(store.append("t", SAY, ANSWER)) == (1, 1, 1)
    assert cost(store.append("t", SAY, request_id=chatstore.uuid7(clock() // 1000))) == (1, 1, 1)
    assert cost(opened().append("t", SAY)) == (1, 2, 2)
    # Another process took the slot. The refusal does not say what is there, so it is read.
    assert cost(store.append("t", SAY)) == (2, 3, 3)


def test_a_new_thread(store: ChatStore) -> None:
    assert cost(store.append("new", SAY)) == (4, 3, 4)
    assert cost(store.create_thread("made")) == (4, 3, 4)


@pytest.mark.parametrize("length", [10, 1000])
def test_append_and_the_last_ones_at_any_length(store: ChatStore, opened: Any, length: int) -> None:
    store.replace_all("long", [SAY] * length, create=True)
    assert cost(opened().append("long", SAY)) == (1, 2, 2)
    store.append("long", SAY)
    assert cost(store.append("long", SAY)) == (1, 1, 1)
    assert cost(store.read("long", last=1)) == (0, 1, 1)


def test_reading(store: ChatStore) -> None:
    assert cost(store.read("t", last=8)) == (0, 1, 1)
    assert cost(store.get_thread("t")) == (0, 1, 1)
    assert cost(store.read("t", limit=8)) == (0, 2, 2)
    assert cost(store.read("never")) == (0, 1, 1)
    message = store.read("t", last=1).items[0]
    assert cost(store.get_message("t", message.id or "")) == (0, 2, 2)


def test_changes(store: ChatStore) -> None:
    [first, second, *_] = store.read("t").items
    # The first that leaves something to tidy up in a day notes when to do so.
    store.replace_message("t", second.id or "", SAY)
    assert cost(store.replace_message("t", second.id or "", SAY)) == (2, 3, 3)
    assert cost(store.delete_message("t", first.id)) == (2, 3, 3)
    assert cost(store.update_thread("t", topic="x")) == (2, 2, 2)


def noise(size: int) -> str:
    """Text of that many bytes, of which compression saves a quarter."""
    return "".join(random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=size))


def test_what_no_call_takes_is_sent_and_read_in_several(store: ChatStore, service: Service) -> None:
    """The service refuses more than 200 rows or 4 MB, and cuts a page at 4 MB."""
    large = [{"role": "user", "content": noise(300_000)} for _ in range(14)]
    service.calls.clear()
    store.append("large", *large)
    assert service.calls.count("BatchWriteRow") > 1
    assert [message.to_dict() for message in store.iter_messages("large")] == large
    many = [{"role": "user", "content": f"{number}"} for number in range(16 * 250)]
    store.append("many", SAY)
    service.calls.clear()
    store.replace_all("many", many)
    assert service.calls.count("BatchWriteRow") > 1
    assert [message.to_dict() for message in store.iter_messages("many")] == many
