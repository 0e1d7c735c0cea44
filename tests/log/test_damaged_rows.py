"""Rows that are missing or hold something else are told, and never shown as what they are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import chatstore
from chatstore.engines.log import Row
from chatstore.engines.log.records import Slot
from chatstore.store import ChatStore
from chatstore.testing.samples import contents, say, whole
from tests.log.kept import BIG, Kept
from tests.log.memory_table import LogInMemory


def pieces(kept: Kept) -> dict[str, Row]:
    """The rows of texts that are kept apart."""
    return {sk: row for sk, row in kept.table.rows["T#default#t"].items() if sk.startswith("B#")}


def removed(kept: Kept, place: str, _: Row) -> None:
    del kept.table.rows["T#default#t"][place]


def without_bytes(kept: Kept, place: str, row: Row) -> None:
    kept.table.rows["T#default#t"][place] = {**row, "b": 7}


def test_a_row_of_another_kind_is_no_slot() -> None:
    with pytest.raises(chatstore.CorruptData, match="C#t"):
        Slot.load({"pk": "T#default#t", "sk": "C#t", "v": 1, "s": "", "b": b""})


@pytest.mark.parametrize("damage", [removed, without_bytes])
def test_a_text_of_which_a_piece_is_damaged_is_corrupt(
    kept: Kept, damage: Callable[[Kept, str, Row], None]
) -> None:
    message = kept.store.append("t", say(BIG)).messages[0]
    damage(kept, *max(pieces(kept).items()))
    for call in (lambda: kept.store.read("t"), lambda: kept.store.get_message("t", message.id or "")):
        with pytest.raises(chatstore.CorruptData):
            call()


def test_a_request_whose_answer_lost_its_text_is_neither_answered_nor_done_again(kept: Kept) -> None:
    kept.store.append("t", say("first"), say(BIG))
    request = chatstore.uuid7(kept.clock() // 1000)
    kept.store.pop("t", request_id=request)
    for place, row in pieces(kept).items():
        removed(kept, place, row)
    with pytest.raises(chatstore.Unavailable):
        ChatStore(LogInMemory(kept.table, kept.clock)).pop("t", request_id=request)
    assert contents(whole(kept.store, "t")) == ["first"]
