"""What one process has acknowledged, another sees at once, whatever it remembers of the thread."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

import chatstore
from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
from chatstore.engines.fenced import layout, messages
from chatstore.engines.fenced.header import State
from chatstore.engines.fenced.port import Entity, Slice
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say
from tests.azure_tables.fake import FakeDriver, FakeTable


class Two(NamedTuple):
    """Two processes at one table; the first remembers the thread "t", of which five messages are left."""

    first: ChatStore
    second: ChatStore
    clock: ManualClock


@pytest.fixture(params=[TABLES, COSMOS], ids=["tables", "cosmos"])
def two(request: pytest.FixtureRequest) -> Two:
    dialect: Dialect = request.param
    table, clock = FakeTable(), ManualClock()
    first, second = (ChatStore(AzureTablesBackend(FakeDriver(table), dialect, clock)) for _ in range(2))
    for number in range(60):
        first.append("t", say(number))
    for message in first.read("t", limit=55):
        first.delete_message("t", message.id or "")
    return Two(first, second, clock)


def test_a_page_that_is_not_full_holds_what_another_appended(two: Two) -> None:
    two.second.append("t", say("acknowledged"))
    page = two.first.read("t", limit=20)
    assert contents(page) == [55, 56, 57, 58, 59, "acknowledged"]
    assert page.next is None
    assert page.etag == two.second.read("t").etag


def test_what_another_appended_follows_the_page_that_it_would_have_been_the_last_of(two: Two) -> None:
    two.second.append("t", say("acknowledged"))
    page = two.first.read("t", limit=5)
    assert contents(page) == [55, 56, 57, 58, 59]
    assert contents(two.first.read("t", limit=5, after=page.next)) == ["acknowledged"]


def test_a_full_page_carries_the_etag_of_the_log_as_it_is(two: Two) -> None:
    acknowledged = two.second.append("t", say("acknowledged"))
    page = two.first.read("t", limit=3)
    assert contents(page) == [55, 56, 57]
    assert page.etag == acknowledged.etag
    two.first.append("t", say("next"), if_match=page.etag)


def test_a_thread_whose_time_another_made_shorter_is_gone_after_it(two: Two) -> None:
    two.second.update_thread("t", ttl=timedelta(minutes=1))
    two.clock.advance(timedelta(minutes=2))
    assert contents(two.first.read("t", limit=3)) == []
    with pytest.raises(chatstore.ThreadNotFound):
        two.first.get_thread("t")


def test_a_thread_whose_time_another_made_longer_is_read_past_it(two: Two) -> None:
    two.second.update_thread("t", ttl=timedelta(minutes=1))
    two.first.read("t", last=1)
    two.second.update_thread("t", ttl=timedelta(hours=1))
    two.clock.advance(timedelta(minutes=2))
    assert contents(two.first.read("t", limit=3)) == [55, 56, 57]


def test_a_name_is_looked_for_in_a_thread_whose_time_another_made_shorter(two: Two) -> None:
    two.second.update_thread("t", ttl=timedelta(minutes=1))
    two.clock.advance(timedelta(minutes=2))
    with pytest.raises(chatstore.ThreadNotFound):
        two.first.read("t", limit=3, after="key:none")


def test_a_cursor_is_of_the_thread_that_another_made_anew(two: Two) -> None:
    two.second.delete_thread("t")
    for number in range(10):
        two.second.append("t", say(f"new {number}"))
    page = two.second.read("t", limit=3)
    assert contents(two.first.read("t", limit=3, after=page.next)) == ["new 3", "new 4", "new 5"]


def test_a_page_ends_before_a_message_that_another_appended(two: Two) -> None:
    first, *_ = two.first.read("t", limit=1).items
    [acknowledged] = two.second.append("t", say("acknowledged")).messages
    page = two.first.read("t", after=first.id, before=acknowledged.id, limit=2)
    assert contents(page) == [56, 57]


def test_a_page_between_places_that_a_cut_took_is_of_a_thread_that_is_there(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "_NEAR", -1)
    first, *_ = [two.first.append("cut", say(number)).messages[0] for number in range(9)]
    after, before = (two.first.read("cut", limit=limit).next for limit in (2, 5))
    two.first.truncate("cut", from_=first.id)
    assert contents(two.first.read("cut", after=after, before=before, limit=2)) == []
    two.second.delete_thread("cut")
    with pytest.raises(chatstore.CursorExpired):
        two.first.read("cut", after=after, before=before, limit=2)


class Late(FakeDriver):
    """Something happens once between the reading of a header and that of rows which did not come with it."""

    def __init__(self, table: FakeTable, meanwhile: Callable[[], object]) -> None:
        super().__init__(table)
        self.meanwhile = [meanwhile]
        self.tops: list[int] = []

    async def page(self, *asked: Any, **more: Any) -> Slice:
        if asked[1] != layout.HEAD:
            self.tops.append(asked[2])
            if self.meanwhile:
                self.meanwhile.pop()()
        return await super().page(*asked, **more)


@pytest.fixture
def table(two: Two) -> FakeTable:
    backend = two.first.backend
    assert isinstance(backend, AzureTablesBackend)
    driver = backend.driver
    assert isinstance(driver, FakeDriver)
    return driver.table


def test_a_page_is_of_one_history(two: Two, table: FakeTable) -> None:
    """Another's comes, and a sweep takes the rows that were to be read."""

    def meanwhile() -> None:
        two.second.replace_all("t", [say("new")])
        two.second.sweep()

    driver = Late(table, meanwhile)
    store = ChatStore(AzureTablesBackend(driver, COSMOS, two.clock))
    assert contents(store.read("t", limit=3)) == ["new"]
    assert not driver.meanwhile


