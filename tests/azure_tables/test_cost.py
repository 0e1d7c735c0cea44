"""What each operation costs, counted at the wire: one billed transaction a request to Table Storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.azure_tables.azurite import ACCOUNT, KEY
from tests.azure_tables.unkind import Unkind
from tests.servers import table_for

Open = Callable[[], chatstore.ChatStore]


@pytest.fixture
def proxy(azurite: str) -> Iterator[Unkind]:
    """Counts requests itself, so that the meter is held against what really went over the wire."""
    with Unkind(azurite) as proxy:
        yield proxy


@pytest.fixture
def opened(proxy: Unkind, clock: ManualClock, tmp_path: Path) -> Open:
    """Opens a store that remembers nothing, on the test's table."""
    url = f"aztables://{ACCOUNT}/{table_for(tmp_path)}?endpoint={proxy.endpoint}"

    def opened() -> chatstore.ChatStore:
        return chatstore.connect(url, clock=clock)

    with opened() as store:
        store.append("t", say("a"), say("b"), owner="ada")
    return opened


def measured(proxy: Unkind, call: Callable[[], Any]) -> float:
    """What a call says that it cost, which is what went over the wire."""
    before = len(proxy.requests)
    cost = call().cost
    assert cost is not None
    assert cost.backend == "azure-tables"
    assert cost.units == {"transactions": cost.trips}
    assert cost.trips == len(proxy.requests) - before
    return int(cost.trips)


# In docs/azure.md as well, in these words.
TABLE = {
    "append, warm": 1,
    "append, cold": 2,
    "append, warm, with a new request id": 1,
    "append with a request id that was used": 2,
    "first append of a new minute": 2,
    "first append to a new thread": 3,
    "first append to a new thread, a process's first of a tenant": 4,
    "last 20": 1,
    "properties": 1,
    "message by id": 2,
    "replace or delete a message by id, warm": 2,
    "the same by key, warm": 3,
    "the same in the row that the process wrote last": 1,
    "insert within a turn, warm": 2,
    "insert in front of a turn, warm": 3,
    "pop, warm": 2,
    "update of properties": 2,
    "replace_all, history only grew, warm": 2,
    "replace_all by another, warm": 3,
    "clear, warm": 3,
    "delete, warm": 2,
    "list of 5 threads": 6,
    "append with a patch": 2,
    "append with if_thread, warm": 1,
    "truncate near the end, warm": 2,
    "append after a message near the end, warm": 2,
    "truncate far from the end, warm": 2,
    "first truncate far from the end since a sweep, warm": 3,
    "append with a new key, warm": 1,
    "message by key": 3,
    "metadata of a message, warm": 2,
    "read after a message near the end": 1,
    "list of 5 threads with previews": 16,
}


def test_every_operation(proxy: Unkind, opened: Open, clock: ManualClock) -> None:
    costs: dict[str, float] = {}

    def note(name: str, call: Callable[[], Any]) -> None:
        cost = measured(proxy, call)
        assert costs.setdefault(name, cost) == cost

    with opened() as store:
        note("append, cold", lambda: store.append("t", say("c")))
        note("append, warm", lambda: store.append("t", say("d"), say("e")))
        # The first request of a thread has the sweep told; from then on it knows.
        store.append("t", say("x"), request_id="first")
        note("append, warm, with a new request id", lambda: store.append("t", say("y"), request_id="r"))
        note("append with a request id that was used", lambda: store.append("t", say("y"), request_id="r"))
        store.read("t", last=1)
        clock.advance(timedelta(minutes=1))
        note("first append of a new minute", lambda: store.append("t", say("f")))
        note(
            "first append to a new thread, a process's first of a tenant",
            lambda: store.append("first", say("a")),
        )
        note("first append to a new thread", lambda: store.append("u", say("a")))
        note("last 20", lambda: store.read("t", last=20))
        note("properties", lambda: store.get_thread("t"))
        oldest = store.read("t", limit=1).items[0].id or ""
        last = store.read("t", last=1).items[0].id or ""
        note("message by id", lambda: store.get_message("t", last))
        note(
            "the same in the row that the process wrote last",
            lambda: store.replace_message("t", last, say("F")),
        )
        note("replace or delete a message by id, warm", lambda: store.replace_message("t", oldest, say("A")))
        assert measured(proxy, lambda: store.delete_message("t", last)) == 2
        note("insert in front of a turn, warm", lambda: store.insert("t", say("between"), index=-1))
        first = store.read("t", limit=1).items[0].id or ""
        note("insert within a turn, warm", lambda: store.insert("t", say("between"), after=first))
        note("pop, warm", lambda: store.pop("t"))
        note("update of properties", lambda: store.update_thread("t", topic="x"))
        grown = [message.to_dict() for message in store.read("t", limit=100)] + [say("more")]
        note("replace_all, history only grew, warm", lambda: store.replace_all("u", [say("a"), say("b")]))
        store.read("t", last=1)
        note("replace_all by another, warm", lambda: store.replace_all("t", [*grown[1:], say("z")]))
        note("clear, warm", lambda: store.clear("u"))
        for number in range(4):
            store.create_thread(f"v{number}", owner="ada")
        note("list of 5 threads", lambda: store.list_threads(owner="ada"))
        note("list of 5 threads with previews", lambda: store.list_threads(owner="ada", preview=True))
        note("delete, warm", lambda: store.delete_thread("v0"))
        note_more(note, store)
    assert costs == TABLE


