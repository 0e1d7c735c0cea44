"""What others do while a sweep or a writer is held up, and what is left of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import pytest

import chatstore
from chatstore.backends.memory import MemoryBackend
from chatstore.backup import Chosen, kept_threads, restore_threads
from chatstore.engines.log import Key, Row, Rows
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say, whole
from tests.log.doubles import Mortal
from tests.log.memory_table import Killed, LogInMemory, MemoryTable

HOUR = timedelta(hours=1)


class HeldUp(MemoryTable):
    """A process's way to a table, on which something happens at its first look, list or deletion."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__()
        self.rows = table.rows
        self.before_deleting: Callable[[], None] | None = None
        self.deletions_first = 0
        self.behind_a_look: Callable[[], None] | None = None
        self.before_listing: Callable[[], None] | None = None
        self.behind_an_hour: Callable[[], None] | None = None
        self.before_a_row: Callable[[], None] | None = None

    async def query(self, pk: str, low: str, high: str, *, limit: int, newest: bool = False,
                    after: str | None = None, stale: bool = False) -> Rows:  # fmt: skip
        found = await super().query(pk, low, high, limit=limit, newest=newest, after=after, stale=stale)
        if pk.startswith("T#") and self.behind_a_look is not None:
            meanwhile, self.behind_a_look = self.behind_a_look, None
            meanwhile()
        return found

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        if deletes:
            self._wake()
        if self.before_listing is not None and any(str(row["pk"]).startswith("L#") for row in puts):
            meanwhile, self.before_listing = self.before_listing, None
            meanwhile()
        await super().write(puts, deletes)
        if self.behind_an_hour is not None and "A#default" in [row["pk"] for row in puts]:
            meanwhile, self.behind_an_hour = self.behind_an_hour, None
            meanwhile()

    async def swap(self, row: Row, version: int | None) -> bool:
        if self.before_a_row is not None and str(row["pk"]).startswith("A#default#"):
            meanwhile, self.before_a_row = self.before_a_row, None
            meanwhile()
        return await super().swap(row, version)

    async def remove(self, row: Row) -> bool:
        self._wake()
        return await super().remove(row)

    def _wake(self) -> None:
        self.deletions_first -= 1
        if self.before_deleting is not None and self.deletions_first < 0:
            meanwhile, self.before_deleting = self.before_deleting, None
            meanwhile()


def text(table: MemoryTable) -> str:
    """All that is in a table."""
    return repr([rows for rows in table.rows.items() if rows[1]])


