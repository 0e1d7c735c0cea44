"""What is decided stands and is applied, whatever comes between the slot and the rows that it changes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

import chatstore
from chatstore import ChatStore
from chatstore.backends.memory import MemoryBackend
from chatstore.backup import Chosen, kept_threads, restore_threads
from chatstore.engines.log import Key, LogBackend, Row, Rows
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say, whole
from tests.log.doubles import Late
from tests.log.memory_table import Killed, LogInMemory, MemoryTable

HOUR = timedelta(hours=1)
DAY = 26 * HOUR
BIG = "b" * 250_000


class Meddled(MemoryTable):
    """A process's way to a table, on which something happens once in front of such a call, or behind it."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__()
        self.rows = table.rows
        self.before_swap: tuple[str, Callable[[], object]] | None = None
        self.behind_look: Callable[[], object] | None = None
        self.within_look: Callable[[], object] | None = None
        self.before_put: Callable[[], object] | None = None
        self.behind_put: Callable[[], object] | None = None
        self.behind_text: Callable[[], object] | None = None

    def _once(self, name: str) -> None:
        meddle = getattr(self, name)
        setattr(self, name, None)
        if meddle is not None:
            meddle()

    async def query(self, pk: str, low: str, high: str, **asked: Any) -> Rows:
        found = await super().query(pk, low, high, **asked)
        if pk.startswith("T#") and high == "~":
            if self.within_look is not None:
                # Rows are read one after another: the header first.
                self._once("within_look")
                later = await super().query(pk, low, high, **asked)
                found = Rows([found.rows[0], *later.rows[1:]], later.more)
            self._once("behind_look")
        return found

    async def swap(self, row: Row, version: int | None) -> bool:
        if self.before_swap is not None and str(row["sk"]).startswith(self.before_swap[0]):
            (_, meddle), self.before_swap = self.before_swap, None
            meddle()
        return await super().swap(row, version)

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        self._once("before_put")
        there = await super().put_new(row, free=free)
        self._once("behind_put")
        return there

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        await super().write(puts, deletes)
        if any(str(row["sk"]).startswith("B#") for row in puts):
            self._once("behind_text")


