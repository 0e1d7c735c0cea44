"""Whatever is to expire is removed by sweeps alone, whichever call said so; and nothing that was renewed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chatstore import ChatStore
from chatstore.blocking import run
from chatstore.contract import ThreadKey
from chatstore.engines.log import Row
from chatstore.errors import MessageNotFound
from chatstore.testing import ManualClock
from chatstore.testing.samples import say
from tests.log.doubles import Meanwhile, Noting
from tests.log.kept import Kept
from tests.log.memory_table import Killed, LogInMemory

BRIEF = timedelta(minutes=1)
LONG = timedelta(days=3)
KEY = ThreadKey("default", "t")
PLUMS = say("plums")


def restored(kept: Kept, ttl: timedelta, *, thread: bool, later: bool) -> None:
    """A backup taken back, of a thread that expires or of a message that does; or the last part of one."""
    kept.store.append("of", PLUMS if thread else say("other"))
    kept.store.append("of", say("more") if thread else PLUMS, expires_in=None if thread else ttl)
    messages = kept.store.read("of").items
    plain = kept.store.get_thread("of")
    wanted = replace(plain, expires_at=kept.clock.now + ttl) if thread else plain
    kept.store.delete_thread("of")
    backend = LogInMemory(kept.table, kept.clock)
    etag = None
    if later:
        etag = run(backend.restore(KEY, plain, messages[:1], if_match=None)).etag
        messages = messages[1:]
    run(backend.restore(KEY, wanted, messages, if_match=etag))


def forked(kept: Kept, ttl: timedelta) -> None:
    kept.store.append("of", PLUMS, expires_in=ttl)
    kept.store.fork("of", "t")
    kept.store.delete_thread("of")


def renewed(kept: Kept, ttl: timedelta) -> None:
    kept.store.create_thread("t", ttl=ttl, sliding=True)
    kept.clock.advance(timedelta(days=2))
    kept.swept()
    kept.store.append("t", PLUMS)


def inserted(kept: Kept, ttl: timedelta) -> None:
    kept.store.append("t", say("other"))
    kept.store.insert("t", PLUMS, index=0, expires_in=ttl)


def updated(kept: Kept, ttl: timedelta) -> None:
    kept.store.append("t", PLUMS)
    kept.store.update_thread("t", ttl=ttl)


def patched(kept: Kept, ttl: timedelta) -> None:
    kept.store.append("t", say("other"))
    kept.store.append("t", PLUMS, patch={"ttl": ttl})


WAYS: dict[str, Callable[[Kept, timedelta], object]] = {
    "create_thread": lambda kept, ttl: kept.store.create_thread("t", topic="plums", ttl=ttl),
    "append to a new one": lambda kept, ttl: kept.store.append("t", PLUMS, ttl=ttl),
    "append": lambda kept, ttl: kept.store.append("t", PLUMS, expires_in=ttl),
    "update_thread": updated,
    "append and change": patched,
    "restore a thread": lambda kept, ttl: restored(kept, ttl, thread=True, later=False),
    "restore a message": lambda kept, ttl: restored(kept, ttl, thread=False, later=False),
    "restore a thread's rest": lambda kept, ttl: restored(kept, ttl, thread=True, later=True),
    "restore the last message": lambda kept, ttl: restored(kept, ttl, thread=False, later=True),
}
LATER_WAYS: dict[str, Callable[[Kept, timedelta], object]] = {
    "insert": inserted,
    "fork": forked,
    "slide": renewed,
}
"""Those of which something stays for a day, or whose visit is planned by one that comes within a day."""


@pytest.mark.parametrize("way", WAYS)
def test_what_has_expired_goes_with_the_next_sweep(kept: Kept, way: str) -> None:
    WAYS[way](kept, BRIEF)
    assert "plums" in repr(kept.table.rows["T#default#t"])
    kept.clock.advance(2 * BRIEF)
    kept.swept()
    if kept.store.read("t").etag is None:
        # A thread ends first, and what is left of it stays for a day.
        kept.clock.advance(timedelta(hours=26))
        kept.swept()
    assert "plums" not in repr(kept.table.rows["T#default#t"])


@pytest.mark.parametrize("way", [*WAYS, *LATER_WAYS])
def test_what_expires_is_gone_after_days_of_sweeps(kept: Kept, way: str) -> None:
    (WAYS | LATER_WAYS)[way](kept, LONG)
    kept.clock.advance(timedelta(hours=30))
    kept.swept()
    there = "plums" in kept.text()
    for _ in range(5):
        kept.clock.advance(timedelta(hours=26))
        kept.swept()
    assert there
    assert "plums" not in kept.text()


class KilledBehindItsSlot(Meanwhile):
    """And then its process is gone, once it has taken a slot."""

    async def put_new(self, row: Row, **more: Any) -> Row | None:
        await super().put_new(row, **more)
        raise Killed


@pytest.mark.parametrize("again", [False, True])
def test_a_restored_thread_of_long_ago_is_listed_though_its_hour_is_cleared_up(
    kept: Kept, *, again: bool
) -> None:
    """A sweep comes after it was listed, and before its slot is taken: the call lists it, or the next."""
    kept.store.append("of", PLUMS, owner="zoey")
    thread, messages = replace(kept.store.get_thread("of"), id="t"), kept.store.read("of").items
    kept.store.delete_thread("of")
    kept.clock.advance(timedelta(hours=5))
    table = (KilledBehindItsSlot if again else Meanwhile)(kept.table, "put_new", kept.swept)
    with contextlib.suppress(Killed):
        run(LogInMemory(table, kept.clock).restore(KEY, thread, messages, if_match=None))
    assert table.happened
    if again:
        assert not list(kept.store.iter_threads())
        etag = kept.store.read("t").etag
        run(LogInMemory(kept.table, kept.clock).restore(KEY, thread, (), if_match=etag))
    for listed in (kept.store.iter_threads(), kept.store.iter_threads(owner="zoey")):
        assert [one.id for one in listed] == ["t"]


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


def test_a_message_that_is_written_as_it_expires_is_swept_though_a_sweep_was_faster(kept: Kept) -> None:
    """That sweep finds nothing to do, and leaves the visit noted."""
    kept.store.append("t", say("first"))

    def sweep() -> None:
        kept.clock.advance(2 * BRIEF)
        kept.swept()

    table = Meanwhile(kept.table, "put_new", sweep)
    ChatStore(LogInMemory(table, kept.clock)).append("t", PLUMS, expires_in=BRIEF)
    assert "plums" in kept.text()
    kept.swept()
    assert "plums" not in kept.text()


def test_the_next_visit_to_a_cleared_thread_that_has_ended_is_noted_once(kept: Kept) -> None:
    kept.store.append("t", PLUMS, ttl=LONG)
    kept.store.clear("t")
    table = Noting()
    table.rows = kept.table.rows
    for threads in (0, 1):
        kept.clock.advance(LONG / 2)
        table.calls.clear()
        assert ChatStore(LogInMemory(table, kept.clock)).sweep().threads == threads
    assert [call for call in table.calls if call.startswith(("write(1", "write(2"))] == ["write(2, 0)"]


@pytest.mark.parametrize(
    ("index", "named"), [(0, "a"), (2, "c"), (-1, "c"), (-3, "a"), (3, None), (-4, None)]
)
def test_an_index_counts_what_has_not_expired(kept: Kept, index: int, named: str | None) -> None:
    kept.store.append("t", say("brief"), say("as brief"), expires_in=BRIEF)
    for text in "abc":
        kept.store.append("t", say(text))
    kept.clock.advance(2 * BRIEF)
    if named is None:
        with pytest.raises(MessageNotFound):
            kept.store.delete_message("t", index=index)
    else:
        assert kept.store.delete_message("t", index=index).content == named


@pytest.mark.parametrize("days", [(1, 3), (3, 1)])
def test_a_sweep_comes_back_for_the_message_that_expires_next(kept: Kept, days: tuple[int, int]) -> None:
    """The visit that the first message has planned finds the others, and plans the next."""
    kept.store.append("t", say("at once"), expires_in=timedelta(hours=5))
    for count in days:
        kept.store.append("t", say(f"{count} days"), expires_in=timedelta(days=count))
    kept.clock.advance(timedelta(hours=6))
    kept.swept()
    assert "at once" not in kept.text()
    kept.clock.advance(timedelta(days=1))
    kept.swept()
    assert "1 days" not in kept.text()
    assert "3 days" in kept.text()


@pytest.mark.parametrize("brief_first", [True, False])
def test_what_was_put_between_and_has_expired_is_not_counted(kept: Kept, brief_first: bool) -> None:
    kept.store.append("t", say("a"), say("b"))
    for expires_in in (60, None) if brief_first else (None, 60):
        kept.store.insert("t", say("c"), index=0, expires_in=expires_in)
    assert kept.store.list_threads(preview=True).items[0].message_count == 4
    kept.clock.advance(timedelta(minutes=2))
    assert kept.store.list_threads(preview=True).items[0].message_count == 3
