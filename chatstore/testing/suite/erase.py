"""Erasure: of one owner everything goes, of everybody else nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidArgument
from chatstore.models import Erased
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, state, whole

__all__ = ["Erase"]

NOTHING = Erased(threads=0, messages=0, requests=0)


@needs(Capability.ERASE)
class Erase:
    """`ChatStore.erase`."""

    def test_removes_the_owners_threads_and_says_what_it_was(self, store: ChatStore) -> None:
        store.append("one", say("a"), say("b"), owner="ada")
        store.append("two", say("c"), owner="ada")
        store.create_thread("empty", owner="ada")
        erased = store.erase("ada")
        # A backend may have remembered requests of its own.
        assert (erased.threads, erased.messages) == (3, 3)
        for id in ("one", "two", "empty"):
            assert state(store, id) == state(store, "never was")
        assert store.erase("ada") == NOTHING

    def test_leaves_everybody_elses(self, store: ChatStore) -> None:
        store.append("t", say("a"), owner="ada")
        others = (
            [(store, f"of {owner}", owner) for owner in ("Ada", "ada ", "ad", "adam", "bob", "%", "*")]
            + [(store, "nobody's", None)]
            + [(store.for_tenant("other"), "t", "ada")]
        )
        for scoped, id, owner in others:
            scoped.append(id, say("about ada"), owner=owner)
            scoped.update_thread(id, topic="ada", metadata={"owner": "ada"}, participants=[{"id": "ada"}])
        before = [state(scoped, id) for scoped, id, _ in others]
        assert store.erase("ada").threads == 1
        assert [state(scoped, id) for scoped, id, _ in others] == before

    def test_a_tenant_goes_whole(self, store: ChatStore) -> None:
        store.append("one", say("a"), say("b"), owner="ada")
        store.append("two", say("c"), owner="bob")
        store.append("three", say("d"), request_id="r")
        store.create_thread("deleted", owner="eve")
        store.delete_thread("deleted")
        other = store.for_tenant("other")
        other.append("one", say("e"), owner="ada")
        before = state(other, "one")
        erased = store.erase_tenant()
        assert (erased.threads, erased.messages) == (3, 4)
        for id in ("one", "two", "three"):
            assert state(store, id) == state(store, "never was")
        assert state(other, "one") == before
        assert store.erase_tenant() == NOTHING
        assert contents(store.append("three", say("new"), request_id="r").messages) == ["new"]
        with pytest.raises(InvalidArgument):
            store.for_owner("ada").erase_tenant()

    def test_an_owner_of_nothing(self, store: ChatStore) -> None:
        store.append("t", say("a"), owner="bob")
        assert store.erase("ada") == NOTHING
        assert store.erase("\u00e9/'\0%") == NOTHING
        assert contents(whole(store, "t")) == ["a"]

    def test_takes_an_owner(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        for bad in ("", "x" * 257, "\ud800", None, 7):
            with pytest.raises(InvalidArgument):
                store.erase(bad)  # type: ignore[arg-type]
        assert store.erase("x" * 256) == NOTHING
        assert contents(whole(store, "t")) == ["a"]

    def test_a_scoped_store_erases_its_own(self, store: ChatStore) -> None:
        ada = store.for_owner("ada")
        ada.append("t", say("a"))
        store.append("u", say("b"), owner="bob")
        assert ada.erase("ada").threads == 1
        assert whole(ada, "t") == []
        assert contents(whole(store, "u")) == ["b"]

    def test_the_ids_are_free_again(self, store: ChatStore) -> None:
        old = store.append("t", say("a"), owner="ada").messages[0]
        store.erase("ada")
        new = store.append("t", say("b"), owner="bob").messages[0]
        assert contents(whole(store, "t")) == ["b"]
        assert store.get_thread("t").owner == "bob"
        assert new.id != old.id

    @needs(Capability.LIST)
    def test_lists_no_longer_have_them(self, store: ChatStore) -> None:
        for owner in ("ada", "bob"):
            store.create_thread(f"of {owner}", owner=owner)
        store.erase("ada")
        assert [thread.id for thread in store.iter_threads()] == ["of bob"]
        assert list(store.iter_threads(owner="ada")) == []

    @needs(Capability.REQUESTS)
    def test_results_of_requests_go_too(self, store: ChatStore) -> None:
        ada = store.for_owner("ada")
        store.append("t", say("a"), owner="ada", request_id="made by all")
        ada.append("t", say("b"), request_id="made by ada")
        store.append("u", say("c"), owner="bob", request_id="r")
        kept = state(store, "u")
        assert store.erase("ada") == Erased(threads=1, messages=2, requests=2)
        # What was remembered would be given again; what is gone is done anew.
        store.append("t", say("a"), owner="ada", request_id="made by all")
        assert contents(whole(store, "t")) == ["a"]
        store.append("u", say("c"), owner="bob", request_id="r")
        assert state(store, "u") == kept

    @needs(Capability.REQUESTS)
    def test_also_those_about_threads_that_were_deleted_before(self, store: ChatStore) -> None:
        store.append("t", say("a"), owner="ada", request_id="first")
        store.delete_thread("t", request_id="last")
        assert store.erase("ada") == Erased(threads=0, messages=0, requests=2)

    @needs(Capability.REQUESTS, Capability.EXPIRY)
    def test_who_has_the_id_of_a_thread_that_expired_is_answered_as_before(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        store.append("t", say("hers"), owner="ada", ttl=timedelta(minutes=1))
        clock.advance(timedelta(minutes=1))
        first = store.append("t", say("his"), owner="bob", request_id="of bob")
        store.erase("ada")
        assert store.append("t", say("his"), owner="bob", request_id="of bob") == first
        assert contents(whole(store, "t")) == ["his"]

    @needs(Capability.FORK)
    def test_forks_go_with_their_originals(self, store: ChatStore) -> None:
        store.append("t", say("a"), say("b"), owner="ada")
        store.fork("t", "copy")
        store.fork("copy", "copy of the copy")
        store.delete_thread("t")
        erased = store.erase("ada")
        assert (erased.threads, erased.messages) == (2, 4)
        assert whole(store, "copy") == whole(store, "copy of the copy") == []

    @needs(Capability.EXPIRY)
    def test_what_has_expired_and_was_not_swept_goes_too(self, store: ChatStore, clock: ManualClock) -> None:
        minute = timedelta(minutes=1)
        store.append("short", say("a"), owner="ada", ttl=minute)
        store.append("t", say("b"), owner="ada", expires_in=minute)
        store.append("of bob", say("c"), owner="bob")
        clock.advance(minute)
        assert store.erase("ada").threads in (1, 2)
        assert whole(store, "t") == []
        assert contents(whole(store, "of bob")) == ["c"]
        assert store.erase("ada") == NOTHING
