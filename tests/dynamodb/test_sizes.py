"""Messages of any size on a server that is strict about sizes and pages, and what is left of them."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import chatstore
from chatstore import ChatStore
from chatstore.backends.calls import BlockingCalls
from chatstore.backends.dynamodb import DynamoBackend
from chatstore.backends.dynamodb.client import Client
from chatstore.backends.dynamodb.table import DynamoTable
from chatstore.codec import Json
from chatstore.testing import ManualClock
from tests.servers import table_for

MIB = 1024 * 1024
LARGEST = 400 * 1024
DAY_AND_AN_HOUR = timedelta(hours=25, seconds=1)

_chance = random.Random(20)


def noise(size: int) -> str:
    """Text of that many bytes that hardly compresses."""
    return _chance.randbytes(size // 2 + 1).hex()[:size]


def saying(size: int) -> dict[str, Json]:
    """A message whose JSON text has that many bytes."""
    around = len('{"role":"user","content":""}')
    return {"role": "user", "content": noise(size - around)}


class Killed(BaseException):
    """What a process that ends raises: nothing catches it."""


class Table:
    """A table and a store on it, on a clock of its own."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.clock = ManualClock()
        self.name = name
        self.client = Client(name, "us-east-1", endpoint, 30.0)
        self.store = self.opened()

    def opened(self, before: Callable[[str], None] | None = None) -> ChatStore:
        """A store of a process of its own; `before` each of its calls something may happen."""
        client = self.client
        if before is not None:
            client = Client(self.name, "us-east-1", self.client.endpoint, 30.0)
            client.client.meta.events.register(
                "provide-client-params.dynamodb", lambda model, **_: before(model.name)
            )
        table = DynamoTable(BlockingCalls(client), client)
        table.atomic_pairs = False
        return ChatStore(DynamoBackend(table, self.clock))

    def rows(self) -> list[dict[str, Any]]:
        """All there is, as the server keeps it."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {}
        while not found or "LastEvaluatedKey" in page:
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]} if page else {}
            page = self.client.call("Scan", {"TableName": self.name, "ConsistentRead": True, **start})
            found += page["Items"]
            if not found:
                break
        return found

    def of_threads(self) -> list[str]:
        """The sort keys of what there is in the threads' partitions."""
        return [row["sk"]["S"] for row in self.rows() if row["pk"]["S"].startswith("T#")]

    def sweep(self, after: timedelta) -> None:
        """Sweep again and again until so much time has passed."""
        self.clock.advance(after)
        while self.store.sweep().more:
            pass


@pytest.fixture
def table(dynalite: str, tmp_path: Path) -> Iterator[Table]:
    table = Table(dynalite, table_for(tmp_path))
    with table.store:
        yield table


def test_the_largest_message(table: Table) -> None:
    message = saying(16 * MIB)
    [stored] = table.store.append("t", {"role": "user", "content": "before"}, message).messages[1:]
    assert table.store.read("t", last=1).items[0].to_dict() == message
    assert table.store.get_message("t", stored.id or "").to_dict() == message
    assert [one.to_dict() for one in table.store.iter_messages("t")][1] == message


