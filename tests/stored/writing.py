"""Writes the rows that later versions must go on reading: ``python -m tests.stored.writing NAME``.

It makes ``rows/NAME-STORAGE.json.gz`` for each storage: its rows, and what was read of them. A file that
is there is never written again: it is what a version in use left behind.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from chatstore import ChatStore, Message, RequestId
from chatstore.testing import ManualClock
from tests.stored.storages import STORAGES

ROWS = Path(__file__).parent / "rows"
TENANTS = "default", "acme"
OWNERS = "ada", "bob"
START = 1_790_000_000_000_000
# Longer than any storage keeps in one row, compressed or not.
LONG = random.Random(1).randbytes(280_000).hex()
# Ids that carry a time, so that their results are kept for a day.
REQUESTS = {
    "pop": RequestId("01a0c450-6c00-7000-8000-000000000001"),
    "append": RequestId("01a0c450-6c00-7000-8000-000000000002"),
    "fork": RequestId("01a0c450-6c00-7000-8000-000000000003"),
    "create": RequestId("01a0c450-6c00-7000-8000-000000000004"),
    "patch": RequestId("01a0c450-6c00-7000-8000-000000000005"),
    "cut": RequestId("01a0c450-6c00-7000-8000-000000000006"),
    "rate": RequestId("01a0c450-6c00-7000-8000-000000000007"),
}


def say(*contents: str) -> list[dict[str, Any]]:
    """Messages."""
    return [{"role": "user", "content": content, "score": 1.0} for content in contents]


def repeated(store: ChatStore) -> dict[str, Any]:
    """Requests that are sent again later: each gives its first result."""
    return {
        "pop": getattr(store.pop("told", request_id=REQUESTS["pop"]), "text", None),
        "append": [
            message.id
            for message in store.append("told", *say("once"), request_id=REQUESTS["append"]).messages
        ],
        "fork": store.fork("told", "told twice", request_id=REQUESTS["fork"]).created_at.isoformat(),
        "thread": store.create_thread(
            "made", topic="kept", request_id=REQUESTS["create"]
        ).created_at.isoformat(),
    }


def repeated_of_more(store: ChatStore) -> dict[str, Any]:
    """The same of what a cut, a patch and metadata of a message were answered."""
    patched = store.append(
        "patched",
        *say("once more"),
        patch={"topic": "by an append", "ttl": 10**8},
        request_id=REQUESTS["patch"],
    )
    rated = store.update_message("named", "key:two", metadata={"stars": 5}, request_id=REQUESTS["rate"])
    return {
        "patch": [patched.messages[0].id, patched.thread_etag],
        "cut": store.truncate("cut", after="key:10", request_id=REQUESTS["cut"]).etag,
        "rate": [rated.id, rated.etag, rated.metadata, rated.text],
    }


def fill(store: ChatStore, clock: ManualClock) -> None:
    """Write something of each kind."""
    for tenant in TENANTS:
        scoped = store.for_tenant(tenant)
        people = [{"id": "p/1", "display_name": "Ö", "metadata": {"a": [1, None]}}]
        scoped.create_thread(
            "plain", topic="plans", owner="ada", participants=people, metadata={"n": 1.5, "s": [None]}
        )
        for number in range(25):
            clock.advance(timedelta(seconds=7))
            scoped.append("plain", *say(f"{number} é\0", "answer \U0001f389"))
        scoped.insert("plain", *say("between"), index=3)
        scoped.replace_message("plain", _id(scoped, "plain", 5), *say("anew"))
        scoped.delete_message("plain", _id(scoped, "plain", 7))
        scoped.append("long", *say(LONG if tenant == "acme" else "short"), owner="bob")
        scoped.append("a/ü {}", *say("x"), expires_in=timedelta(days=400))
        scoped.append("short-lived", *say("gone"), expires_in=timedelta(seconds=5))
        scoped.fork("plain", "forked")
        scoped.append("forked", *say("on its own"))
        scoped.create_thread("replaced", owner="ada")
        scoped.replace_all("replaced", say("one", "two", "three"))
        scoped.replace_all("replaced", say("four", "five"))
        scoped.append("cleared", *say("one", "two"))
        scoped.clear("cleared")
        scoped.append("deleted", *say("one"))
        scoped.delete_thread("deleted")
        scoped.append("told", *say("first", "popped"))
        repeated(scoped)
        _fill_more(scoped, clock)
        scoped.update_thread("plain", topic="other plans", metadata={"n": None, "t": {"deep": [[]]}})
        clock.advance(timedelta(minutes=61))
        scoped.append("slides", *say("b"))
        clock.advance(timedelta(minutes=122))
        scoped.append("slides", *say("renewed"))
    clock.advance(timedelta(seconds=10))


def _fill_more(store: ChatStore, clock: ManualClock) -> None:
    """Names and metadata of messages, cuts, kinds, origins, expiries that slide."""
    store.append("named", *say("one", "two", "three", "four"), key=["one", "two", "é/ {}", None], owner="ada",
                 metadata=[{"client": 1}, {}, {"state": "partial", "n": 1.0}, {}])  # fmt: skip
    store.replace_message("named", "key:one", *say("one, anew"))
    store.update_message("named", "key:é/ {}", metadata={"state": None, "n": 2.0})
    store.append("named", *say("short"), key="gone", expires_in=5)
    clock.advance(timedelta(seconds=9))
    store.append("named", *say("again"), key="gone")
    store.delete_message("named", "key:two")
    store.append("named", *say("two again"), key="two")
    store.append("patched", *say("first"), owner="bob", topic="x", if_none_match="*")
    for number in range(150):
        store.append("cut", *say(f"{number} to be cut"), key=f"{number}")
    store.append("cut", *say("instead"), after="key:20", key="30")
    store.append("cut", *say("behind", "and cut"))
    repeated_of_more(store)
    store.append("cut", *say("behind the second cut"), key="11")
    store.append("cut near", *say("question", "answer"), *say("second answer"))
    store.append("cut near", *say("better"), after=_id(store, "cut near", 0))
    store.append("receipt", *say("read"), kind="receipts", owner="ada", thread_metadata={"whole": None})
    store.fork("named", "branch", before="key:two", topic="a branch")
    store.append("slides", *say("a"), ttl=timedelta(hours=8), sliding=True)


def seen(store: ChatStore) -> dict[str, Any]:
    """What is read of it, etags included."""
    return {tenant: _tenant(store.for_tenant(tenant)) for tenant in TENANTS}


def _tenant(store: ChatStore) -> dict[str, Any]:
    threads = list(store.iter_threads())
    others = [thread.id for thread in store.iter_threads(kind="*") if thread.kind != "chat"]
    more = {"others": {id: _thread(store, id) for id in others}} if others else {}
    return more | {
        "listed": [thread.id for thread in threads],
        "owned": {owner: [thread.id for thread in store.iter_threads(owner=owner)] for owner in OWNERS},
        "threads": {thread.id: _thread(store, thread.id) for thread in threads},
    }


def _thread(store: ChatStore, id: str) -> Mapping[str, Any]:
    thread = store.get_thread(id)
    page = store.read(id, last=3)
    more = [thread.kind, str(thread.sliding), thread.forked_from]
    unusual = {"more": more} if more != ["chat", "None", None] else {}
    return unusual | {
        "etag": thread.etag,
        "owner": thread.owner,
        "topic": thread.topic,
        "metadata": thread.metadata,
        "participants": [[one.id, one.display_name, one.metadata] for one in thread.participants],
        "times": [str(thread.created_at), str(thread.active_at), str(thread.expires_at)],
        "log": page.etag,
        "last": [message.id for message in page],
        "before": None if page.next is None else str(page.next),
        "messages": [_message(store, id, message) for message in store.iter_messages(id)],
    }


def _message(store: ChatStore, thread: str, message: Message) -> list[Any]:
    seen = [message.id, str(message.position), message.etag, _short(message.text), str(message.created_at)]
    if message.key is None and not message.metadata:
        return seen
    by_key = None if message.key is None else store.get_message(thread, f"key:{message.key}").id
    return [*seen, message.key, by_key, message.metadata]


def _short(text: str) -> str:
    """The text, or a digest of a long one."""
    return text if len(text) < 1000 else hashlib.sha256(text.encode()).hexdigest()


def _id(store: ChatStore, thread: str, index: int) -> str:
    return list(store.iter_messages(thread))[index].id or ""


def main(name: str) -> None:
    """Write the files that are not there."""
    for kind, opened in STORAGES.items():
        path = ROWS / f"{name}-{kind}.json.gz"
        if path.exists():
            continue
        clock = ManualClock()
        clock.advance(timedelta(microseconds=START - clock()))
        with tempfile.TemporaryDirectory() as folder:
            storage = opened(Path(folder), clock, None)
            store = ChatStore(storage.backend)
            fill(store, clock)
            again = {tenant: repeated_of_more(store.for_tenant(tenant)) for tenant in TENANTS}
            told = {"clock": clock(), "seen": seen(store), "again": again, "rows": storage.rows()}
            store.close()
        path.write_bytes(gzip.compress(json.dumps(told, sort_keys=True).encode(), mtime=0))
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
