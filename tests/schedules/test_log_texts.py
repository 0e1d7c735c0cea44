"""Texts that are kept apart from their slots, written before and removed after, beside whoever reads them."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from chatstore.engines.log import layout, staging, texts
from tests.log.memory_table import MemoryTable
from tests.schedules import log as do
from tests.schedules.explorer import Actor, Count, explore
from tests.schedules.log import Deterministic, SteppedTable, judge, started
from tests.schedules.model import Modelled

MILLISECOND = 1000
LATER = 26 * layout.HOUR


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of more than four bytes are long, and the time and the actor name where they are kept."""
    monkeypatch.setattr(staging, "MOST_INLINE", 4)
    monkeypatch.setitem(staging.keep_apart.__kwdefaults__ or {}, "most", 4)
    monkeypatch.setattr(secrets, "token_hex", lambda size: "0" * 2 * size)


def actor(number: int, *operations: Modelled, later: int = 0) -> Actor[Modelled]:
    def backend() -> Deterministic:
        return Deterministic(SteppedTable(), number, ahead=later + number * MILLISECOND)

    return Actor(operations, backend, repeats=True)


THERE = ("a", "long b", "long c")


def there() -> tuple[MemoryTable, Any]:
    table, ids, _ = started(["a"], ["long b", "long c"])
    assert any(sk.startswith("B#") for sk in table.rows["T#default#t"])
    return table, ids


@pytest.mark.parametrize("what", ["append", "replace all", "put b", "take b", "insert before c"])
@pytest.mark.parametrize("newest", [True, False])
def test_a_reader_beside_long_texts_and_a_visit(what: str, newest: bool, counted: list[Count]) -> None:
    table, ids = there()
    writes = {
        "append": do.append("long x", "long y"),
        "replace all": do.replace_all("long r", "s"),
        "put b": do.replace_message(ids["long b"], "long b", "long B"),
        "take b": do.delete_message(ids["long b"], "long b"),
        "insert before c": do.insert_before(ids["long c"], "long c", "long i"),
    }
    for others, later, faults in (([], 0, 1), ([actor(3, do.visit(), later=LATER)], LATER, 0)):
        reader = actor(2, do.read("read", newest=newest), later=later)
        writer = actor(1, writes[what], later=later)
        count = explore(table, [writer, reader, *others], judge(THERE), faults=faults)
        counted.append(count)
        assert not count.bad, count.bad[0]


def test_two_that_change_one_long_text(counted: list[Count]) -> None:
    table, ids = there()
    put = do.replace_message(ids["long b"], "long b", "long B")
    take = do.delete_message(ids["long b"], "long b|long B")
    count = explore(table, [actor(1, put), actor(2, take)], judge(THERE), faults=1)
    counted.append(count)
    assert not count.bad, count.bad[0]


def test_a_text_that_is_gone_and_taken_for_a_part_of_a_message_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table, ids = there()

    async def whatever(self: object, entries: list[Any]) -> list[Any]:
        return entries

    monkeypatch.setattr(texts.Texts, "of", whatever)
    take = do.delete_message(ids["long b"], "long b")
    assert explore(table, [actor(1, take), actor(2, do.read())], judge(THERE)).bad