class World:
    """A table, a process that is meddled with, and another one."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.clock.advance(timedelta(minutes=70 - self.clock.now.minute))
        self.table = MemoryTable()
        self.meddled = Meddled(self.table)
        self.store = ChatStore(LogInMemory(self.meddled, self.clock))
        self.other = self.cold()

    def cold(self) -> ChatStore:
        """Another process, which knows nothing yet."""
        return ChatStore(LogInMemory(self.table, self.clock))

    def swept(self, wait: timedelta) -> None:
        """Time passes, and all that is due is swept."""
        self.clock.advance(wait)
        while self.other.sweep().more:
            pass


@pytest.fixture
def world() -> World:
    return World()


def no_answer() -> None:
    raise chatstore.Unavailable("no answer")


def killed() -> None:
    raise Killed


def test_an_edit_stands_of_which_the_row_could_not_be_written(world: World) -> None:
    first = world.store.append("t", say("a"), say("b")).messages[0]
    world.meddled.before_swap = ("E", no_answer)
    world.store.delete_message("t", first.id or "")
    for store in (world.store, world.other):
        store.append("t", say("c"))
    assert contents(whole(world.cold(), "t")) == ["b", "c", "c"]


def test_an_edit_is_applied_to_a_row_out_of_which_a_sweep_took_something_meanwhile(world: World) -> None:
    _, second = world.store.append("t", say("a"), say("b"), expires_in=HOUR).messages
    world.store.append("t", say("c"))
    world.store.replace_message("t", second.id or "", say("B"))
    world.meddled.before_swap = ("E", lambda: world.swept(2 * HOUR))
    third = whole(world.other, "t")[-1]
    world.store.insert("t", say("d"), before=third.id)
    world.store.append("t", say("e"))
    assert contents(whole(world.cold(), "t"))[-3:] == ["d", "c", "e"]


def test_an_edit_is_applied_to_the_same_row_that_a_sweep_changed_meanwhile(world: World) -> None:
    said = world.store.append("t", say("a"), say("b"), say("c"), expires_in=[HOUR, None, None]).messages
    world.clock.advance(2 * HOUR)
    sweeping = Late(world.table)
    with contextlib.suppress(chatstore.Unavailable):
        ChatStore(LogInMemory(sweeping, world.clock)).sweep()
    world.meddled.before_swap = ("E", sweeping.arrive)
    world.store.insert("t", say("d"), before=said[2].id)
    world.store.append("t", say("e"))
    assert contents(whole(world.cold(), "t")) == ["b", "d", "c", "e"]


def test_a_request_about_no_thread_is_answered_again_by_another_process(world: World) -> None:
    asked = world.store.delete_thread("never", request_id="r")
    assert world.other.delete_thread("never", request_id="r") == asked


class Torn(MemoryTable):
    """A way to a table on which looks at a thread find an old header above new slots, so many of them."""

    def __init__(self, table: MemoryTable, *, looks: int, stale: bool) -> None:
        super().__init__()
        self.rows = table.rows
        self.looks = looks
        self.pauses = 0
        self._stale = stale
        self._header = dict(table.rows["T#default#t"]["~"])

    async def query(self, pk: str, low: str, high: str, *, stale: bool = False, **asked: Any) -> Rows:
        found = await super().query(pk, low, high, **asked)
        if self.looks and high == "~" and pk == "T#default#t" and stale >= self._stale:
            self.looks -= 1
            return Rows([self._header, *found.rows[1:]], found.more)
        return found

    async def pause(self, seconds: float) -> None:
        self.pauses += 1


@pytest.mark.parametrize("stale", [False, True])
def test_a_header_that_stays_behind_is_waited_for_and_read_exactly(world: World, *, stale: bool) -> None:
    world.store.append("t", say("a"))
    torn = Torn(world.table, looks=100 if stale else 4, stale=stale)
    world.store.update_thread("t", topic="new")
    world.store.append("t", say("b"))
    reader = ChatStore(LogBackend(torn, world.clock, stale=True))
    assert contents(reader.read("t")) == ["a", "b"]
    assert torn.pauses == (0 if stale else 3)


def test_who_meets_changed_properties_in_the_way_applies_them_first(world: World) -> None:
    world.store.append("t", say("a"))
    second = Meddled(world.table)
    store = ChatStore(LogInMemory(second, world.clock))
    store.append("t", say("b"))
    world.meddled.before_swap = ("~", killed)
    with pytest.raises(Killed):
        ChatStore(LogInMemory(world.meddled, world.clock)).update_thread("t", topic="new")
    # Its own slot is in place, and it does nothing behind that.
    second.behind_put = lambda: setattr(second, "behind_put", killed)
    with pytest.raises(Killed):
        store.append("t", say("c"))
    assert world.other.get_thread("t").topic == "new"
    assert contents(whole(world.other, "t")) == ["a", "b", "c"]


def test_a_header_that_is_read_before_a_newer_slot_is_read_again(world: World) -> None:
    world.other.append("t", say("a"))

    def meanwhile() -> None:
        world.other.update_thread("t", topic="new")
        world.other.append("t", say("b"))

    world.meddled.within_look = meanwhile
    world.store.update_thread("t", metadata={"n": 1})
    thread = world.cold().get_thread("t")
    assert (thread.topic, thread.metadata) == ("new", {"n": 1})


@pytest.mark.parametrize("lost", [1, 4])
def test_a_slot_whose_answers_are_lost_is_taken_once(world: World, lost: int) -> None:
    world.store.append("t", say("a"))

    def again(left: int) -> None:
        if left:
            world.meddled.behind_put = lambda: again(left - 1)
            no_answer()

    world.meddled.behind_put = lambda: again(lost)
    world.store.append("t", say("b"))
    assert contents(whole(world.other, "t")) == ["a", "b"]


@pytest.mark.parametrize("silent", ["behind_put", "behind_look"])
def test_a_writer_that_hears_nothing_says_so_in_time(world: World, silent: str) -> None:
    world.other.append("t", say("a"))
    tries: list[None] = []

    def unanswered() -> None:
        tries.append(None)
        setattr(world.meddled, silent, unanswered)
        no_answer()

    setattr(world.meddled, silent, unanswered)
    with pytest.raises(chatstore.Unavailable, match="no answer"):
        world.store.append("t", say("b"))
    assert len(tries) == 5


def test_a_writer_that_slept_behind_what_it_staged_stages_it_again(world: World) -> None:
    world.store.append("t", say("a"))
    world.meddled.behind_text = lambda: world.swept(DAY)
    world.store.append("t", say(BIG))
    assert contents(whole(world.other, "t")) == ["a", BIG]


def test_a_request_that_another_process_made_meanwhile_gives_its_answer(world: World) -> None:
    first = world.store.append("t", say("a"), say("b")).messages[0]
    etag = world.other.get_message("t", first.id or "").etag
    world.clock.advance(timedelta(seconds=1))
    # An id that tells its time: nothing of before is looked through for it.
    request = chatstore.uuid7(world.clock() // 1000)

    def replaced(store: ChatStore) -> object:
        return store.replace_message("t", first.id or "", say("A"), if_match=etag, request_id=request)

    cold = ChatStore(LogInMemory(world.meddled, world.clock))
    answers: list[object] = []
    world.meddled.behind_look = lambda: answers.append(replaced(world.other))
    assert replaced(cold) == answers[0]


def test_a_request_is_found_behind_what_a_process_knows(world: World) -> None:
    ahead = chatstore.uuid7(world.clock() // 1000 + 200_000)
    for request in ("r", ahead):
        asked = world.other.append("t", say(request), request_id=request)
        world.other.append("t", say("x"))
        # It knows the thread from here on, and not what came before.
        world.store.append("t", say("y"))
        for store in (world.store, world.cold()):
            assert store.append("t", say(request), request_id=request) == asked
        world.store = world.cold()
    assert contents(whole(world.other, "t")) == ["r", "x", "y", ahead, "x", "y"]


@pytest.mark.parametrize("ended", ["deleted", "expired"])
def test_a_thread_is_listed_whose_header_is_still_the_former_ones(world: World, ended: str) -> None:
    world.other.append("t", say("old"), owner="mary", ttl=HOUR)
    if ended == "deleted":
        world.other.delete_thread("t")
    world.clock.advance(2 * HOUR)
    world.meddled.before_swap = ("~", killed)
    with contextlib.suppress(Killed):
        world.store.append("t", say("new"), owner="mary")
    assert contents(world.other.read("t")) == ["new"]
    for listed in (world.other.list_threads(owner="mary"), world.other.list_threads()):
        assert [thread.id for thread in listed] == ["t"]


def test_a_thread_stays_listed_in_the_hour_to_which_a_killed_writer_moved_it(world: World) -> None:
    """A sweep clears up behind the owner's former thread of that id."""
    world.other.append("t", say("old"), owner="mary")
    world.other.delete_thread("t")
    world.other.append("t", say("new"), owner="mary")
    world.clock.advance(20 * HOUR)
    mortal = ChatStore(LogInMemory(world.meddled, world.clock))
    world.meddled.before_put = killed
    with pytest.raises(Killed):
        mortal.append("t", say("never"))
    for _ in range(3):
        world.swept(6 * HOUR)
        assert [thread.id for thread in world.other.list_threads()] == ["t"]


