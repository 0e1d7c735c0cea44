"""Appending turns."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidArgument, InvalidMessage, MessageTooLarge, ThreadNotFound
from chatstore.models import Message
from chatstore.store import MAX_MESSAGE_BYTES, ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, state, whole

__all__ = ["Append"]


class Append:
    """`ChatStore.append`."""

    def test_gives_back_what_it_stored(self, store: ChatStore, clock: ManualClock) -> None:
        appended = store.append("t", say("one"), say("two", "assistant"))
        assert contents(appended.messages) == ["one", "two"]
        assert list(appended.messages) == whole(store, "t")
        assert appended.etag == store.read("t").etag
        for message in appended.messages:
            assert message.created_at == clock.now
            assert all((message.id, message.position, message.etag))
            assert message.expires_at is None

    def test_turns_follow_each_other(self, store: ChatStore) -> None:
        for turn in range(5):
            store.append("t", *[say([turn, part]) for part in range(turn + 1)])
        messages = whole(store, "t")
        assert contents(messages) == [[turn, part] for turn in range(5) for part in range(turn + 1)]
        positions = [message.position or "" for message in messages]
        assert positions == sorted(set(positions))
        assert len({message.id for message in messages}) == len(messages)

    def test_every_append_changes_the_etag_of_the_log(self, store: ChatStore) -> None:
        assert len({store.append("t", say("same")).etag for _ in range(5)}) == 5

    def test_a_turn_may_be_long(self, store: ChatStore) -> None:
        turn = [say(number) for number in range(1000)]
        assert len(store.append("t", *turn).messages) == 1000
        assert contents(whole(store, "t")) == list(range(1000))

    def test_the_longest_message_is_taken_and_a_longer_one_refused(self, store: ChatStore) -> None:
        longest = say("x" * (MAX_MESSAGE_BYTES - len('{"role":"user","content":""}')))
        store.append("t", longest, say("after"))
        [message, after] = store.read("t")
        assert message.to_dict() == longest
        assert after.content == "after"
        before = state(store, "t")
        with pytest.raises(MessageTooLarge):
            store.append("t", say("small"), {**longest, "content": longest["content"] + "x"})
        assert state(store, "t") == before

    def test_creates_the_thread_with_its_owner(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("hello"), owner="ada")
        thread = store.get_thread("t")
        assert (thread.owner, thread.topic, thread.expires_at) == ("ada", None, None)
        assert thread.created_at == clock.now

    @needs(Capability.EXPIRY)
    def test_creates_the_thread_with_its_time_to_live(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("hello"), ttl=60)
        assert store.get_thread("t").expires_at == clock.now + timedelta(seconds=60)

    @needs(Capability.EXPIRY)
    def test_owner_and_ttl_are_ignored_where_there_is_a_thread(self, store: ChatStore) -> None:
        store.create_thread("t", owner="ada")
        store.append("t", say("hello"), owner="bob", ttl=60)
        thread = store.get_thread("t")
        assert (thread.owner, thread.expires_at) == ("ada", None)

    def test_without_create_an_unknown_thread_is_not_found_and_not_made(self, store: ChatStore) -> None:
        with pytest.raises(ThreadNotFound):
            store.append("t", say("hello"), create=False)
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")
        store.create_thread("t")
        store.append("t", say("hello"), create=False)
        assert contents(whole(store, "t")) == ["hello"]

    def test_one_bad_message_refuses_the_turn(self, store: ChatStore) -> None:
        for bad in (
            {},
            {"role": ""},
            {"role": 1},
            {"role": "user", "content": float("nan")},
            say("\ud800"),
            say({1}),
        ):
            with pytest.raises(InvalidMessage):
                store.append("t", say("good"), bad)
        with pytest.raises(InvalidArgument):
            store.append("t")
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")

    def test_a_message_object_brings_only_what_was_sent(self, store: ChatStore, clock: ManualClock) -> None:
        [original] = store.append("t", say("hello")).messages
        clock.advance(timedelta(seconds=1))
        [copied] = store.append("u", original).messages
        assert copied.to_dict() == original.to_dict()
        assert copied.id != original.id
        assert copied.created_at == clock.now
        assert store.append("u", Message.from_dict(say("made here"))).messages[0].content == "made here"

    def test_the_order_does_not_come_from_a_clock(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("first"))
        clock.advance(-timedelta(hours=1))
        store.append("t", say("second"))
        assert contents(whole(store, "t")) == ["first", "second"]
        assert contents(store.read("t", last=1)) == ["second"]