def test_a_page_is_read_once_though_another_appends(two: Two, table: FakeTable) -> None:
    driver = Late(table, lambda: two.second.append("t", say("since")))
    store = ChatStore(AzureTablesBackend(driver, COSMOS, two.clock))
    assert contents(store.read("t", limit=20)) == [55, 56, 57, 58, 59]
    assert not driver.meanwhile


def test_a_page_asks_for_no_more_rows_than_it_shows(two: Two, table: FakeTable) -> None:
    two.second.append("t", *map(say, range(16)))
    for number in range(40):
        two.second.append("t", say(number))
    driver = Late(table, lambda: None)
    store = ChatStore(AzureTablesBackend(driver, TABLES, two.clock))
    page = store.read("t", last=20)
    assert contents(store.read("t", before=page.next, limit=3)) == [17, 18, 19]
    assert driver.tops == [5]


def test_a_page_is_of_the_log_that_its_header_tells(two: Two, table: FakeTable) -> None:
    """Though a message was appended, and its row is there, before the header of the same page was read."""
    partition = layout.partition("default", "t")
    before = table.rows[partition, layout.HEADER]
    etag = two.second.read("t").etag

    class Torn(FakeDriver):
        async def get(self, partition: str, row: str) -> Entity | None:
            return before if row == layout.HEADER else await super().get(partition, row)

        async def page(self, *asked: Any, **more: Any) -> Slice:
            found = await super().page(*asked, **more)
            entities = [before if one.row == layout.HEADER else one for one in found.entities]
            return found._replace(entities=entities)

    two.second.append("t", say("since"), metadata={"a": 1})
    dialect = two.first.backend.dialect  # type: ignore[attr-defined]
    page = ChatStore(AzureTablesBackend(Torn(table), dialect, two.clock)).read("t", last=2)
    assert (contents(page), page.etag) == ([58, 59], etag)


def test_nothing_follows_a_message_that_has_expired(two: Two) -> None:
    brief, _ = two.first.append("t", say("brief"), say("stays"), expires_in=[60, None]).messages
    two.clock.advance(timedelta(minutes=2))
    for end in ({"after": brief.id}, {"before": brief.id}):
        with pytest.raises(chatstore.MessageNotFound):
            two.second.read("t", limit=2, **end)  # type: ignore[arg-type]


