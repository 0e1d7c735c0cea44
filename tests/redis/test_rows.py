"""Rows of messages as entries of a stream, and a thread whose rows are partly entries and partly members."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

import chatstore
from chatstore import ChatStore
from chatstore.backends.redis.callers import BlockingCaller
from chatstore.backends.redis.calling import Terms
from chatstore.backends.redis.driver import RedisDriver
from chatstore.backends.redis.server import Server
from chatstore.backends.redis.streams import entries_between, entry_of, row_of
from chatstore.contract import system_clock
from chatstore.engines.fenced.port import Entity, Op
from chatstore.testing import ManualClock
from chatstore.testing.samples import contents, say
from chatstore.urls import Url, open_backend
from tests.redis.servers import prefixed

HISTORIES = st.text("0189af", min_size=20, max_size=20)
SLOTS = st.integers(0, 10**10 - 1).map("{:010d}".format)
ROWS = st.builds("m{}{}~".format, HISTORIES, SLOTS)
BOUNDS = st.one_of(
    ROWS,
    st.builds(
        lambda row, cut, end: row[:cut] + end, ROWS, st.integers(0, 32), st.text("09:afg!~\0\1", max_size=3)
    ),
    st.sampled_from(["", "h", "m", "m~", "n", "p", "~"]),
)


def number(entry: str) -> tuple[int, ...]:
    return tuple(int(half) for half in entry.split("-"))


@given(ROWS, ROWS)
def test_entries_are_in_the_order_of_rows_turned_round(one: str, other: str) -> None:
    assert row_of(entry_of(one).encode()) == one
    assert (one < other) == (number(entry_of(one)) > number(entry_of(other)))
    assert max(number(entry_of(one))) < 2**64


@given(ROWS, BOUNDS, BOUNDS)
def test_a_range_of_rows_is_one_of_entries(row: str, low: str, high: str) -> None:
    between = entries_between(low, high)
    newest, oldest = ((), ()) if between is None else between
    here = bool(between) and (
        (oldest == "-" or number(str(oldest)) <= number(entry_of(row)))
        and (newest == "+" or number(entry_of(row)) <= number(str(newest)))
    )
    assert here == (low <= row < high)


@pytest.mark.parametrize(
    "row", ["h", "m", f"m{'0' * 30}V~", f"q{'0' * 40}", f"m{'0' * 30}", f"m{'g' * 20}{'0' * 10}~"]
)
def test_other_rows_are_no_entries(row: str) -> None:
    assert entry_of(row) == ""


def test_pages_go_through_entries_and_members_in_one_order(redis_url: str, tmp_path: Path) -> None:
    """Every second row was written again, so that it is a member; the header stands in front of them."""
    partition = f"T-{'1' * 40}"
    rows = [f"m{'a' * 20}{9_999_999_999 - slot:010d}~" for slot in range(1, 41)]

    async def written() -> list[list[Entity]]:
        url = Url.parse(prefixed(redis_url, tmp_path))
        terms = Terms(url.options["prefix"], 0, 5, system_clock)
        caller = BlockingCaller(Server.of(url).link, terms)
        driver = RedisDriver(caller)
        try:
            await driver.submit(
                partition, [Op("insert", "h", {"s": "0"}), *(Op("upsert", r, {"b00": b"1"}) for r in rows)]
            )
            await driver.submit(
                partition,
                [Op("merge", "h", {"s": "1"}), *(Op("upsert", r, {"b00": b"2"}) for r in rows[::2])],
            )
            found = []
            for top in (1, 2, 7, 100):
                entities: list[Entity] = []
                token = None
                while True:
                    page = await driver.page(partition, ("h", "n"), top, token)
                    assert len(page.entities) + len(page.rest) <= top
                    entities += (*page.entities, *page.rest)
                    token = page.token
                    if token is None:
                        break
                found.append(entities)
            return found
        finally:
            await driver.close()

    right = [
        ("h", {"s": "1"}),
        *(
            (row, {"b00": b"12"[(number + 1) % 2 :][:1]})
            for number, row in sorted(enumerate(rows), key=lambda one: one[1])
        ),
    ]
    for found in asyncio.run(written()):
        assert [(one.row, dict(one.properties)) for one in found] == right


def test_messages_stay_where_they_are_when_one_is_edited(redis_url: str, tmp_path: Path) -> None:
    with chatstore.connect(prefixed(redis_url, tmp_path)) as store:
        for text in "abcdef":
            store.append("t", say(text))
        ids = [one.id or "" for one in store.read("t").items]
        for place in (1, 5, 1):
            store.replace_message("t", ids[place], say(f"{place}!"))
        store.insert("t", say("between"), index=3)
        store.delete_message("t", ids[0])
        assert contents(store.read("t")) == ["1!", "c", "between", "d", "e", "5!"]
        assert contents(store.read("t", last=2)) == ["e", "5!"]
        store.append("t", say("g"))
        assert contents(store.read("t", last=3)) == ["e", "5!", "g"]


def test_nothing_is_left_of_a_thread_that_was_erased_and_swept(redis_url: str, tmp_path: Path) -> None:
    url, clock = prefixed(redis_url, tmp_path), ManualClock()
    with (
        ChatStore(open_backend(url, blocking=True, clock=clock)) as store,
        redis.Redis.from_url(redis_url) as plain,
    ):
        for number in range(3):
            store.append("t", say(f"{number}"), owner="zoe", request_id=f"r{number}", key=f"k{number}")
        store.replace_message("t", store.read("t").items[1].id or "", say("edited"))
        store.delete_thread("t")
        for _ in range(3):
            clock.advance(timedelta(days=2))
            store.sweep()
        prefix = url.rpartition("prefix=")[2]
        left = [key for key in plain.scan_iter(f"{prefix}*") if b"{T-" in key or b"{L-" in key]
        assert left == []
