"""Taking away the end of a history, alone and with what comes in its place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.contract import Capability
from chatstore.errors import Conflict, InvalidArgument, MessageNotFound, ThreadNotFound
from chatstore.ids import uuid7
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs, supported
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, state, whole

__all__ = ["Truncate"]


def filled(store: ChatStore, count: int) -> list[str]:
    """The ids of so many messages, which say their numbers, in turns of three."""
    ids: list[str] = []
    for start in range(0, count, 3):
        turn = [say(number) for number in range(start, min(start + 3, count))]
        ids += [message.id or "" for message in store.append("t", *turn).messages]
    return ids


class Truncate:
    """`ChatStore.truncate`, and `append` with `after`."""

    def test_what_follows_a_message_is_gone_and_what_stays_is_as_it_was(self, store: ChatStore) -> None:
        ids = filled(store, 10)
        before = whole(store, "t")
        store.truncate("t", after=ids[6])
        assert whole(store, "t") == before[:7]
        assert [store.get_message("t", id) for id in ids[:7]] == before[:7]
        for id in ids[7:]:
            with pytest.raises(MessageNotFound):
                store.get_message("t", id)
        assert contents(store.read("t", last=3)) == [4, 5, 6]

    def test_from_a_message_on(self, store: ChatStore) -> None:
        ids = filled(store, 7)
        store.truncate("t", from_=ids[4])
        assert contents(whole(store, "t")) == [0, 1, 2, 3]
        store.truncate("t", from_=ids[0])
        assert whole(store, "t") == []
        store.append("t", say("anew"))
        assert contents(whole(store, "t")) == ["anew"]

    def test_what_is_added_later_follows_what_stayed(self, store: ChatStore) -> None:
        ids = filled(store, 8)
        store.truncate("t", after=ids[2])
        store.append("t", say("x"), say("y"))
        assert contents(whole(store, "t")) == [0, 1, 2, "x", "y"]
        for last in range(1, 7):
            assert contents(store.read("t", last=last)) == [0, 1, 2, "x", "y"][-last:]
        store.truncate("t", after=store.read("t", last=2).items[0].id)
        store.append("t", say("z"))
        assert contents(whole(store, "t")) == [0, 1, 2, "x", "z"]
        store.truncate("t", after=ids[0])
        assert contents(whole(store, "t")) == [0]

    def test_many_cuts_of_a_long_thread(self, store: ChatStore) -> None:
        ids = filled(store, 120)
        kept: list[object] = list(range(120))
        for end in (100, 60, 59, 20):
            store.truncate("t", after=ids[end])
            kept = [*kept[: end + 1], f"after {end}"]
            store.append("t", say(kept[-1]))
            assert contents(whole(store, "t")) == kept
        assert contents(store.read("t", last=4)) == kept[-4:]

    def test_cursors_into_what_stays_go_on(self, store: ChatStore) -> None:
        ids = filled(store, 9)
        cursor = store.read("t", limit=2).next
        etag = store.read("t").etag
        store.truncate("t", after=ids[5])
        assert contents(store.read("t", after=cursor)) == [2, 3, 4, 5]
        assert store.read("t").etag != etag
        end = store.read("t", last=1).end
        store.append("t", say("more"))
        assert contents(store.read("t", after=end)) == ["more"]

    def test_a_turn_in_place_of_an_answer(self, store: ChatStore) -> None:
        ids = filled(store, 6)
        added = store.append("t", say("again"), say("and more"), after=ids[3])
        assert contents(whole(store, "t")) == [0, 1, 2, 3, "again", "and more"]
        assert whole(store, "t")[4:] == list(added.messages)
        assert store.read("t").etag == added.etag

    def test_what_is_not_there_cannot_be_cut_after(self, store: ChatStore) -> None:
        with pytest.raises(ThreadNotFound):
            store.truncate("t", after="x")
        with pytest.raises(ThreadNotFound):
            store.append("t", say("x"), after=uuid7())
        [first, *_, last] = filled(store, 4)
        before = state(store, "t")
        for named in ("x", uuid7(), "key:x"):
            with pytest.raises(MessageNotFound):
                store.truncate("t", from_=named)
            with pytest.raises(MessageNotFound):
                store.append("t", say("x"), after=named)
        assert state(store, "t") == before
        store.truncate("t", after=first)
        with pytest.raises(MessageNotFound):
            store.truncate("t", after=last)

    def test_one_place_is_named(self, store: ChatStore) -> None:
        filled(store, 2)
        with pytest.raises(InvalidArgument):
            store.truncate("t")
        with pytest.raises(InvalidArgument):
            store.truncate("t", after="a", from_="b")

    def test_a_condition_is_of_the_log(self, store: ChatStore) -> None:
        ids = filled(store, 5)
        etag = store.read("t").etag
        store.append("t", say("meanwhile"))
        before = state(store, "t")
        with pytest.raises(Conflict):
            store.truncate("t", after=ids[0], if_match=etag)
        with pytest.raises(Conflict):
            store.append("t", say("x"), after=ids[0], if_match=etag)
        assert state(store, "t") == before
        cut = store.truncate("t", after=ids[0], if_match=store.read("t").etag)
        assert store.read("t").etag == cut.etag
        with pytest.raises(Conflict):
            store.append("t", say("x"), if_match=etag)
        store.append("t", say("y"), after=ids[0], if_match=cut.etag)
        assert contents(whole(store, "t")) == [0, "y"]

    @needs(Capability.EDIT)
    def test_edits_before_the_cut_stay_and_count_for_its_condition(self, store: ChatStore) -> None:
        ids = filled(store, 5)
        etag = store.read("t").etag
        store.replace_message("t", ids[1], say("edited"))
        store.delete_message("t", ids[0])
        with pytest.raises(Conflict):
            store.truncate("t", after=ids[2], if_match=etag)
        with pytest.raises(Conflict):
            store.append("t", say("x"), after=ids[2], if_match=etag)
        store.truncate("t", after=ids[2])
        assert contents(whole(store, "t")) == ["edited", 2]
        with pytest.raises(MessageNotFound):
            store.truncate("t", after=ids[0])

    @needs(Capability.INSERT)
    def test_what_was_inserted_is_cut_like_the_rest(self, store: ChatStore) -> None:
        ids = filled(store, 4)
        inserted = store.insert("t", say("between"), after=ids[1]).id
        store.truncate("t", after=inserted)
        assert contents(whole(store, "t")) == [0, 1, "between"]
        store.append("t", say("end"))
        store.insert("t", say("later"), after=inserted)
        assert contents(whole(store, "t")) == [0, 1, "between", "later", "end"]
        store.truncate("t", after=ids[1])
        assert contents(whole(store, "t")) == [0, 1]

    @needs(Capability.REQUESTS)
    def test_a_repetition_has_no_further_effect(self, store: ChatStore) -> None:
        ids = filled(store, 6)
        cutting, adding = uuid7(), uuid7()
        cut = store.truncate("t", after=ids[3], request_id=cutting)
        added = store.append("t", say("x"), after=ids[1], request_id=adding)
        store.append("t", say("y"))
        assert store.truncate("t", after=ids[3], request_id=cutting) == cut
        assert store.append("t", say("x"), after=ids[1], request_id=adding) == added
        assert contents(whole(store, "t")) == [0, 1, "x", "y"]

    @needs(Capability.EXPIRY)
    def test_what_has_expired_is_no_place_to_cut(self, store: ChatStore, clock: ManualClock) -> None:
        [gone] = store.append("t", say("gone"), expires_in=60).messages
        store.append("t", say("stays"))
        clock.advance(timedelta(minutes=2))
        with pytest.raises(MessageNotFound):
            store.truncate("t", after=gone.id)
        assert contents(whole(store, "t")) == ["stays"]

    def test_a_cut_is_no_activity_and_forks_do_not_have_what_was_cut(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        ids = filled(store, 6)
        active = store.get_thread("t").active_at
        clock.advance(timedelta(hours=3))
        store.truncate("t", after=ids[2])
        assert store.get_thread("t").active_at == active
        with supported(store, Capability.FORK):
            store.fork("t", "copy")
            assert contents(whole(store, "copy")) == [0, 1, 2]

    def test_a_history_is_replaced_after_a_cut(self, store: ChatStore) -> None:
        ids = filled(store, 6)
        store.truncate("t", after=ids[1])
        kept = store.replace_all("t", [say(0), say(1), say("new")])
        assert kept.kept == 2
        assert contents(whole(store, "t")) == [0, 1, "new"]
        store.clear("t")
        assert whole(store, "t") == []

    @needs(Capability.SWEEP)
    def test_sweeps_take_nothing_that_stayed(self, store: ChatStore, clock: ManualClock) -> None:
        ids = filled(store, 30)
        store.truncate("t", after=ids[10])
        store.append("t", say("more"))
        before = whole(store, "t")
        for _ in range(4):
            clock.advance(timedelta(hours=26))
            while store.sweep().more:
                pass
            assert whole(store, "t") == before