def note_more(note: Callable[[str, Callable[[], Any]], None], store: chatstore.ChatStore) -> None:
    """What an append does together with more, and what names of messages cost."""
    ids = [store.append("w", say(number)).messages[0].id or "" for number in range(100)]
    etag = store.append("w", say("x"), patch={"topic": "x"}).thread_etag
    note("append with a patch", lambda: store.append("w", say("x"), patch={"topic": "y"}, if_thread=etag))
    etag = store.get_thread("w").etag
    note("append with if_thread, warm", lambda: store.append("w", say("x"), if_thread=etag))
    note("truncate near the end, warm", lambda: store.truncate("w", after=ids[88]))
    note("append after a message near the end, warm", lambda: store.append("w", say("y"), after=ids[87]))
    note("append with a new key, warm", lambda: store.append("w", say("z"), key="k"))
    note("message by key", lambda: store.get_message("w", "key:k"))
    store.append("w", say("behind it"))
    note("the same by key, warm", lambda: store.replace_message("w", "key:k", say("Z!")))
    written_last = "the same in the row that the process wrote last"
    note(written_last, lambda: store.replace_message("w", "key:k", say("Z!!")))
    store.append("w", say("behind it"))
    note("read after a message near the end", lambda: store.read("w", after=ids[86]))
    note("metadata of a message, warm", lambda: store.update_message("w", ids[87], metadata={"stars": 5}))
    note("first truncate far from the end since a sweep, warm", lambda: store.truncate("w", after=ids[9]))
    store.append("w", *[say(number) for number in range(300)])
    note("truncate far from the end, warm", lambda: store.truncate("w", after=ids[5]))


def test_neither_the_length_nor_the_size_of_a_turn_changes_the_cost(proxy: Unkind, opened: Open) -> None:
    with opened() as store:
        store.append("long", *[say(number) for number in range(1000)])
        store.append("long", *[say(number) for number in range(1000)])
        assert measured(proxy, lambda: store.append("long", *[say(number) for number in range(900)])) == 1
        assert measured(proxy, lambda: store.append("long", say("x" * 200_000))) == 1
    with opened() as store:
        assert measured(proxy, lambda: store.append("long", say("x"))) == 2
        assert measured(proxy, lambda: store.read("long", last=50)) == 1
        id = store.read("long", after="0000001499", limit=1).items[0].id or ""
        assert measured(proxy, lambda: store.get_message("long", id)) == 2


def test_all_of_a_thread_costs_by_its_rows(proxy: Unkind, opened: Open) -> None:
    with opened() as store:
        for number in range(20):
            store.append("t", *[say([number, part]) for part in range(100)])
        before = len(proxy.requests)
        found, cursor = 0, None
        while found == 0 or cursor is not None:
            page = store.read("t", limit=1000, after=cursor)
            found, cursor = found + len(page), page.next
        assert found == 2002
        # 142 rows in three pages: each is read, and the header before or after it.
        assert len(proxy.requests) - before == 6


# In docs/azure.md as well, in these words.
COSMOS_TABLE = {
    "append, warm": 1,
    "append, cold": 2,
    "last 20, warm or cold": 3,
    "the oldest 20 of 400, warm": 2,
    "all of 400 messages": 3,
}
_RU = 1.25


def test_cosmos_counts_and_says_what_it_charges(
    azurite: str, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_COSMOS_KEY", KEY)
    costs: dict[str, float] = {}
    with Unkind(azurite, cosmos=True) as proxy:
        url = f"cosmos-table://{ACCOUNT}/{table_for(tmp_path)}?endpoint={proxy.endpoint}"

        def note(name: str, call: Callable[[], Any]) -> None:
            before = len(proxy.requests)
            cost = call().cost
            assert cost == chatstore.Cost(
                "cosmos-table", {"transactions": cost.trips, "ru": cost.trips * _RU}, cost.trips
            )
            assert cost.trips == len(proxy.requests) - before
            assert costs.setdefault(name, cost.trips) == cost.trips

        with chatstore.connect(url, clock=clock) as store:
            for _ in range(20):
                store.append("t", *[say(number) for number in range(20)])
            note("append, warm", lambda: store.append("t", say("a")))
            note("last 20, warm or cold", lambda: store.read("t", last=20))
            note("the oldest 20 of 400, warm", lambda: store.read("t", limit=20))
            note("all of 400 messages", lambda: store.read("t", limit=1000))
        with chatstore.connect(url, clock=clock) as store:
            note("append, cold", lambda: store.append("t", say("b")))
        with chatstore.connect(url, clock=clock) as store:
            note("last 20, warm or cold", lambda: store.read("t", last=20))
    assert costs == COSMOS_TABLE


def test_what_stays_of_a_cut_history_costs_what_it_did(proxy: Unkind, opened: Open) -> None:
    with opened() as store:
        [first] = store.append("t", say("first")).messages
        for _ in range(3):
            store.append("t", *[say(number) for number in range(1000)])
        assert measured(proxy, lambda: store.truncate("t", after=first.id)) == 3
        store.append("t", say("second"))
    with opened() as store:
        assert measured(proxy, lambda: store.read("t", last=2)) <= 3
        assert measured(proxy, lambda: store.read("t", limit=4)) <= 3
        assert measured(proxy, lambda: store.append("t", say("third"))) == 1


def test_a_key_that_is_taken_costs_a_look(proxy: Unkind, opened: Open) -> None:
    with opened() as store:
        store.append("t", say("named"), key="k")
        before = len(proxy.requests)
        with pytest.raises(chatstore.MessageExists):
            store.append("t", say("named"), key="k")
        # The append, the header, the key's row, and the message that has it.
        assert len(proxy.requests) - before == 4