def test_an_empty_page_ends_where_it_began(two: Two) -> None:
    end = two.second.read("t").end
    assert two.second.read("t", after=end).end == end


def test_a_page_ends_before_a_message_behind_which_much_was_inserted(two: Two) -> None:
    two.first.append("t", say("a"), say("b"), say("c"))
    [edge, following] = [two.first.append("t", say(one)).messages[0] for one in ("d", "e")]
    for number in range(70):
        two.first.insert("t", say(number), before=following.id)
    assert contents(two.second.read("t", before=edge.id, limit=2)) == ["b", "c"]


def test_a_thread_that_is_made_again_by_a_clock_that_is_behind(two: Two, table: FakeTable) -> None:
    """Histories sort by when they began, and this one is the latest all the same."""
    late = ManualClock()
    two.clock.advance(timedelta(hours=5))
    third = ChatStore(AzureTablesBackend(FakeDriver(table), TABLES, late))
    two.second.replace_all("t", [say("a")])
    epochs = []
    for change in (
        lambda: third.delete_thread("t"),
        lambda: third.append("t", say("new")),
        lambda: third.replace_all("t", [say("newer")]),
    ):
        change()
        header = table.rows[layout.partition("default", "t"), layout.HEADER]
        epochs.append(State.load(header.properties["s"]).epoch)
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] < layout.next_epoch(None, int(two.clock.now.timestamp() * 1_000_000))
    assert contents(two.first.read("t")) == ["newer"]


def test_a_cut_far_from_the_end_reads_the_row_where_it_lies(two: Two, table: FakeTable) -> None:
    [place] = two.second.append("t", say("place")).messages
    for number in range(140):
        two.second.append("t", say(number))
    driver = Late(table, lambda: None)
    ChatStore(AzureTablesBackend(driver, TABLES, two.clock)).truncate("t", after=place.id)
    assert driver.tops == [1]
    assert contents(two.first.read("t", last=2)) == [59, "place"]


LARGE = secrets.token_hex(300_000)

ENDS: dict[str, Callable[[ChatStore], object]] = {
    "clear": lambda store: store.clear("t"),
    "cut": lambda store: store.truncate("t", from_="key:large"),
    "delete": lambda store: store.delete_thread("t"),
}
USES: dict[str, Callable[[ChatStore], object]] = {
    "read": lambda store: store.read("t", last=1),
    "read from the start": lambda store: store.read("t", limit=1),
    "pop": lambda store: store.pop("t"),
    "delete": lambda store: store.delete_message("t", "key:large"),
    "put": lambda store: store.replace_message("t", "key:large", say("other")),
}


def used(store: ChatStore, use: str) -> object:
    """What comes of a use: contents, or the class of an error."""
    try:
        result = USES[use](store)
    except chatstore.ChatStoreError as error:
        return type(error)
    return result if isinstance(result, chatstore.Message) or result is None else contents(result)  # type: ignore[arg-type]


@pytest.mark.parametrize("dialect", [TABLES, COSMOS], ids=["tables", "cosmos"])
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("end", [*ENDS, "nothing"])
def test_a_large_message_of_a_history_that_ended_is_not_corrupt(end: str, use: str, dialect: Dialect) -> None:
    """Who remembers that history may find its row with a piece gone: a sweep takes the pieces first."""
    outcomes = []
    for remembers in (True, False):
        table, clock = FakeTable(), ManualClock()
        first, second = (ChatStore(AzureTablesBackend(FakeDriver(table), dialect, clock)) for _ in range(2))
        (first if remembers else second).append("t", say(LARGE), key="large")
        if end != "nothing":
            ENDS[end](second)
        pieces = [key for key in table.rows if key[1].startswith("pm")]
        assert pieces
        for key in pieces:
            table.rows = {name: row for name, row in table.rows.items() if name != key}
        outcomes.append(used(first, use))
    assert outcomes[0] == outcomes[1]
    assert (outcomes[0] is chatstore.CorruptData) == (end == "nothing")
