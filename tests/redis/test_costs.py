"""What operations cost on Redis, in trips and in commands that the server ran, as its page says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

import chatstore
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.redis.servers import prefixed

PAGE = Path(__file__).parents[2] / "docs" / "redis.md"


def test_every_operation(redis_url: str, tmp_path: Path) -> None:
    url, clock = prefixed(redis_url, tmp_path), ManualClock()
    costs: dict[str, set[tuple[int, int]]] = {}
    with (
        redis.Redis.from_url(redis_url) as plain,
        chatstore.connect(url, clock=clock) as store,
        chatstore.connect(url, clock=clock) as other,
    ):

        def ran() -> Counter[str]:
            stats: Any = plain.info("commandstats")
            return Counter({name: one["calls"] for name, one in stats.items() if name != "cmdstat_info"})

        def note(name: str, call: Callable[[], Any]) -> None:
            before = ran()
            trips = call().cost.trips
            costs.setdefault(name, set()).add((trips, sum((ran() - before).values())))

        def newest(thread: str, count: int) -> str:
            return store.read(thread, last=count).items[0].id or ""

        def calls(thread: str) -> None:
            note("first append to a new thread", lambda: store.append(thread, say("a")))
            note("append of up to 16 messages", lambda: store.append(thread, say("b")))
            note("append of up to 16 messages", lambda: store.append(thread, *map(say, range(16))))
            note("append of 50 messages", lambda: store.append(thread, *map(say, range(50))))
            unknown = "append where this process does not know the thread yet"
            note(unknown, lambda: other.append(thread, say("c")))
            store.read(thread, last=1)
            first = "the first append with a request id to a thread"
            note(first, lambda: store.append(thread, say("d"), request_id=f"{thread} 1"))
            note(
                "append with a request id, or a key",
                lambda: store.append(thread, say("e"), request_id=f"{thread} 2"),
            )
            note("append with a request id, or a key", lambda: store.append(thread, say("f"), key="k"))
            note("last 20, a page of up to 63 rows", lambda: store.read(thread, last=20))
            note("properties, a page of more than 63 rows", lambda: store.get_thread(thread))
            note("properties, a page of more than 63 rows", lambda: store.read(thread, limit=100))
            oldest, last = newest(thread, 1000), newest(thread, 1)
            note("message by id", lambda: store.get_message(thread, oldest))
            note("message by key", lambda: store.get_message(thread, "key:k"))
            own = "edit or deletion of a message in the row that this process wrote last"
            note(own, lambda: store.replace_message(thread, last, say("F")))
            note(own, lambda: store.update_message(thread, "key:k", metadata={"stars": 5}))
            note(own, lambda: store.delete_message(thread, last))
            other_edits = "any other edit or deletion"
            note(other_edits, lambda: store.replace_message(thread, oldest, say("A")))
            store.append(thread, say("g"))
            note(other_edits, lambda: store.delete_message(thread, oldest))
            more = "pop, truncate near the end, change of properties"
            note(more, lambda: store.pop(thread))
            note(more, lambda: store.truncate(thread, after=newest(thread, 3)))
            note(more, lambda: store.update_thread(thread, topic="x"))

        # The first round tells the server each script.
        store.create_thread("a tenant's first")
        for number in range(2):
            costs.clear()
            calls(f"t{number}")
    page = PAGE.read_text()
    for name, seen in costs.items():
        trips, commands = (sorted({one[place] for one in seen}) for place in (0, 1))
        several = f"{commands[0]} to {commands[-1]}" if commands[1:] else f"{commands[0]}"
        assert f"| {name} | {trips[-1]} | {several} |" in page
        assert len(trips) == 1
