"""What an append can do in its own step: make a thread with all its properties, or change them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chatstore.contract import ABSENT, Capability
from chatstore.errors import Conflict, InvalidArgument, ThreadNotFound
from chatstore.ids import uuid7
from chatstore.models import Participant
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, state, whole

__all__ = ["Together"]


class Together:
    """`ChatStore.append` and `replace_all` with the properties of a thread."""

    @needs(Capability.EXPIRY)
    def test_an_append_makes_a_thread_with_everything(self, store: ChatStore, clock: ManualClock) -> None:
        given: dict[str, Any] = {
            "topic": "x",
            "owner": "mary",
            "thread_metadata": {"a": {"b": None}},
            "participants": [{"id": "bob"}, Participant("eve", "Eve", {"c": 1})],
            "kind": "notes",
            "ttl": 3600,
        }
        store.append("a", say("hello"), **given)
        store.replace_all("r", [say("hello")], create=True, **given)
        for id in ("a", "r"):
            thread = store.get_thread(id)
            assert (thread.topic, thread.owner, thread.kind) == ("x", "mary", "notes")
            assert thread.metadata == {"a": {"b": None}}
            assert thread.participants == (Participant("bob"), Participant("eve", "Eve", {"c": 1}))
            assert thread.expires_at == clock.now + timedelta(hours=1)
            assert contents(whole(store, id)) == ["hello"]

    def test_they_are_ignored_where_a_thread_is(self, store: ChatStore) -> None:
        made = store.create_thread("t", topic="old")
        store.append("t", say("a"), topic="new", thread_metadata={"a": 1}, kind="notes", participants=[])
        found = store.get_thread("t")
        assert (found.topic, found.metadata, found.kind, found.etag) == ("old", {}, "chat", made.etag)

    def test_the_first_of_two_writers_wins(self, store: ChatStore) -> None:
        store.append("t", say("first"), topic="first", if_none_match="*")
        with pytest.raises(Conflict):
            store.append("t", say("second"), topic="second", if_none_match="*")
        assert store.get_thread("t").topic == "first"
        assert contents(whole(store, "t")) == ["first"]

    def test_a_patch_changes_properties_with_the_turn(self, store: ChatStore, clock: ManualClock) -> None:
        store.create_thread("t", topic="old", metadata={"a": 1, "b": 2}, participants=[{"id": "bob"}])
        old = store.get_thread("t")
        clock.advance(timedelta(minutes=1))
        added = store.append(
            "t", say("hello"), patch={"topic": "new", "metadata": {"a": None, "c": 3}, "participants": None}
        )
        thread = store.get_thread("t")
        assert (thread.topic, thread.metadata, thread.participants) == ("new", {"b": 2, "c": 3}, ())
        assert added.thread_etag == thread.etag != old.etag
        assert contents(whole(store, "t")) == ["hello"]
        store.append("t", say("more"), patch={"metadata": {"only": None}, "merge": False})
        assert store.get_thread("t").metadata == {"only": None}
        plain = store.append("t", say("plain"))
        assert plain.thread_etag is None

    def test_a_condition_on_the_properties(self, store: ChatStore) -> None:
        old = store.create_thread("t", topic="old").etag
        new = store.update_thread("t", topic="new").etag
        before = state(store, "t")
        for patch in (None, {"topic": "newer"}):
            with pytest.raises(Conflict) as caught:
                store.append("t", say("x"), patch=patch, if_thread=old)
            assert caught.value.current == new
        assert state(store, "t") == before
        added = store.append("t", say("a"), patch={"topic": "newer"}, if_thread=new)
        assert store.append("t", say("b"), if_thread=added.thread_etag).thread_etag == added.thread_etag
        with pytest.raises(Conflict):
            store.append("u", say("x"), if_thread="*")
        with pytest.raises(ThreadNotFound):
            store.get_thread("u")

    def test_the_condition_that_there_is_no_thread(self, store: ChatStore) -> None:
        added = store.append("t", say("a"), if_thread=ABSENT)
        assert added.thread_etag == store.get_thread("t").etag
        with pytest.raises(Conflict):
            store.append("t", say("b"), if_thread=ABSENT)

    def test_a_condition_on_the_properties_of_a_message_that_is_changed(self, store: ChatStore) -> None:
        [message] = store.append("t", say("a")).messages
        old = store.get_thread("t").etag
        new = store.update_thread("t", topic="new").etag
        before = state(store, "t")
        with pytest.raises(Conflict) as caught:
            store.replace_message("t", str(message.id), say("x"), if_thread=old)
        assert caught.value.current == new
        with pytest.raises(Conflict):
            store.update_message("t", str(message.id), metadata={"x": 1}, if_thread=old)
        assert state(store, "t") == before
        changed = store.replace_message("t", str(message.id), say("b"), if_thread=new, if_match=message.etag)
        assert (
            store.update_message("t", str(message.id), metadata={"y": 1}, if_thread=new).text == changed.text
        )
        assert store.get_thread("t").etag == new

    def test_both_conditions_have_to_hold(self, store: ChatStore) -> None:
        properties = store.create_thread("t").etag
        log = store.append("t", say("a")).etag
        store.append("t", say("b"))
        with pytest.raises(Conflict):
            store.append("t", say("x"), if_match=log, if_thread=properties, patch={"topic": "x"})
        assert store.get_thread("t").etag == properties
        store.append("t", say("c"), if_match=store.read("t").etag, if_thread=properties, patch={"topic": "x"})
        assert store.get_thread("t").topic == "x"

    @needs(Capability.EXPIRY)
    def test_a_patch_of_a_thread_that_is_made(self, store: ChatStore, clock: ManualClock) -> None:
        added = store.append(
            "t",
            say("a"),
            topic="begun",
            thread_metadata={"a": 1},
            patch={"topic": "patched", "metadata": {"b": 2}, "ttl": 60},
        )
        thread = store.get_thread("t")
        assert (thread.topic, thread.metadata) == ("patched", {"a": 1, "b": 2})
        assert thread.expires_at == clock.now + timedelta(minutes=1)
        assert added.thread_etag == thread.etag
        with pytest.raises(ThreadNotFound):
            store.append("u", say("a"), create=False, patch={"topic": "x"})

    @needs(Capability.EXPIRY)
    def test_a_patch_moves_the_expiry(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("a"), ttl=60)
        store.append("t", say("b"), patch={"ttl": 7200})
        clock.advance(timedelta(hours=1))
        assert contents(whole(store, "t")) == ["a", "b"]
        store.append("t", say("c"), patch={"ttl": None})
        clock.advance(timedelta(days=365))
        assert contents(whole(store, "t")) == ["a", "b", "c"]

    @needs(Capability.REQUESTS)
    def test_a_repetition_patches_once(self, store: ChatStore) -> None:
        store.create_thread("t")
        request = uuid7()
        first = store.append("t", say("a"), patch={"topic": "first"}, request_id=request)
        store.update_thread("t", topic="later")
        assert store.append("t", say("a"), patch={"topic": "first"}, request_id=request) == first
        assert store.get_thread("t").topic == "later"
        assert contents(whole(store, "t")) == ["a"]

    def test_a_bad_patch_changes_nothing(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        before = state(store, "t")
        for patch in (
            {"owner": "x"},
            {"topic": 1},
            {"ttl": -1},
            {"sliding": True},
            {"metadata": {"a": "x" * 70_000}},
        ):
            with pytest.raises(InvalidArgument):
                store.append("t", say("b"), patch=patch)
        store.update_thread("t", metadata={str(n): "x" * 30_000 for n in range(2)})
        big = {"id": "a", "metadata": {"x": "x" * 60_000}}
        store.update_thread("t", participants=[big, {**big, "id": "b"}, {**big, "id": "c"}])
        before = state(store, "t")
        with pytest.raises(InvalidArgument):
            store.append("t", say("b"), patch={"participants": [{**big, "id": str(n)} for n in range(5)]})
        assert state(store, "t") == before

    def test_metadata_is_replaced_whole(self, store: ChatStore) -> None:
        store.create_thread("t", metadata={"a": 1, "b": {"c": 2}})
        store.update_thread("t", metadata={"b": {"d": None}, "e": None}, merge=False)
        assert store.get_thread("t").metadata == {"b": {"d": None}, "e": None}
        store.update_thread("t", metadata={}, merge=False)
        assert store.get_thread("t").metadata == {}
