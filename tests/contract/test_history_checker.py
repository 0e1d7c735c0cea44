"""The checker of histories finds what it is there to find, and nothing in a sound history."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chatstore.models import Message
from chatstore.testing.history import Fault, Mark, Turn, find_faults, mark_of, marked

TURNS = [Turn("ada", 1, 2), Turn("bob", 1, 1), Turn("ada", 2, 3), Turn("bob", 2, 2)]


def messages(turns: Sequence[Turn]) -> list[Message]:
    return [Message.from_dict(message) for turn in turns for message in marked(turn)]


SOUND = messages(TURNS)


def kinds(faults: list[Fault]) -> set[str]:
    return {fault.kind for fault in faults}


def test_marks_say_what_was_marked() -> None:
    assert [mark_of(message) for message in messages([Turn("ada", 7, 2)])] == [
        Mark(Turn("ada", 7, 2), 0),
        Mark(Turn("ada", 7, 2), 1),
    ]
    assert mark_of(Message.from_dict({"role": "user"})) is None


@given(st.data())
def test_a_sound_history_has_no_fault(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), max_size=12))
    turns = [Turn(writer, number, size) for number, (writer, size) in enumerate(sizes)]
    removed = [mark for mark in map(mark_of, messages(turns)) if mark and data.draw(st.booleans())]
    final = [message for message in messages(turns) if mark_of(message) not in removed]
    seen = data.draw(st.integers(0, len(turns)))
    later = [Turn("unanswered", 1, 2)]
    views = [messages(turns[:seen]), final, messages(turns)]
    assert find_faults(turns, views, [*final, *messages(later)], removed=removed) == []


@given(st.integers(0, len(SOUND)), st.integers(0, len(SOUND)))
def test_a_page_may_cut_a_turn_and_a_whole_view_may_not(start: int, end: int) -> None:
    page = SOUND[start:end]
    assert find_faults(TURNS, [page], SOUND, complete=False) == []
    cut = any(0 < len([m for m in messages([turn]) if m in page]) < turn.size for turn in TURNS)
    assert kinds(find_faults(TURNS, [page], SOUND)) == ({"torn"} if cut else set())


@given(st.integers(0, len(SOUND) - 1))
def test_finds_every_lost_message(at: int) -> None:
    faults = find_faults(TURNS, [], SOUND[:at] + SOUND[at + 1 :])
    assert Fault("lost", f"{mark_of(SOUND[at])}") in faults
    assert "lost" in kinds(find_faults([*TURNS, Turn("cy", 1)], [SOUND], SOUND))


@given(st.integers(0, len(SOUND) - 1), st.integers(0, len(SOUND)), st.booleans())
def test_finds_every_duplicate(at: int, to: int, at_the_end: bool) -> None:
    doubled = [*SOUND[:to], SOUND[at], *SOUND[to:]]
    assert "duplicated" in kinds(
        find_faults(TURNS, [], doubled) if at_the_end else find_faults(TURNS, [doubled], SOUND)
    )


def test_finds_two_readers_who_disagree() -> None:
    swapped = messages([TURNS[1], TURNS[0], TURNS[2], TURNS[3]])
    assert kinds(find_faults(TURNS, [swapped], SOUND)) == {"reordered"}
    assert kinds(find_faults(TURNS, [swapped], swapped)) == set()


def test_finds_a_writer_whose_turns_changed_places() -> None:
    swapped = messages([TURNS[2], TURNS[1], TURNS[0], TURNS[3]])
    assert kinds(find_faults(TURNS, [swapped], swapped)) == {"reordered"}


@given(st.integers(0, len(SOUND)))
def test_finds_a_turn_with_something_between_its_parts(at: int) -> None:
    foreign = messages([Turn("cy", 1)])
    mixed = SOUND[:at] + foreign + SOUND[at:]
    inside = 0 < at < len(SOUND) and _turn(SOUND[at - 1]) == _turn(SOUND[at])
    for complete in (True, False):
        assert kinds(find_faults(TURNS, [mixed], mixed, complete=complete)) == ({"torn"} if inside else set())
    assert find_faults(TURNS, [mixed], mixed, inserted=["cy"]) == []


def test_finds_a_turn_that_was_partly_visible() -> None:
    assert kinds(find_faults(TURNS, [SOUND[:4]], SOUND)) == {"torn"}
    unanswered = messages([Turn("cy", 1, 3)])
    assert kinds(find_faults(TURNS, [], SOUND + unanswered[:2])) == {"torn"}


def test_finds_parts_that_changed_places() -> None:
    mixed = [SOUND[1], SOUND[0], *SOUND[2:]]
    assert kinds(find_faults(TURNS, [mixed], mixed)) == {"reordered"}


def test_finds_what_was_removed_and_came_back() -> None:
    removed = [mark for mark in map(mark_of, SOUND[:1]) if mark]
    assert kinds(find_faults(TURNS, [SOUND], SOUND, removed=removed)) == {"removed"}


def test_finds_what_nobody_wrote() -> None:
    foreign = Message.from_dict({"role": "user", "content": "?"})
    assert kinds(find_faults(TURNS, [[*SOUND, foreign]], SOUND)) == {"unknown"}


def test_finds_a_reader_who_saw_two_histories_at_once() -> None:
    old, new = Turn("replacer", 1, 4), Turn("replacer", 2, 3)
    torn = messages([old])[:2] + messages([new])
    assert kinds(find_faults([new], [torn], messages([new]))) == {"torn"}
    assert find_faults([new], [messages([old]), messages([new])], messages([new])) == []


def _turn(message: Message) -> Turn | None:
    mark = mark_of(message)
    return None if mark is None else mark.turn
