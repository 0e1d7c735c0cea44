"""Changing a thread's properties."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.codec import Json
from chatstore.contract import Capability
from chatstore.errors import InvalidArgument, ThreadNotFound
from chatstore.models import Participant
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import json_text, say

__all__ = ["UpdateThread"]

# What RFC 7396 shows in its appendix, as far as both sides are objects.
MERGES: tuple[tuple[Json, Json, Json], ...] = (
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": 1}, {"a": 1.0}, {"a": 1.0}),
    ({"a": 1}, {}, {"a": 1}),
    ({"a": [None]}, {"b": [None]}, {"a": [None], "b": [None]}),
)


class UpdateThread:
    """`ChatStore.update_thread`."""

    def test_what_is_not_given_stays(self, store: ChatStore) -> None:
        before = store.create_thread(
            "t", topic="x", owner="ada", metadata={"a": 1}, participants=[Participant("bob")]
        )
        after = store.update_thread("t", topic="y")
        assert after == store.get_thread("t")
        assert (after.topic, after.owner, after.metadata) == ("y", "ada", {"a": 1})
        assert (after.participants, after.created_at) == (before.participants, before.created_at)

    def test_none_removes(self, store: ChatStore) -> None:
        store.create_thread("t", topic="x", metadata={"a": 1}, participants=[Participant("bob")])
        after = store.update_thread("t", topic=None, metadata=None, participants=None)
        assert (after.topic, dict(after.metadata), after.participants) == (None, {}, ())

    def test_every_update_changes_the_etag(self, store: ChatStore) -> None:
        etags = {store.create_thread("t").etag, *(store.update_thread("t", topic="x").etag for _ in range(3))}
        assert len(etags) == 4

    def test_metadata_is_merged(self, store: ChatStore) -> None:
        for number, (present, patch, merged) in enumerate(MERGES):
            id = f"t{number}"
            store.create_thread(id, metadata=present)
            assert json_text(store.update_thread(id, metadata=patch).metadata) == json_text(merged)
            assert json_text(store.get_thread(id).metadata) == json_text(merged)

    def test_participants_are_replaced(self, store: ChatStore) -> None:
        store.create_thread("t", participants=[Participant("ada"), Participant("bob")])
        store.update_thread("t", participants=[{"id": "cy", "display_name": ""}, {"id": "ada"}])
        assert store.get_thread("t").participants == (Participant("cy", ""), Participant("ada"))

    def test_messages_and_their_log_are_left_alone(self, store: ChatStore) -> None:
        store.append("t", say("hello"))
        before = store.read("t")
        store.update_thread("t", topic="x")
        assert store.read("t") == before

    def test_it_is_not_activity(self, store: ChatStore, clock: ManualClock) -> None:
        before = store.create_thread("t")
        clock.advance(timedelta(hours=1))
        assert store.update_thread("t", topic="x").active_at == before.active_at

    @needs(Capability.EXPIRY)
    def test_a_time_to_live_counts_anew_or_ends(self, store: ChatStore, clock: ManualClock) -> None:
        store.create_thread("t", ttl=3600)
        clock.advance(timedelta(minutes=50))
        assert store.update_thread("t", ttl=3600).expires_at == clock.now + timedelta(hours=1)
        clock.advance(timedelta(minutes=50))
        assert store.update_thread("t", topic="x").expires_at == clock.now + timedelta(minutes=10)
        assert store.update_thread("t", ttl=None).expires_at is None
        clock.advance(timedelta(days=1))
        assert store.get_thread("t").topic == "x"

    def test_properties_have_a_bound_together(self, store: ChatStore) -> None:
        people = [{"id": str(number), "metadata": {"text": "x" * 50_000}} for number in range(6)]
        with pytest.raises(InvalidArgument, match="together"):
            store.create_thread("t", participants=people)
        before = store.create_thread("t", participants=people[:5])
        with pytest.raises(InvalidArgument, match="together"):
            store.update_thread("t", metadata={"text": "x" * 50_000})
        assert store.get_thread("t") == before
        store.update_thread("t", participants=people[:1], metadata={"text": "x" * 50_000})

    def test_an_unknown_thread_cannot_be_updated(self, store: ChatStore) -> None:
        with pytest.raises(ThreadNotFound):
            store.update_thread("t", topic="x")
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")