def deleted_long_ago() -> tuple[MemoryTable, ManualClock, ChatStore]:
    """A table where a sweep removes what is left of a thread of mary's."""
    table, clock = MemoryTable(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    store.append("t", say("one"), owner="mary")
    store.delete_thread("t")
    clock.advance(26 * HOUR)
    return table, clock, store


def swept(store: ChatStore) -> None:
    while store.sweep().more:
        pass


@pytest.mark.parametrize("deletions", range(5))
def test_a_sweep_leaves_what_leads_to_a_row_that_an_erasure_changed_meanwhile(deletions: int) -> None:
    table, clock, store = deleted_long_ago()
    store.append("t", say("two"), owner="bob")
    slow = HeldUp(table)

    def meanwhile() -> None:
        store.erase("bob")

    slow.before_deleting, slow.deletions_first = meanwhile, deletions
    swept(ChatStore(LogInMemory(slow, clock)))
    store.erase("mary")
    assert "mary" not in text(table)


@pytest.mark.parametrize("erased_owner", ["mary", "bob"])
@pytest.mark.parametrize("deletions", range(6))
def test_what_lists_a_thread_goes_beside_an_erasure_of_another_owner_under_its_id(
    deletions: int, erased_owner: str
) -> None:
    table, clock = MemoryTable(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    for owner in ("mary", "bob"):
        store.append("t", say("one"), owner=owner)
        store.delete_thread("t")
    clock.advance(26 * HOUR)
    slow, erased = HeldUp(table), []
    slow.before_deleting, slow.deletions_first = lambda: erased.append(store.erase(erased_owner)), deletions
    swept(ChatStore(LogInMemory(slow, clock)))
    assert erased
    for _ in range(4):
        clock.advance(26 * HOUR)
        swept(store)
    assert "mary" not in text(table)
    assert "bob" not in text(table)


def test_an_erasure_in_front_of_a_sweeps_row_of_the_present_hour_leaves_no_name() -> None:
    table, clock, store = deleted_long_ago()
    slow, erased = HeldUp(table), []
    slow.before_a_row = lambda: erased.append(store.erase("mary"))
    swept(ChatStore(LogInMemory(slow, clock)))
    assert erased
    assert "mary" not in text(table)


@pytest.mark.parametrize("ttl", [None, HOUR])
@pytest.mark.parametrize("meanwhile", [False, True])
def test_what_two_wrote_to_list_a_thread_goes_behind_anothers_that_took_its_id(
    ttl: timedelta | None, *, meanwhile: bool
) -> None:
    """The rows that list it are of the writer that came second, and no slot bears its token."""
    table, clock = MemoryTable(), ManualClock()
    other = ChatStore(LogInMemory(table, clock))
    slow, begun = HeldUp(table), []

    def begin(text: str, owner: str, ttl: timedelta | None) -> None:
        begun.append(other.append("t", say(text), owner=owner, ttl=ttl))

    slow.before_listing = partial(begin, "first", "mary", None)
    process = ChatStore(LogInMemory(slow, clock))
    process.append("t", say("second"), owner="mary")
    other.delete_thread("t")
    clock.advance(2 * HOUR)
    if meanwhile:
        slow.behind_a_look = partial(begin, "his", "bob", ttl)
    else:
        begin("his", "bob", ttl)
    clock.advance(26 * HOUR)
    swept(process)
    assert len(begun) == 2
    assert ("mary" in text(table)) is meanwhile
    for _ in range(4):
        clock.advance(26 * HOUR)
        swept(other)
    assert "mary" not in text(table)
    assert ("bob" in text(table)) is (ttl is None)


def test_a_sweep_that_slept_for_a_day_notes_no_visit_in_an_hour_that_is_over() -> None:
    table, clock = MemoryTable(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    store.append("t", say("gone"), ttl=HOUR)
    clock.advance(2 * HOUR)
    slow = HeldUp(table)
    process = ChatStore(LogInMemory(slow, clock))
    process.append("u", say("of the hour of t's next visit"), ttl=25 * HOUR)

    def meanwhile() -> None:
        for _ in range(2):
            clock.advance(28 * HOUR)
            swept(store)

    slow.behind_a_look = meanwhile
    swept(process)
    for _ in range(4):
        clock.advance(26 * HOUR)
        swept(store)
    assert "X#" not in text(table)


def test_a_thread_that_is_restored_while_a_sweep_looks_at_the_former_one_stays_listed() -> None:
    """It is listed at the same time as the former one was: only who wrote the rows tells them apart."""
    table, clock = MemoryTable(), ManualClock()
    store, copy = ChatStore(LogInMemory(table, clock)), ChatStore(MemoryBackend(clock=clock))
    for each in (store, copy):
        each.append("t", say("one"), owner="mary")
    store.delete_thread("t")
    clock.advance(26 * HOUR)
    slow = HeldUp(table)

    def meanwhile() -> None:
        list(restore_threads(store, kept_threads(copy, Chosen())))

    slow.behind_a_look = meanwhile
    swept(ChatStore(LogInMemory(slow, clock)))
    assert contents(whole(store, "t")) == ["one"]
    for listed in (store.iter_threads(owner="mary"), store.iter_threads()):
        assert [thread.id for thread in listed] == ["t"]


def test_a_row_of_the_hour_before_goes_with_a_thread_that_two_began() -> None:
    table, clock = MemoryTable(), ManualClock()
    clock.advance(HOUR - timedelta(minutes=clock.now.minute, seconds=clock.now.second + 2))
    other = ChatStore(LogInMemory(table, clock))

    def meanwhile() -> None:
        clock.advance(timedelta(seconds=5))
        other.append("t", say("first"), owner="mary")

    slow = HeldUp(table)
    slow.before_listing = meanwhile
    ChatStore(LogInMemory(slow, clock)).append("t", say("second"), owner="mary")
    assert contents(whole(other, "t")) == ["first", "second"]
    clock.advance(4 * HOUR)
    swept(other)
    assert len([pk for pk, rows in table.rows.items() if pk.startswith("A#default#") and rows]) == 1
    assert [thread.id for thread in other.iter_threads()] == ["t"]
    other.erase("mary")
    assert "mary" not in text(table)


@pytest.mark.parametrize("slept_in", ["behind_an_hour", "before_a_row"])
def test_a_sweep_that_slept_for_days_lists_nothing_in_an_hour_that_is_over(slept_in: str) -> None:
    table, clock, store = deleted_long_ago()
    slow, slept = HeldUp(table), []

    def meanwhile() -> None:
        for _ in range(3):
            clock.advance(26 * HOUR)
            swept(store)
        slept.append(clock.now)

    setattr(slow, slept_in, meanwhile)
    with pytest.raises(chatstore.Unavailable, match="sweep again"):
        swept(ChatStore(LogInMemory(slow, clock)))
    assert slept
    clock.advance(26 * HOUR)
    swept(store)
    assert "mary" not in text(table)


@pytest.mark.parametrize("deleted", [False, True])
def test_an_erasure_beside_a_sweep_that_leads_back_to_a_thread(*, deleted: bool) -> None:
    """A call that came late has removed the owner's row; the hour's still leads to the thread."""
    table, clock = MemoryTable(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    store.append("t", say("hers"), owner="mary")
    if deleted:
        store.delete_thread("t")
    table.rows.pop("L#default#mary")
    clock.advance(4 * HOUR)
    slow, erased = HeldUp(table), []
    slow.behind_a_look = lambda: erased.append(store.erase("mary"))
    swept(ChatStore(LogInMemory(slow, clock)))
    assert erased
    assert "mary" not in text(table)


class Meddled(MemoryTable):
    """A process's way to a table, on which something happens in front of each of its slots."""

    def __init__(self, table: MemoryTable, meddle: Callable[[], object]) -> None:
        super().__init__()
        self.rows = table.rows
        self._meddle = meddle

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        if str(row["sk"]).startswith("E"):
            self._meddle()
        return await super().put_new(row, free=free)


@pytest.mark.parametrize("refused", [1, 2])
def test_an_erasure_finds_the_hours_in_which_refused_and_killed_writers_listed_a_thread(refused: int) -> None:
    """Each came as far as the owner's row, and the hour of the one before it was looked through by then."""
    table, clock = MemoryTable(), ManualClock()
    other = ChatStore(LogInMemory(table, clock))

    def killed() -> None:
        raise Killed

    def writer(meddle: Callable[[], object]) -> ChatStore:
        return ChatStore(LogInMemory(Meddled(table, meddle), clock))

    other.append("t", say("a"), owner="mary")
    clock.advance(HOUR)
    with pytest.raises(chatstore.ThreadNotFound):
        writer(lambda: other.delete_thread("t")).append("t", say("b"), create=False)
    for _ in range(refused):
        clock.advance(4 * HOUR)
        swept(other)
        with pytest.raises(Killed):
            writer(killed).append("t", say("c"), owner="mary")
    other.erase("mary")
    assert "mary" not in text(table)


@pytest.mark.parametrize("write", [
    lambda store: store.replace_all("t", [say("her last")], create=True, owner="mary"),
    lambda store: store.append("t", say("her last " * 30_000), owner="mary"),
    lambda store: store.append("t", say("last"), key="a", owner="mary"),
], ids=["replace", "large", "key"])  # fmt: skip
def test_an_erasure_finds_what_a_killed_writer_staged_who_did_not_know_of_one_before(
    write: Callable[[ChatStore], object],
) -> None:
    """It knew the thread of minutes before, and looks again where nothing lists that any more."""
    table, clock = MemoryTable(), ManualClock()
    other = ChatStore(LogInMemory(table, clock))
    killing: list[bool] = []

    def killed() -> None:
        if killing:
            raise Killed

    store = ChatStore(LogInMemory(Meddled(table, killed), clock))
    store.append("t", say("a"), owner="mary")
    clock.advance(timedelta(minutes=2))
    other.erase("mary")
    killing.append(True)
    with pytest.raises(Killed):
        write(store)
    other.erase("mary")
    assert "mary" not in text(table)
    assert not [sk for pk, rows in table.rows.items() for sk in rows if sk[0] in "BC"]
    assert "last" not in repr([list(rows.values()) for rows in table.rows.values()])


def test_who_did_not_know_of_an_erasure_lists_nothing_in_the_next_hour() -> None:
    table, clock = MemoryTable(), ManualClock()
    store, other = (ChatStore(LogInMemory(table, clock)) for _ in range(2))
    clock.advance(timedelta(minutes=59 - clock.now.minute))
    store.append("t", say("a"), owner="mary")
    clock.advance(timedelta(minutes=2))
    other.erase("mary")
    with pytest.raises(chatstore.ThreadNotFound):
        store.append("t", say("b"), create=False)
    assert "mary" not in text(table)


@pytest.mark.parametrize("act", [ChatStore.clear, ChatStore.pop], ids=["clear", "pop"])
def test_a_condition_holds_for_a_thread_that_another_empties_meanwhile(act: Callable[..., object]) -> None:
    """What is found behind the look is nothing: that is not what the condition was held against."""
    table, clock = MemoryTable(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    store.append("t", say("a"), say("b"))
    store.pop("t")
    etag = store.read("t").etag
    slow, popped = HeldUp(table), []
    slow.behind_a_look = lambda: popped.append(store.pop("t"))
    with pytest.raises(chatstore.Conflict):
        act(ChatStore(LogInMemory(slow, clock)), "t", if_match=etag)
    assert len(popped) == 1


@pytest.mark.parametrize("left", range(8, 24))
def test_a_sweep_that_is_killed_is_followed_by_one_in_the_same_hour(left: int) -> None:
    table, clock, store = deleted_long_ago()
    with contextlib.suppress(Killed):
        ChatStore(LogInMemory(Mortal(table, left), clock)).sweep()
    for _ in range(3):
        swept(store)
        clock.advance(26 * HOUR)
    assert "mary" not in text(table)
    assert not table.rows["T#default#t"]


def test_a_sweep_that_slept_leaves_what_a_writer_lists_where_all_was_swept_away_since() -> None:
    """The writer was killed before it took a slot. What it wrote goes when that hour is over."""
    table, clock, store = deleted_long_ago()

    def meanwhile() -> None:
        for _ in range(2):
            swept(store)
            clock.advance(2 * HOUR)
        assert not table.rows["T#default#t"]
        with pytest.raises(Killed):
            ChatStore(LogInMemory(Mortal(table, 5), clock)).append("t", say("two"), owner="mary")

    slow = HeldUp(table)
    slow.behind_a_look = meanwhile
    ChatStore(LogInMemory(slow, clock)).sweep()
    assert table.rows["L#default#mary"]
    clock.advance(4 * HOUR)
    swept(store)
    assert "mary" not in text(table)


def test_a_sweep_of_one_of_two_ended_threads_beside_an_erasure_that_takes_the_owner_off_the_list() -> None:
    table, clock = MemoryTable(), ManualClock()
    store = ChatStore(LogInMemory(table, clock))
    for number in range(2):
        store.append("t", say(number), owner="mary")
        store.delete_thread("t")
        clock.advance(5 * HOUR)
    clock.advance(16 * HOUR)
    slow, erased = HeldUp(table), []
    slow.behind_a_look = lambda: erased.append(store.erase("mary"))
    ChatStore(LogInMemory(slow, clock)).sweep()
    assert erased
    assert "mary" not in text(table)
    for _ in range(3):
        clock.advance(26 * HOUR)
        swept(store)
    assert not table.rows["T#default#t"]
