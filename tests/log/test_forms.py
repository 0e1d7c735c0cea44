"""How rows are named, and what their bodies hold: nothing in vain, and nothing else passes for one."""

from __future__ import annotations

import base64
import random
from datetime import timedelta

import pytest

from chatstore.blocking import run
from chatstore.contract import ThreadKey
from chatstore.engines.log import forms, layout
from chatstore.engines.log.lists import Lists, Pointer
from chatstore.engines.log.visits import hour_of
from chatstore.errors import CorruptData
from chatstore.models import Thread
from chatstore.testing import ManualClock
from tests.log.memory_table import MemoryTable

NOW = ManualClock().now


@pytest.mark.parametrize("body", [None, 7, "text", b"", b"\2{}\n"])
def test_a_body_that_is_none_of_these_is_told(body: object) -> None:
    with pytest.raises(CorruptData):
        forms.unpacked({"pk": "T#t", "sk": "~", "b": body})  # type: ignore[dict-item]


def test_a_body_is_compressed_only_where_that_saves_a_unit() -> None:
    noise = base64.b64encode(random.Random(1).randbytes(1500)).decode()
    for text, packs in (("x" * 900, False), ("x" * 1200, True), (noise, False), (noise + "x" * 100, True)):
        body = forms.packed({}, [text])
        assert (body[:1] == b"\1") == packs, len(text)
        assert forms.unpacked({"pk": "T#t", "sk": "~", "b": body}) == ({}, text.encode())


def test_what_few_threads_have_takes_no_room_in_others() -> None:
    plain = Thread("t", None, None, {}, (), NOW, NOW, None, "e")
    sliding = Thread("t", None, None, {}, (), NOW, NOW, None, "e", sliding=timedelta(hours=1))
    assert len(forms.thread(plain)) == 8
    assert len(forms.thread(sliding)) == 9
    assert forms.thread(sliding)[8].keys() == {"sliding"}
    for thread in (plain, sliding):
        assert forms.thread_of(forms.thread(thread)) == thread


def test_a_list_names_threads_by_their_ids_where_a_row_can_bear_that() -> None:
    assert layout.owner_place("n", "i" * 999, None) == ("L#n#", "#" + "i" * 999)
    place = layout.owner_place("n", "i" * 1000, "ada")
    assert place.pk == "L#n#ada"
    assert place.sk.startswith("~")
    assert len(place.sk) < 100


def test_a_thread_that_moves_stays_in_the_hour_to_which_it_moves() -> None:
    """Also where a thread before it was listed there, by a clock that was ahead."""
    table, clock = MemoryTable(), ManualClock()
    lists, key, now = Lists(table, clock), ThreadKey("n", "t"), clock()
    before = Pointer(now - layout.HOUR, "t", "ada", (hour_of(now) - 2, hour_of(now)))
    run(lists.point(key, "ada", before.active_at, "token"))
    for hour in before.left:
        place = layout.active_place("n", hour, "t", "ada")
        run(table.write([{**place._asdict(), "v": 1, "s": "token", "id": "t"}]))
    assert run(lists.move(key, "ada", now, "token", before)) == (hour_of(now) - 1,)
    hours = [pk for pk, rows in table.rows.items() if pk.startswith("A#n#") and rows]
    assert sorted(hours) == [layout.active_bucket("n", hour_of(now) - one) for one in (1, 0)]