def test_what_is_inserted_and_expires_is_swept_when_it_is_due(world: World) -> None:
    last = world.store.append("t", say("a"), say("b")).messages[-1]
    world.store.insert("t", say("brief words"), before=last.id, expires_in=HOUR)
    world.swept(3 * HOUR)
    assert contents(whole(world.other, "t")) == ["a", "b"]
    assert "brief words" not in repr(
        [row for row in world.table.rows["T#default#t"].values() if row.get("e")]
    )


def test_places_without_messages_do_not_add_up(world: World) -> None:
    for number in range(150):
        world.store.append("t", say(number))
        world.store.pop("t")
    world.store.append("t", say("last"))
    for _ in range(3):
        world.swept(DAY)
    assert contents(whole(world.other, "t")) == ["last"]
    assert len(world.table.rows["T#default#t"]) < 100


def test_a_text_that_is_gone_is_told(world: World) -> None:
    asked = world.store.append("t", say(BIG))
    world.store.append("t", say("b"))
    for sk in [sk for sk in world.table.rows["T#default#t"] if sk.startswith("B#")]:
        del world.table.rows["T#default#t"][sk]
    for read in (
        lambda: world.other.read("t"),
        lambda: world.other.read("t", last=5),
        lambda: world.other.get_message("t", asked.messages[0].id or ""),
        lambda: world.other.fork("t", "copy"),
    ):
        with pytest.raises(chatstore.CorruptData, match="is missing"):
            read()


def test_a_page_whose_texts_went_while_it_was_read_is_of_what_is_there_now(world: World) -> None:
    world.store.append("t", say(BIG))

    def meanwhile() -> None:
        world.other.replace_all("t", [say("new")])
        for _ in range(2):
            world.swept(DAY)

    world.meddled.behind_look = meanwhile
    assert contents(world.store.read("t", last=5)) == ["new"]


def test_a_page_behind_a_message_of_which_the_row_went_meanwhile_is_looked_for_again(world: World) -> None:
    world.store.append("t", say("a"), key="k")

    def meanwhile() -> None:
        world.other.replace_all("t", [say("new"), say("b")], key=["k", None])
        for _ in range(2):
            world.swept(DAY)

    world.meddled.behind_look = meanwhile
    assert contents(world.store.read("t", after="key:k")) == ["b"]


