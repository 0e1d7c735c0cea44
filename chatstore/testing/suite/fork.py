"""Copying a history into a new thread."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidArgument, MessageNotFound, ThreadExists, ThreadNotFound
from chatstore.models import Participant
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs, supported
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, state, whole

__all__ = ["Fork"]


@needs(Capability.FORK)
class Fork:
    """`ChatStore.fork`."""

    def test_copies_messages_and_properties(self, store: ChatStore, clock: ManualClock) -> None:
        origin = store.create_thread(
            "t", topic="x", owner="ada", metadata={"a": [1]}, participants=[{"id": "bob"}]
        )
        old = store.append("t", say("a"), say("b")).messages
        clock.advance(timedelta(hours=1))
        copy = store.fork("t", "copy")
        assert copy == store.get_thread("copy")
        assert (copy.id, copy.topic, copy.owner, copy.metadata) == ("copy", "x", "ada", {"a": [1]})
        assert copy.participants == (Participant("bob"),)
        assert copy.created_at == clock.now
        assert copy.etag != origin.etag
        new = whole(store, "copy")
        assert [message.text for message in new] == [message.text for message in old]
        assert not {message.id for message in new} & {message.id for message in old}

    def test_up_to_and_including_a_message(self, store: ChatStore) -> None:
        messages = store.append("t", *[say(number) for number in range(5)]).messages
        for count, message in enumerate(messages, 1):
            store.fork("t", f"copy {count}", through=message.id)
            assert contents(whole(store, f"copy {count}")) == list(range(count))

    def test_the_two_go_their_own_ways(self, store: ChatStore) -> None:
        store.append("t", say("a"), say("b"))
        store.fork("t", "copy")
        before = state(store, "t")
        store.append("copy", say("only in the copy"))
        store.update_thread("copy", topic="changed", metadata={"x": 1})
        store.delete_message("copy", whole(store, "copy")[0].id)
        assert state(store, "t") == before
        store.delete_thread("t")
        assert contents(whole(store, "copy")) == ["b", "only in the copy"]

    def test_without_an_id_each_fork_gets_its_own(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        ids = {store.fork("t").id for _ in range(3)}
        assert len(ids) == 3
        assert all(contents(whole(store, id)) == ["a"] for id in ids)

    def test_an_id_that_is_taken_is_refused(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        store.append("u", say("b"))
        before = state(store, "u")
        for id in ("u", "t"):
            with pytest.raises(ThreadExists):
                store.fork("t", id)
        assert state(store, "u") == before

    def test_what_is_not_there_cannot_be_forked(self, store: ChatStore) -> None:
        with pytest.raises(ThreadNotFound):
            store.fork("t", "copy")
        store.append("t", say("a"))
        other = store.append("u", say("b")).messages[0].id
        for through in ("x", "", other):
            with pytest.raises(MessageNotFound):
                store.fork("t", "copy", through=through)
        with pytest.raises(ThreadNotFound):
            store.get_thread("copy")

    def test_an_empty_thread_and_a_long_one(self, store: ChatStore) -> None:
        store.create_thread("empty")
        store.fork("empty", "copy of empty")
        assert whole(store, "copy of empty") == []
        store.append("long", *[say(number) for number in range(2000)])
        store.fork("long", "copy of long")
        assert contents(whole(store, "copy of long")) == list(range(2000))

    def test_a_fork_says_where_it_comes_from(self, store: ChatStore) -> None:
        messages = store.append("t", *map(say, range(4)), owner="mary", topic="x").messages
        assert store.get_thread("t").forked_from is None
        everything = store.fork("t", "a")
        assert everything.forked_from == ("t", messages[3].id)
        assert store.get_thread("a").forked_from == ("t", messages[3].id)
        assert store.fork("t", "b", through=messages[1].id).forked_from == ("t", messages[1].id)
        before = store.fork("t", "c", before=messages[1].id)
        assert contents(whole(store, "c")) == [0]
        assert before.forked_from == ("t", messages[0].id)
        assert store.fork("t", "d", before=messages[0].id).forked_from == ("t", None)
        assert whole(store, "d") == []
        assert store.fork("b", "e").forked_from == ("b", whole(store, "b")[-1].id)
        with pytest.raises(InvalidArgument):
            store.fork("t", "f", through=messages[0].id, before=messages[1].id)

    def test_a_fork_has_properties_of_its_own(self, store: ChatStore) -> None:
        store.append("t", say(0), owner="mary", topic="x", thread_metadata={"a": 1, "b": 2})
        mine = store.fork("t", "mine", topic="y", metadata={"a": None, "c": 3}, owner="bob")
        assert (mine.owner, mine.topic, mine.metadata) == ("bob", "y", {"b": 2, "c": 3})
        assert store.fork("t", "whole", metadata={"n": None}, merge=False).metadata == {"n": None}
        nobodys = store.fork("t", "nobodys", topic=None, owner=None)
        assert (nobodys.owner, nobodys.topic) == (None, None)
        with supported(store, Capability.LIST):
            assert [thread.id for thread in store.list_threads(owner="bob")] == ["mine"]
        with supported(store, Capability.ERASE):
            store.erase("mary")
            assert contents(whole(store, "mine")) == [0]
