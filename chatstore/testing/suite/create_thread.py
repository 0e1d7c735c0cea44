"""Creating threads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chatstore.contract import Capability
from chatstore.errors import Conflict, ThreadExists
from chatstore.models import Participant
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import json_text, say, state

__all__ = ["CreateThread"]

METADATA = {"z": [1, 1.0, True, None, {"b": "\0", "a": "\u00e9"}], "a": {}, "": "empty"}


class CreateThread:
    """`ChatStore.create_thread`."""

    def test_keeps_every_property(self, store: ChatStore, clock: ManualClock) -> None:
        ada = Participant("ada", "Ada \u0645", METADATA)
        created = store.create_thread(
            "t", topic="a\0b \U0001f642", owner="o/'\n", metadata=METADATA, participants=[ada, {"id": "bob"}]
        )
        assert created == store.get_thread("t")
        assert (created.id, created.topic, created.owner) == ("t", "a\0b \U0001f642", "o/'\n")
        assert json_text(created.metadata) == json_text(METADATA)
        assert json_text(created.participants[0].metadata) == json_text(METADATA)
        assert created.participants == (ada, Participant("bob"))
        assert created.created_at == clock.now
        assert created.expires_at is None
        assert created.etag

    def test_properties_that_are_not_given_are_empty(self, store: ChatStore) -> None:
        thread = store.create_thread("t")
        assert (thread.topic, thread.owner, thread.expires_at) == (None, None, None)
        assert (dict(thread.metadata), thread.participants) == ({}, ())

    def test_an_empty_topic_is_not_a_missing_one(self, store: ChatStore) -> None:
        store.create_thread("t", topic="")
        assert store.get_thread("t").topic == ""

    def test_a_new_thread_has_no_messages(self, store: ChatStore) -> None:
        store.create_thread("t")
        page = store.read("t")
        assert (page.items, page.next) == ((), None)
        assert page.etag is not None

    def test_without_an_id_each_gets_its_own(self, store: ChatStore) -> None:
        ids = {store.create_thread().id for _ in range(10)}
        assert len(ids) == 10
        assert all(store.get_thread(id).id == id for id in ids)

    def test_an_id_that_is_taken_is_refused_and_left_alone(self, store: ChatStore) -> None:
        store.create_thread("t", topic="first")
        store.append("t", say("hello"))
        before = state(store, "t")
        with pytest.raises(ThreadExists) as refused:
            store.create_thread("t", topic="second")
        assert refused.value.thread_id == "t"
        assert state(store, "t") == before

    def test_an_id_can_be_used_again_after_a_delete(self, store: ChatStore) -> None:
        old = store.create_thread("t", topic="first", owner="ada", metadata={"a": 1})
        store.append("t", say("old"))
        store.delete_thread("t")
        new = store.create_thread("t")
        assert (new.topic, new.owner, dict(new.metadata)) == (None, None, {})
        assert new.etag != old.etag
        assert store.read("t").items == ()

    def test_nothing_done_to_a_result_or_an_argument_reaches_the_store(self, store: ChatStore) -> None:
        given: dict[str, Any] = {"list": [1]}
        created = store.create_thread("t", metadata=given, participants=[{"id": "ada", "metadata": given}])
        for mapping in (given, created.metadata, store.get_thread("t").metadata):
            mapping["list"].append(2)
        assert store.get_thread("t").metadata == {"list": [1]}
        assert store.get_thread("t").participants[0].metadata == {"list": [1]}

    @needs(Capability.EXPIRY)
    def test_a_time_to_live_counts_from_the_creation(self, store: ChatStore, clock: ManualClock) -> None:
        assert store.create_thread("t", ttl=90).expires_at == clock.now + timedelta(seconds=90)
        assert store.create_thread("u", ttl=timedelta(days=1)).expires_at == clock.now + timedelta(days=1)

    def test_if_match_can_name_nothing_that_is_still_to_come(self, store: ChatStore) -> None:
        with pytest.raises(Conflict) as absent:
            store.create_thread("t", if_match="*")
        assert absent.value.current is None
        etag = store.create_thread("t").etag
        with pytest.raises(Conflict) as present:
            store.create_thread("t", if_match=etag)
        assert present.value.current == etag