def test_messages_with_something_beside_them_are_not_those_of_the_same_texts(world: World) -> None:
    said = [say("a"), say("b")]
    world.store.replace_all("t", said, create=True)
    world.store.replace_all("t", said, key=["first", None])
    assert contents([world.other.get_message("t", "key:first")]) == ["a"]
    world.store.replace_all("t", said, metadata=[None, {"n": 1}])
    assert [message.metadata for message in whole(world.other, "t")] == [{}, {"n": 1}]


def pages_at_each(store: ChatStore) -> list[chatstore.Message]:
    """The messages of a thread, once a page before and behind each was compared with them."""
    messages = whole(store, "t")
    for place, message in enumerate(messages):
        assert store.get_message("t", message.id or "") == message
        behind, before = messages[place + 1 :], messages[:place]
        assert list(store.read("t", after=message.id, limit=50)) == behind
        assert list(store.read("t", before=message.id, limit=50)) == before
        assert list(store.read("t", before=message.id, after=messages[0].id, limit=50)) == before[1:]
        assert list(store.read("t", after=message.id, limit=2)) == behind[:2]
        assert list(store.read("t", before=message.id, limit=2)) == before[-2:]
    return messages


def test_pages_at_messages_that_were_put_between_others(world: World) -> None:
    for turn in ("ab", "c", "d"):
        world.store.append("t", *map(say, turn))
    for number, place in enumerate((3, 3, 1, 0)):
        world.store.insert("t", say(str(number)), index=place)
    assert "".join(contents(pages_at_each(world.other))) == "3a2bc10d"


@pytest.mark.parametrize("kind", ["memory", "log"])
def test_pages_at_restored_messages_of_which_the_ids_tell_other_places(world: World, kind: str) -> None:
    """Ids of a log tell places, which were those of the source; others tell none."""
    backend = LogInMemory(MemoryTable(), world.clock) if kind == "log" else MemoryBackend(clock=world.clock)
    source = ChatStore(backend)
    first, *_ = source.append("t", *[say(number) for number in range(12)]).messages
    source.delete_message("t", first.id or "")
    source.insert("t", say("between"), index=4)
    list(restore_threads(world.store, kept_threads(source, Chosen())))
    messages = pages_at_each(world.other)
    assert contents(messages) == contents(whole(source, "t"))
    for store in (source, world.other):
        with pytest.raises(chatstore.MessageNotFound):
            store.read("t", after=first.id, before=messages[-1].id)


class Behind(MemoryTable):
    """A way to a table on which reads that may be stale show it as it was."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__()
        self.rows = table.rows
        self.queries = 0
        self._was = table.copy()

    async def query(self, pk: str, low: str, high: str, *, stale: bool = False, **asked: Any) -> Rows:
        self.queries += 1
        if stale:
            return await self._was.query(pk, low, high, **asked)
        return await super().query(pk, low, high, **asked)


def test_a_cursor_of_a_history_that_a_stale_view_does_not_have_is_looked_for_again(world: World) -> None:
    """One of a history that has ended is expired."""
    world.store.append("t", say("a"), say("b"), say("c"))
    former = world.store.read("t", limit=1).next
    stale = ChatStore(LogBackend(Behind(world.table), world.clock, stale=True))
    world.store.replace_all("t", [say("1"), say("2"), say("3")])
    page = world.store.read("t", limit=1)
    assert contents(stale.read("t", last=20)) == ["a", "b", "c"]
    assert contents(stale.read("t", after=page.next)) == ["2", "3"]
    for store in (stale, world.store):
        with pytest.raises(chatstore.CursorExpired):
            store.read("t", after=former)


def test_a_page_before_a_message_that_a_stale_view_does_not_have_is_of_what_it_has(world: World) -> None:
    world.store.append("t", say("a"))
    stale = ChatStore(LogBackend(Behind(world.table), world.clock, stale=True))
    world.store.append("t", say("b"))
    last = world.store.append("t", say("c")).messages[0]
    assert contents(stale.read("t", before=last.id)) == ["a"]


def test_a_page_of_a_stale_view_is_not_looked_for_in_what_came_later(world: World) -> None:
    world.store.append("t", say("a"))
    behind = Behind(world.table)
    for number in range(60):
        world.store.append("t", say(number))
    assert contents(ChatStore(LogBackend(behind, world.clock, stale=True)).read("t", limit=5)) == ["a"]
    assert behind.queries == 3
