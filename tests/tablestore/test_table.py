"""The port: the same rows as a table in memory gives, whatever they are named, and however pages are cut."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tablestore.protobuf import table_store_pb2 as messages
from urllib3.exceptions import ProtocolError

from chatstore.backends.tablestore import TablestoreBackend
from chatstore.backends.tablestore.rows import below
from chatstore.blocking import run
from chatstore.contract import system_clock
from chatstore.engines.log import Key, Row, Table
from chatstore.errors import StorageError, Unavailable
from chatstore.urls import open_backend
from examples.log_driver import MemoryTable
from tests.conftest import SOAK
from tests.tablestore.connected import connected, url_for
from tests.tablestore.service import Answer, Refused, Service

_names = itertools.count()

LETTERS = "\0 !a~\ud7ff\ue000\U0010ffff"
TEXTS = st.text(LETTERS, min_size=1, max_size=3)
PARTITIONS = st.sampled_from(["T#a#b", "T#a#" + "é" * 600, "N"])
VALUES = st.none() | st.text(max_size=3) | st.binary(max_size=3)


def made(pk: str, sk: str, v: int, s: str | bytes | None) -> Row:
    """A row, of which some are nothing but their key."""
    row: Row = {"pk": pk, "sk": sk}
    return row if s is None else {**row, "v": v, "s": s}


ROWS = st.builds(made, PARTITIONS, TEXTS, st.integers(0, 2**62), VALUES)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with connected(Service(time.time, page=3)) as service:
        yield service


def opened() -> Table:
    """An empty table."""
    backend = open_backend(url_for(next(_names)), blocking=True, clock=system_clock)
    assert isinstance(backend, TablestoreBackend)
    run(backend.prepare())
    return backend.table


async def everything(table: Table, pk: str, low: str, high: str, *, newest: bool, page: int) -> list[Row]:
    return [row async for row in table.all(pk, low, high, newest=newest, page=page)]


@settings(max_examples=500 if SOAK else 20)
@given(st.lists(ROWS, max_size=9, unique_by=lambda row: (row["pk"], row["sk"])), st.data())
def test_rows_are_as_in_any_table(service: Service, rows: list[Row], data: st.DataObject) -> None:
    table, plain = opened(), MemoryTable()
    run(table.write(rows))
    run(plain.write(rows))
    pk = data.draw(PARTITIONS)
    low, high = sorted([data.draw(TEXTS), data.draw(TEXTS)])
    page = data.draw(st.integers(1, 4))
    for newest in (False, True):
        found = run(everything(table, pk, low, high, newest=newest, page=page))
        assert found == run(everything(plain, pk, low, high, newest=newest, page=100))
        after = data.draw(TEXTS.filter(lambda text: low <= text <= high) | st.just(low))
        following = run(table.query(pk, low, high, limit=100, newest=newest, after=after)).rows
        beside = run(plain.query(pk, low, high, limit=100, newest=newest, after=after)).rows
        assert following == beside[: len(following)]
        assert bool(following) == bool(beside)
    keys = [Key(str(row["pk"]), str(row["sk"])) for row in rows]
    assert sorted(run(table.get([*keys, Key("none", "~")])), key=str) == sorted(rows, key=str)
    for row in rows:
        assert run(table.put_new({**row, "v": 5})) == row
        if "v" in row:
            assert not run(table.remove({**row, "v": int(row["v"]) + 1}))
            assert not run(table.swap({**row, "s": "new"}, int(row["v"]) + 1))
            assert run(table.swap({**row, "v": 7, "s": "new"}, int(row["v"])))
            assert run(table.get([Key(str(row["pk"]), str(row["sk"]))])) == [{**row, "v": 7, "s": "new"}]
            assert run(table.remove({**row, "v": 7, "s": "new"}))
            assert not run(table.swap({**row, "v": 8}, 7))
            assert run(table.swap({**row, "v": 8}, None))


@given(TEXTS)
def test_nothing_is_between_a_name_and_what_is_below_it_that_names_a_row(text: str) -> None:
    under = below(text)
    assert under < text
    under.encode()


def lost(service: Service, url: str, headers: Mapping[str, str]) -> Answer:
    raise ProtocolError("the connection broke off")


def timed_out(service: Service, url: str, headers: Mapping[str, str]) -> Answer:
    return service.refusal(Refused(503, "OTSTimeout"), url, headers)


def one_timed_out(service: Service, url: str, headers: Mapping[str, str]) -> Answer:
    answer = messages.BatchWriteRowResponse()
    [table] = service.tables
    row = answer.tables.add(table_name=table).rows.add(is_ok=False)
    row.error.code = "OTSInternalServerError"
    return service.answered(200, url, headers, answer.SerializeToString())


@pytest.mark.parametrize("answer", [lost, timed_out, one_timed_out])
def test_a_batch_that_may_have_been_done_is_not_sent_again(
    answer: Callable[[Service, str, Mapping[str, str]], Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(Service(time.time)) as service:
        table, sent, perform = opened(), 0, service.perform

        def unknown(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
            nonlocal sent
            sent += 1
            perform(url, headers, body)
            return answer(service, url, headers)

        monkeypatch.setattr(service, "perform", unknown)
        with pytest.raises(Unavailable):
            run(table.write([made("p", "a", 1, "s")]))
        assert sent == 1
        monkeypatch.setattr(service, "perform", perform)
        assert run(table.get([Key("p", "a")])) == [made("p", "a", 1, "s")]


def test_what_is_a_little_below_a_range_is_no_part_of_it(service: Service) -> None:
    table, low = opened(), "b"
    rows = [made("p", name, 1, "s") for name in (f"{below(low)}a", f"{below(low)}b", "b", "c")]
    run(table.write(rows))
    for limit in (1, 2, 3):
        page = run(table.query("p", low, "c", limit=limit, newest=True))
        assert page.rows == rows[:1:-1][:limit]
    assert not run(table.query("p", low, "c", limit=3, newest=True)).more
    assert not run(table.query("p", low, "c", limit=3, newest=True, after="b")).rows


def test_a_row_that_is_too_large_is_an_error_of_ours(service: Service) -> None:
    table = opened()
    with pytest.raises(StorageError, match=r"refused put_row \(OTSParameterInvalid\)"):
        run(table.put_new(made("p", "x" * 1025, 1, "s")))
    with pytest.raises(StorageError, match="refused batch_write_row"):
        run(table.write([made("p", "x" * 1025, 1, "s")]))
