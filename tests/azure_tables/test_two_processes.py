"""What one process has acknowledged, another sees at once, whatever it remembers of the thread."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest

import chatstore
from chatstore.backends.azure_tables import COSMOS, TABLES, AzureTablesBackend, Dialect
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
