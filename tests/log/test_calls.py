"""Which calls of the table each operation makes, one after another: none is made in vain."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from chatstore import ChatStore, position
from chatstore.blocking import run
from chatstore.contract import ThreadKey
from chatstore.engines.log import layout
from chatstore.engines.log.claims import Claim
from chatstore.engines.log.head import look
from chatstore.errors import MessageNotFound
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.log.doubles import Noting
from tests.log.memory_table import LogInMemory, MemoryTable
from tests.operations import appends, counted, histories_and_lists

BIG = {"role": "user", "content": "b" * 250_000}
MINUTE = timedelta(minutes=1)
DAY = timedelta(hours=26)

FOREIGN = {"a short id": "short", "an id with signs": "msg_of_another", "an id in another script": "é" * 12}
"""Ids that tell no place."""

CALLS = {
    "a tenant's first append": "1 put_new, 1 query, 1 swap, 1 write(4, 0)",
    "an append": "1 put_new",
    "a cold append": "1 put_new, 1 query",
    "an append behind another process's": "2 put_new",
    "an append of a new minute": "1 put_new, 1 swap",
    "a request": "1 put_new",
    "a request again": "",
    "a request again, cold": "1 query",
    "an append that expires": "1 put_new, 1 write(2, 0)",
    "another that expires later": "1 put_new",
    "an append that is kept apart": "1 put_new, 1 write(1, 0), 1 write(2, 0)",
    "an append with a key": "2 put_new",
    "a message by its key": "1 get(1), 1 query",
    "no message of a key": "1 get(1), 2 query",
    "no message of a short id": "2 query",
    "no message of an id with signs": "2 query",
    "no message of an id in another script": "2 query",
    "no message of an id": "3 query",
    "no message of a killed writer's key": "1 get(1), 2 query",
    "a page from the end": "1 get(1), 1 query",
    "a page from the beginning": "2 query",
    "a page behind a message": "2 query",
    "a page before a message": "2 query",
    "a message by its id": "2 query",
    "a replaced message": "1 put_new, 1 query, 1 swap",
    "metadata of a message": "1 put_new, 1 query, 1 swap",
    "a message between": "1 put_new, 1 query, 1 swap",
    "a message in front of all": "1 put_new, 2 query, 1 swap",
    "a deleted message": "1 put_new, 1 query, 1 swap",
    "the last message": "1 put_new, 1 query, 1 swap",
    "a cut near the end": "1 get(1), 1 put_new, 4 query",
    "properties": "1 query",
    "changed properties": "1 put_new, 1 swap",
    "another history": "1 put_new, 1 query, 1 swap, 1 write(1, 0)",
    "a history that grew": "1 put_new, 1 query",
    "a history that is the same": "1 query",
    "a fork": "1 put_new, 3 query, 1 swap, 2 write(1, 0), 1 write(2, 0)",
    "a list of an owner's threads": "1 get(2), 1 query",
    "a list of all threads": "2 get(2), 2 query",
    "a list of nobody's": "1 query",
    "a thread without messages": "1 put_new, 1 query, 1 swap, 1 write(4, 0)",
    "a cleared history": "1 put_new, 1 query, 1 swap",
    "an empty history that is cleared": "1 query",
    "a pop of nothing": "1 query",
    "a pop of nothing, by a request": "1 put_new, 2 query",
    "all of a thread from the end": "1 query",
    "an index near the beginning": "1 put_new, 1 query, 1 swap, 1 write(1, 0)",
    "an index near the beginning, counted from the end": "1 put_new, 1 query, 1 swap",
    "an index near the end": "1 put_new, 1 query, 1 swap",
    "a restored thread that is there": "1 get(1), 1 get(4), 1 query",
    "a list with the last messages": "2 get(4), 8 query",
    "a deleted thread": "1 put_new, 1 swap",
    "no thread": "1 query",
    "no thread, by a request": "1 put_new, 1 write(1, 0)",
    "a thread of that id again": "1 get(1), 1 put_new, 1 query, 1 swap, 1 write(2, 0)",
    "an append of a new hour": "1 put_new, 1 query, 1 swap, 1 write(2, 0)",
    "a sweep that ends a thread": (
        "1 get(0), 1 get(1), 1 put_new, 7 query, 1 swap, 1 write(0, 0), 1 write(0, 1), 1 write(2, 0)"
    ),
    "a sweep of hours that are over": "3 get(1), 2 get(4), 9 query, 1 remove, 1 swap, 1 write(0, 1)",
    "a sweep of nothing": "1 get(1), 5 query",
    "a sweep of what ended a day ago": (
        "5 get(0), 2 get(1), 2 get(2), 2 put_new, 16 query, 28 remove, 5 swap, "
        "3 write(0, 0), 3 write(0, 1), 1 write(0, 2), 2 write(0, 4), "
        "1 write(1, 0), 1 write(3, 0)"
    ),
    "a sweep of what that left": (
        "1 get(0), 1 get(1), 1 get(2), 8 query, 1 swap, 1 write(0, 0), "
        "2 write(0, 1), 1 write(0, 2), 1 write(2, 0)"
    ),
    "a message behind the last that lives": "1 put_new, 2 query, 1 swap",
    "an erasure of nothing": "1 get(1), 2 query",
    "the end of a history behind a longer one": "1 query",
    "a thread of long ago that is taken back": "1 get(4), 1 put_new, 1 query, 1 swap, 1 write(2, 0)",
    "an erasure of a thread of two turns": "3 get(1), 1 put_new, 13 query, 3 remove, 7 swap, 2 write(0, 0)",
    "an erasure where another has a thread": (
        "2 get(1), 1 get(2), 1 put_new, 12 query, 3 remove, 3 swap, 2 write(0, 0)"
    ),
}


def played() -> dict[str, str]:
    """The calls of each operation, of a process that knows its threads where it is not said to be cold."""
    table, clock = Noting(), ManualClock()
    # An hour that begins within the test would be written once more.
    clock.advance(timedelta(minutes=70 - clock.now.minute))
    calls: dict[str, str] = {}

    def opened() -> ChatStore:
        return ChatStore(LogInMemory(table, clock))

    def note(name: str, work: Callable[[], object]) -> None:
        table.calls.clear()
        work()
        calls[name] = counted(table.calls)

    store = opened()
    appends(note, store, opened, lambda: clock.advance(MINUTE))
    note("a request again, cold", lambda: opened().append("t", say("g"), request_id="r"))
    note("an append that expires", lambda: store.append("t", say("h"), expires_in=DAY * 3))
    note("another that expires later", lambda: store.append("t", say("i"), expires_in=DAY * 4))
    note("an append that is kept apart", lambda: store.append("t", BIG))
    note("an append with a key", lambda: store.append("t", say("k"), key="k"))
    note("a message by its key", lambda: store.get_message("t", "key:k"))
    note("no message of a key", lambda: suppressed(lambda: store.get_message("t", "key:none")))
    note("a page from the end", lambda: store.read("t", last=3))
    note("a page from the beginning", lambda: store.read("t", limit=3))
    first, second, *_ = store.read("t", limit=3).items
    note("a page behind a message", lambda: store.read("t", after=first.id, limit=3))
    note("a page before a message", lambda: store.read("t", before=second.id, limit=3))
    note("a message by its id", lambda: store.get_message("t", first.id or ""))
    for kind, id in FOREIGN.items():
        note(f"no message of {kind}", lambda id=id: suppressed(lambda: store.get_message("t", id)))  # type: ignore[misc]
    note("no message of an id", lambda: suppressed(lambda: store.get_message("t", f"{first.id}0")))
    note("a replaced message", lambda: store.replace_message("t", first.id or "", say("A")))
    note("metadata of a message", lambda: store.update_message("t", second.id or "", metadata={"n": 1}))
    note("a message between", lambda: store.insert("t", say("i"), before=second.id))
    note("a message in front of all", lambda: store.insert("t", say("j"), index=0))
    note("a deleted message", lambda: store.delete_message("t", second.id or ""))
    note("the last message", lambda: store.pop("t"))
    note("a cut near the end", lambda: store.truncate("t", after=store.read("t", last=2).items[0].id))
    note("properties", lambda: store.get_thread("t"))
    histories_and_lists(note, store)
    note("a thread without messages", lambda: store.create_thread("u", ttl=MINUTE * 30))
    note("a cleared history", lambda: store.clear("copy"))
    note("an empty history that is cleared", lambda: store.clear("copy"))
    note("a pop of nothing", lambda: store.pop("copy"))
    note("a pop of nothing, by a request", lambda: store.pop("copy", request_id="p"))
    note("all of a thread from the end", lambda: store.read("copy", last=50))
    for number in range(60):
        store.append("long", say(number))
    note("an index near the beginning", lambda: store.delete_message("long", index=1))
    note("an index near the beginning, counted from the end", lambda: store.delete_message("long", index=-58))
    note("an index near the end", lambda: store.delete_message("long", index=57))
    thread, etag = store.get_thread("long"), store.read("long").etag
    note(
        "a restored thread that is there",
        lambda: run(
            LogInMemory(table, clock).restore(ThreadKey("default", "long"), thread, (), if_match=etag)
        ),
    )
    note("a list with the last messages", lambda: store.list_threads(preview=True))
    note("a deleted thread", lambda: store.delete_thread("t"))
    note("no thread", lambda: store.delete_thread("never"))
    note("no thread, by a request", lambda: store.delete_thread("never", request_id="n"))
    note("a thread of that id again", lambda: store.append("t", say("again"), owner="mary"))
    clock.advance(timedelta(hours=1))
    note("an append of a new hour", lambda: store.append("copy", say("later")))
    note("a sweep that ends a thread", store.sweep)
    clock.advance(timedelta(hours=3))
    note("a sweep of hours that are over", store.sweep)
    note("a sweep of nothing", store.sweep)
    clock.advance(DAY)
    note("a sweep of what ended a day ago", store.sweep)
    clock.advance(timedelta(hours=2))
    note("a sweep of what that left", store.sweep)
    note("an erasure of nothing", lambda: store.erase("nobody"))
    stays = store.append("brief", say("stays")).messages[0]
    store.append("brief", say("goes"), expires_in=60)
    clock.advance(2 * MINUTE)
    note("a message behind the last that lives", lambda: store.insert("brief", say("b"), after=stays.id))
    claimed_in_vain(table, "brief", "never")
    note(
        "no message of a killed writer's key",
        lambda: suppressed(lambda: store.get_message("brief", "key:never")),
    )
    store.append("hers", say("his"), owner="yuri")
    store.delete_thread("hers")
    clock.advance(timedelta(hours=1))
    store.append("hers", say("a"), owner="zoey")
    store.append("hers", say("b"))
    note("an erasure of a thread of two turns", lambda: store.erase("zoey"))
    store.append("hers", say("c"), owner="zoey")
    store.delete_thread("hers")
    store.append("hers", say("d"), owner="yuri")
    note("an erasure where another has a thread", lambda: store.erase("zoey"))
    for number in range(9):
        store.append("anew", say(number))
    store.replace_all("anew", [say("a")])
    note("the end of a history behind a longer one", lambda: store.read("anew", last=3))
    old = replace(store.get_thread("anew"), id="old")
    clock.advance(DAY)
    note("a thread of long ago that is taken back", lambda: store.restore(old))
    return calls


def claimed_in_vain(table: MemoryTable, thread: str, key: str) -> None:
    """Leave the claim of a writer that was killed before it took a slot."""
    head = run(look(table, f"T#default#{thread}"))
    claim = Claim((position.nth(head.tail + 1),), layout.attempt(0, "killed"))
    run(table.write([claim.dump(layout.claim_place(head.pk, head.public_epoch, key))]))


def suppressed(work: Callable[[], object]) -> None:
    with contextlib.suppress(MessageNotFound):
        work()


def test_every_operation() -> None:
    assert played() == CALLS