@pytest.mark.parametrize("size", [199_990, 200_010, 349_999, 350_001, LARGEST - 300, LARGEST, LARGEST + 300])
def test_a_message_about_as_large_as_a_row(table: Table, size: int) -> None:
    message = saying(size)
    request = chatstore.uuid7(table.clock() // 1000)
    first = table.store.append("t", message, request_id=request)
    assert table.store.append("t", message, request_id=request) == first
    assert [one.to_dict() for one in table.opened().read("t")] == [message]


def test_a_turn_of_many_messages_that_are_too_large_together(table: Table) -> None:
    turn = [saying(size) for size in (90_000, 150_000, 60_000, 199_000, 1_000, 120_000, 90_000)]
    table.store.append("t", *turn)
    table.store.append("t", *turn)
    assert [one.to_dict() for one in table.store.iter_messages("t")] == turn * 2
    assert [one.to_dict() for one in table.store.read("t", last=9)] == (turn * 2)[-9:]


def test_pages_that_the_server_cuts(table: Table) -> None:
    messages = [saying(150_000) for _ in range(20)]
    for message in messages:
        table.store.append("t", message)
    assert [one.to_dict() for one in table.store.read("t", last=20)] == messages
    assert [one.to_dict() for one in table.store.read("t", limit=20)] == messages
    assert [one.to_dict() for one in table.store.iter_messages("t")] == messages
    first = table.store.read("t", limit=1).items[0]
    assert table.store.get_message("t", first.id or "") == first


def test_replacing_and_deleting_large_messages(table: Table) -> None:
    store = table.store
    one, two = store.append("t", saying(MIB), saying(500_000)).messages
    larger, small = saying(2 * MIB), saying(100)
    store.replace_message("t", one.id or "", larger, if_match=one.etag)
    store.replace_message("t", two.id or "", small)
    assert [message.to_dict() for message in store.read("t")] == [larger, small]
    request = chatstore.uuid7(table.clock() // 1000)
    popped = store.delete_message("t", one.id or "", request_id=request)
    assert popped.to_dict() == larger
    assert store.delete_message("t", one.id or "", request_id=request) == popped
    inserted = saying(3 * LARGEST)
    store.insert("t", inserted, index=0)
    assert [message.to_dict() for message in store.read("t")] == [inserted, small]

    assert len([row for row in table.of_threads() if row.startswith("B#")]) > 4
    table.sweep(DAY_AND_AN_HOUR)
    assert len([row for row in table.of_threads() if row.startswith("B#")]) == 4
    assert [message.to_dict() for message in table.opened().read("t")] == [inserted, small]


def test_a_turn_of_which_every_message_becomes_a_large_one(table: Table) -> None:
    store = table.store
    turn = store.append("t", *[saying(100) for _ in range(6)]).messages
    larger = [saying(190_000) for _ in turn]
    for message, instead in zip(turn, larger, strict=True):
        store.replace_message("t", message.id or "", instead)
    between = [saying(150_000) for _ in range(4)]
    for each in between:
        store.insert("t", each, before=turn[1].id)
    expected = [larger[0], *between, *larger[1:]]
    assert [message.to_dict() for message in store.iter_messages("t")] == expected
    store.append("t", saying(100))
    table.sweep(DAY_AND_AN_HOUR)
    assert [message.to_dict() for message in store.iter_messages("t")][:-1] == expected
    store.clear("t")
    store.delete_thread("t")
    table.sweep(DAY_AND_AN_HOUR)
    table.sweep(timedelta(minutes=61))
    assert table.of_threads() == []


def test_reading_while_large_messages_change(table: Table) -> None:
    versions = [
        [{"role": "user", "content": noise(MIB), "version": version}, {"role": "user", "version": version}]
        for version in range(12)
    ]
    table.store.replace_all("t", versions[0], create=True)
    done = threading.Event()

    def write() -> None:
        try:
            with table.opened() as store:
                for version in versions[1:]:
                    store.replace_all("t", version)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[list[dict[str, Json]]] = []
    with table.opened() as reader:
        while not done.is_set() or not seen:
            seen.append([message.to_dict() for message in reader.read("t")])
    writer.join()
    assert all(view in versions for view in seen)
    assert [message.to_dict() for message in table.store.read("t")] == versions[-1]


def test_replacing_five_thousand_messages(table: Table) -> None:
    store = table.store
    history = [{"role": "user", "content": f"message {number}"} for number in range(5000)]
    store.replace_all("t", history, create=True)
    assert [message.to_dict() for message in store.iter_messages("t")] == history
    again = history[::-1]
    request = chatstore.uuid7(table.clock() // 1000)
    replaced = store.replace_all("t", again, request_id=request)
    assert store.replace_all("t", again, request_id=request) == replaced
    assert [message.to_dict() for message in store.iter_messages("t")] == again
    rows = len(table.of_threads())
    table.sweep(DAY_AND_AN_HOUR)
    # A row holds sixteen; the header and what else is small is in two more.
    assert len(table.of_threads()) <= 5000 / 16 + 3 < rows
    assert [message.to_dict() for message in table.opened().iter_messages("t")] == again


def leave_behind(store: ChatStore, clock: ManualClock) -> None:
    """Do with the thread ``t`` all that leaves rows behind."""

    def request() -> str:
        return chatstore.uuid7(clock() // 1000)

    store.append("t", saying(300), saying(300_000), owner="ada lovelace", request_id=request())
    store.append("t", saying(500), saying(600_000), expires_in=60, request_id=request())
    store.replace_all("t", [saying(500_000), *[saying(100) for _ in range(50)]], request_id=request())
    [first, second, *_] = store.read("t").items
    store.replace_message("t", first.id or "", saying(700_000), request_id=request())
    store.insert("t", saying(450_000), before=second.id, request_id=request())
    store.delete_message("t", second.id or "", request_id=request())
    store.update_thread("t", topic="a secret topic", request_id=request())
    store.clear("t", request_id=request())
    store.append("t", saying(300), saying(300_000), request_id=request())


@pytest.mark.parametrize("how", ["deleted", "expired", "erased", "its messages expired"])
def test_nothing_is_left_of_a_thread(table: Table, how: str) -> None:
    store = table.store
    store.append("other", saying(300), owner="bob")
    leave_behind(store, table.clock)
    if how == "deleted":
        store.delete_thread("t", request_id=chatstore.uuid7(table.clock() // 1000))
    elif how == "expired":
        store.update_thread("t", ttl=600)
    elif how == "erased":
        store.erase(owner="ada lovelace")
    else:
        store.append("t", saying(200), expires_in=60)
        table.sweep(timedelta(minutes=10))
        store.delete_thread("t")
    table.sweep(timedelta(minutes=11))
    table.sweep(DAY_AND_AN_HOUR)
    [seal] = [row for row in table.rows() if row["pk"]["S"] == "T#default#t"]
    assert "lovelace" not in str(seal)
    table.sweep(timedelta(minutes=61))
    assert [row for row in table.rows() if row["pk"]["S"] == "T#default#t"] == []
    assert "lovelace" not in str([row for row in table.rows() if row["pk"]["S"].startswith("L#")])
    assert [message.to_dict()["role"] for message in table.opened().read("other")] == ["user"]


def test_nothing_is_left_of_writers_that_were_killed(table: Table) -> None:
    """Each is killed before its next call, until one gets to the end; nobody repeats them."""
    kept, large = [saying(300)], [saying(LARGEST), *[saying(100) for _ in range(100)]]
    there: list[list[Any]] = []
    while not there or there[-1] == kept:
        thread, left = f"t{len(there)}", len(there)
        table.store.append(thread, *kept)

        def before(_: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        with contextlib.suppress(Killed):
            table.opened(before).replace_all(thread, large)
        there.append([message.to_dict() for message in table.opened().iter_messages(thread)])
    assert len(there) > 4
    assert there[-1] == large
    rows = len(table.of_threads())
    table.sweep(DAY_AND_AN_HOUR)
    for number, history in enumerate(there):
        assert [message.to_dict() for message in table.opened().iter_messages(f"t{number}")] == history
    # A header and a row; of the last one eight rows, and two pieces.
    assert len(table.of_threads()) == 2 * (len(there) - 1) + 11 < rows


def test_nothing_that_names_an_owner_is_left_right_after_erasure(table: Table) -> None:
    store = table.store
    store.append("t", {"role": "user", "content": "of bob's, before"}, owner="bob")
    store.delete_thread("t")
    request = "of-ada-lovelace"
    content = {"role": "user", "content": "what ada lovelace said " + noise(300)}
    store.append("t", content, {**content, "long": noise(300_000)}, owner="ada lovelace", request_id=request)
    first = store.read("t", limit=1).items[0]
    store.replace_message("t", first.id or "", {**content, "long": noise(300_000)}, request_id=request + "2")
    store.replace_all("t", [content] * 40, request_id=request + "3")
    store.for_owner("ada lovelace").append("t", content, request_id=request + "4")
    store.update_thread("t", topic="ada lovelace", metadata={"by": "ada lovelace"})
    store.append("gone", content, owner="ada lovelace")
    store.delete_thread("gone")
    erased = store.erase(owner="ada lovelace")
    assert erased.threads == 1
    rows = table.rows()
    assert "lovelace" not in repr(rows)
    assert not [row for row in rows if row["sk"]["S"].startswith("B#")]
    bodies = [row["b"]["B"] for row in rows if "b" in row and row["pk"]["S"].startswith("T#")]
    assert all(body[:1] == b"\0" and b"lovelace" not in body for body in bodies)
    assert sum(map(len, bodies)) < 300 * len(bodies)
