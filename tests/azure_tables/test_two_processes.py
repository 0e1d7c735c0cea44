"""What one process has acknowledged, another sees at once, whatever it remembers of the thread."""

from __future__ import annotations

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
