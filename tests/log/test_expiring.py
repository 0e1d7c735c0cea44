"""Whatever is to expire is removed by sweeps alone, whichever call said so; and nothing that was renewed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from chatstore import ChatStore
from chatstore.blocking import run
from chatstore.contract import ThreadKey
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.log.memory_table import LogInMemory
from tests.log.test_cleaning import Kept, kept
from tests.log.test_erasing import Meanwhile

__all__ = ["kept"]

BRIEF = timedelta(minutes=1)
LONG = timedelta(days=3)
KEY = ThreadKey("default", "t")
PLUMS = say("plums")


def restored(kept: Kept, *, thread: bool, later: bool) -> None:
    """A backup taken back, of a thread that expires or of a message that does; or the last part of one."""
    kept.store.append("of", PLUMS if thread else say("other"))
    kept.store.append("of", say("more") if thread else PLUMS, expires_in=None if thread else LONG)
    messages = kept.store.read("of").items
    plain = kept.store.get_thread("of")
    wanted = replace(plain, expires_at=kept.clock.now + LONG) if thread else plain
    kept.store.delete_thread("of")
    backend = LogInMemory(kept.table, kept.clock)
    etag = None
    if later:
        etag = run(backend.restore(KEY, plain, messages[:1], if_match=None)).etag
        messages = messages[1:]
    run(backend.restore(KEY, wanted, messages, if_match=etag))


def forked(kept: Kept) -> None:
    kept.store.append("of", PLUMS, expires_in=LONG)
    kept.store.fork("of", "t")
    kept.store.delete_thread("of")


def renewed(kept: Kept) -> None:
    kept.store.create_thread("t", ttl=LONG, sliding=True)
    kept.clock.advance(timedelta(days=2))
    kept.swept()
    kept.store.append("t", PLUMS)


def inserted(kept: Kept) -> None:
    kept.store.append("t", say("other"))
    kept.store.insert("t", PLUMS, index=0, expires_in=LONG)


def updated(kept: Kept) -> None:
    kept.store.append("t", PLUMS)
    kept.store.update_thread("t", ttl=LONG)


def numbered_anew(kept: Kept) -> None:
    """Positions that became too long begin an epoch without what they were."""
    first, last = (kept.store.append("t", say(text)).messages[0] for text in ("other", "more"))
    kept.store.append("t", PLUMS, expires_in=LONG)
    for number in range(120):
        kept.store.insert("t", say(f"others {number}"), before=last.id)
    assert kept.store.read("t").items[0].id == first.id


WAYS: dict[str, Callable[[Kept], object]] = {
    "create_thread": lambda kept: kept.store.create_thread("t", topic="plums", ttl=LONG),
    "append to a new one": lambda kept: kept.store.append("t", PLUMS, ttl=LONG),
    "append": lambda kept: (kept.store.create_thread("t"), kept.store.append("t", PLUMS, expires_in=LONG)),
    "append as the first": lambda kept: kept.store.append("t", PLUMS, expires_in=LONG),
    "insert": inserted,
    "update_thread": updated,
    "fork": forked,
    "slide": renewed,
    "restore a thread": lambda kept: restored(kept, thread=True, later=False),
    "restore a message": lambda kept: restored(kept, thread=False, later=False),
    "restore a thread's rest": lambda kept: restored(kept, thread=True, later=True),
    "restore the last message": lambda kept: restored(kept, thread=False, later=True),
    "number anew": numbered_anew,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_expires_is_gone_after_days_of_sweeps(kept: Kept, way: str) -> None:
    WAYS[way](kept)
    kept.clock.advance(timedelta(hours=30))
    kept.swept()
    there = "plums" in kept.text()
    for _ in range(5):
        kept.clock.advance(timedelta(hours=26))
        kept.swept()
    assert there
    assert "plums" not in kept.text()


@pytest.mark.parametrize("happens", ["renewed", "deleted", "begun again"])
def test_a_sweep_ends_no_thread_that_is_another_by_then(kept: Kept, happens: str) -> None:
    """The clock of who writes is behind: for them the thread had not expired yet."""
    behind = ManualClock()
    kept.store.append("t", say("old"), ttl=BRIEF)
    kept.clock.advance(2 * BRIEF)
    writer = ChatStore(LogInMemory(kept.table, behind))

    def write() -> None:
        if happens == "renewed":
            writer.update_thread("t", ttl=timedelta(hours=1))
        else:
            writer.delete_thread("t")
        if happens == "begun again":
            writer.append("t", say("new"))

    table = Meanwhile(kept.table, "put_new", write)
    swept = ChatStore(LogInMemory(table, kept.clock)).sweep()
    assert table.happened
    assert swept.threads == 0
    contents = [message.content for message in kept.store.read("t")]
    assert contents == {"renewed": ["old"], "deleted": [], "begun again": ["new"]}[happens]
