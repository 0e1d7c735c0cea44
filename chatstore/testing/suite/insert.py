"""Inserting messages between others."""

from __future__ import annotations

from typing import Any

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidArgument, MessageNotFound, ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.backend_tests import Sample
from chatstore.testing.capabilities import needs, supported
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, whole

__all__ = ["Insert"]


def three(store: ChatStore) -> list[str]:
    """Thread "t" with the messages a, b and c; their ids."""
    return [message.id or "" for message in store.append("t", say("a"), say("b"), say("c")).messages]


class Insert:
    """`ChatStore.insert`."""

    @needs(Capability.INSERT)
    def test_in_front_of_and_behind_another(self, store: ChatStore, clock: ManualClock) -> None:
        a, b, c = three(store)
        inserted = store.insert("t", say("x"), before=b)
        store.insert("t", say("first"), before=a)
        store.insert("t", say("y"), after=b)
        store.insert("t", say("last"), after=c)
        assert contents(whole(store, "t")) == ["first", "a", "x", "b", "y", "c", "last"]
        assert inserted == store.get_message("t", inserted.id or "")
        assert inserted.created_at == clock.now

    @needs(Capability.INSERT)
    def test_everything_else_keeps_its_id_and_its_place(self, store: ChatStore) -> None:
        a, b, c = three(store)
        before = {message.id: message for message in whole(store, "t")}
        store.insert("t", say("x"), after=a)
        after = whole(store, "t")
        assert [message for message in after if message.id in before] == [before[id] for id in (a, b, c)]
        positions = [message.position or "" for message in after]
        assert positions == sorted(set(positions))

    @needs(Capability.INSERT, Capability.INDEX)
    def test_an_index_means_what_it_means_to_a_list(self, store: ChatStore) -> None:
        for index in (0, 1, 2, 3, 4, 99, -1, -2, -3, -4, -99, 2**63 - 1, -(2**63)):
            store.replace_all("t", [say("a"), say("b"), say("c")], create=True)
            expected: list[object] = ["a", "b", "c"]
            expected.insert(index, index)
            store.insert("t", say(index), index=index)
            assert contents(whole(store, "t")) == expected

    @needs(Capability.INSERT, Capability.INDEX)
    def test_into_an_empty_thread(self, store: ChatStore) -> None:
        store.create_thread("t")
        store.insert("t", say("only"), index=0)
        assert contents(whole(store, "t")) == ["only"]

    @needs(Capability.INSERT)
    def test_the_same_gap_takes_any_number(self, store: ChatStore, sample: Sample) -> None:
        a, b, _ = three(store)
        most = len(sample.of(range(150), 0))
        for number in range(most):
            store.insert("t", say(number), after=a if number % 2 else None, before=None if number % 2 else b)
        low, high = range(1, most, 2)[::-1], range(0, most, 2)
        messages = whole(store, "t")
        # Odd ones go right behind a, even ones right in front of b.
        assert contents(messages) == ["a", *low, *high, "b", "c"]
        store.append("t", say("d"))
        assert contents(store.read("t", last=2)) == ["c", "d"]
        assert len({message.position for message in messages}) == len(messages)

    @needs(Capability.INSERT, Capability.EDIT)
    def test_where_a_message_was_taken_out(self, store: ChatStore) -> None:
        a, b, c = three(store)
        store.delete_message("t", b)
        store.insert("t", say("x"), after=a)
        store.insert("t", say("y"), before=c)
        assert contents(whole(store, "t")) == ["a", "x", "y", "c"]
        with pytest.raises(MessageNotFound):
            store.insert("t", say("z"), after=b)

    @needs(Capability.INSERT)
    def test_an_unknown_neighbour_is_not_found(self, store: ChatStore) -> None:
        three(store)
        for name in ("x", "", "\0"):
            with pytest.raises(MessageNotFound):
                store.insert("t", say("z"), before=name)
            with pytest.raises(MessageNotFound):
                store.insert("t", say("z"), after=name)
        assert contents(whole(store, "t")) == ["a", "b", "c"]

    def test_an_unknown_thread_takes_no_insert(self, store: ChatStore) -> None:
        for place, capability in (({"after": "x"}, Capability.INSERT), ({"index": 0}, Capability.INDEX)):
            with supported(store, Capability.INSERT, capability), pytest.raises(ThreadNotFound):
                store.insert("t", say("z"), **place)
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")

    def test_exactly_one_place_is_given(self, store: ChatStore) -> None:
        a, b, _ = three(store)
        for places in (
            {},
            {"before": a, "after": b},
            {"index": 0, "before": a},
            {"index": 0, "before": a, "after": b},
        ):
            with pytest.raises(InvalidArgument):
                store.insert("t", say("z"), **places)
        for index in (1.0, True, "0", 2**63):
            given: dict[str, Any] = {"index": index}
            with pytest.raises(InvalidArgument):
                store.insert("t", say("z"), **given)
