"""What is taken out of rows that stay: nothing of it is left, and the rest is where and what it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chatstore.blocking import run
from chatstore.engines.log.head import look
from chatstore.engines.log.records import Effect, Slot
from tests.log.kept import BIG, LATER, Kept

DAYS = timedelta(days=3)


def begun(kept: Kept, wide: str = "") -> tuple[str, ...]:
    """A turn of which every other message expires; their ids."""
    texts = [f"quickly {wide}", "stays", f"quickly too {wide}", "stays too"]
    turn = [{"role": "user", "content": text} for text in texts]
    beside = [{"of": text[:11]} for text in texts]
    keys = [f"name of {text[:11]}" for text in texts]
    kept.store.append("t", {"role": "user", "content": "first"})
    appended = kept.store.append("t", *turn, expires_in=[DAYS, None] * 2, metadata=beside, key=keys)
    return tuple(message.id or "" for message in appended.messages)


def passed(kept: Kept, *times: timedelta) -> None:
    for time in times:
        kept.clock.advance(time)
        kept.swept()


def rows(kept: Kept) -> list[dict[str, Any]]:
    return [row for sk, row in kept.table.rows["T#default#t"].items() if sk.startswith("E")]


def test_what_expired_is_gone_from_its_row_and_the_rest_is_as_it_was(kept: Kept) -> None:
    _, stays, _, last = begun(kept)
    before = [message for message in kept.store.iter_messages("t") if "quickly" not in str(message.content)]
    passed(kept, DAYS)
    assert "quickly" not in kept.text()
    assert list(kept.store.iter_messages("t")) == before
    assert [one.id for one in kept.store.read("t", limit=1, after=stays)] == [last]
    (shown,) = kept.store.list_threads(preview=True)
    assert (shown.message_count, shown.preview) == (3, "stays too")
    edited = kept.store.replace_message("t", stays, {"role": "user", "content": "edited"})
    kept.store.insert("t", {"role": "user", "content": "between"}, before=last)
    kept.store.delete_message("t", last)
    texts = [message.content for message in kept.store.iter_messages("t")]
    assert texts == ["first", "edited", "between"]
    assert edited.id == stays
    fork = kept.store.fork("t", "branch")
    assert [message.content for message in kept.store.iter_messages(fork.id)] == texts


def test_a_sweep_leaves_a_row_alone_that_it_took_all_out_of_before(kept: Kept) -> None:
    begun(kept)
    passed(kept, DAYS)
    before = rows(kept)
    passed(kept, LATER, LATER)
    assert rows(kept) == before


def test_a_copy_of_the_history_has_no_places_of_what_expired(kept: Kept) -> None:
    _, stays, _, _ = begun(kept)
    passed(kept, DAYS)
    for number in range(70):
        kept.store.replace_message("t", stays, {"role": "user", "content": f"edit {number}"})
    head = run(look(kept.table, "T#default#t"))
    living = [Slot.load(row) for row in rows(kept) if str(row["sk"]).startswith(f"E{head.epoch}")]
    assert not any(entry.faded for slot in living for entry in slot.entries)
    assert [message.content for message in kept.store.iter_messages("t")] == ["first", "edit 69", "stays too"]


def test_a_text_that_is_kept_apart_goes_when_its_message_expired(kept: Kept) -> None:
    begun(kept, BIG)
    passed(kept, LATER, DAYS, timedelta(hours=2))
    assert "xxxx" not in kept.text()
    assert [message.content for message in kept.store.iter_messages("t")] == ["first", "stays", "stays too"]


def test_what_was_cut_out_of_a_turn_goes_after_a_day(kept: Kept) -> None:
    kept.store.append(
        "t",
        *({"role": "user", "content": f"said {number} {BIG}"} for number in range(3)),
        key=["a", "b", "cuckoo"],
    )
    first, second, _ = kept.store.read("t").items
    kept.store.truncate("t", after=second.id)
    passed(kept, timedelta(hours=3))
    assert "cuckoo" in kept.text()
    passed(kept, LATER, timedelta(hours=2))
    assert "cuckoo" not in kept.text()
    assert len([sk for sk in kept.table.rows["T#default#t"] if sk.startswith("B")]) == 6
    assert list(kept.store.iter_messages("t")) == [first, second]


def test_an_edit_that_arrives_behind_a_sweep_brings_nothing_back(kept: Kept) -> None:
    begun(kept)
    (row,) = (row for row in rows(kept) if b"quickly" in row["b"])
    slot = Slot.load(row)
    edit = slot._replace(entries=slot.entries[:1])
    swept = slot.fade([0])
    again = swept.apply(Effect(slot.position, slot.edition, "put", 0), edit)
    assert again.entries == swept.entries
    assert again.edition == slot.edition + 1
