"""A store scoped to an owner sees that owner's threads, and no sign of anybody else's but a taken id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatstore.contract import Capability
from chatstore.errors import InvalidArgument, MessageNotFound, RequestMismatch, ThreadExists, ThreadNotFound
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs, supported
from chatstore.testing.samples import contents, say, state, whole
from chatstore.testing.suite.mutations import Mutation, every_mutation, prepare

__all__ = ["Owners"]

OWNERS = ("ada", "Ada", "ada ", "ad", "a/b", "a\0b", "'", "%", "*", "\u00e9", "e\u0301", "x" * 256)

ANYBODY_ELSES = pytest.mark.parametrize("owner", [None, "ada"], ids=["nobodys", "adas"])
"""Whose the threads are that bob must not see: nobody's in particular, or another owner's."""


def prepare_for(store: ChatStore, owner: str | None) -> list[str]:
    """What `prepare` makes, of `owner`; the messages' ids."""
    return prepare(store if owner is None else store.for_owner(owner))


class Owners:
    """`ChatStore.for_owner`."""

    def test_new_threads_are_the_owners(self, store: ChatStore) -> None:
        ada = store.for_owner("ada")
        assert (ada.owner, ada.tenant, store.owner) == ("ada", store.tenant, None)
        ada.create_thread("created")
        ada.append("appended", say("a"))
        ada.replace_all("replaced", [say("a")], create=True)
        for id in ("created", "appended", "replaced"):
            assert store.get_thread(id).owner == "ada"
            assert ada.get_thread(id) == store.get_thread(id)

    def test_the_owners_threads_are_there_as_ever(self, store: ChatStore) -> None:
        for number, owner in enumerate(OWNERS):
            store.append(f"t{number}", say(owner), owner=owner)
        for number, owner in enumerate(OWNERS):
            scoped = store.for_owner(owner)
            scoped.append(f"t{number}", say("more"), create=False)
            scoped.update_thread(f"t{number}", topic="x")
            assert contents(whole(scoped, f"t{number}")) == [owner, "more"]
            assert state(scoped, f"t{number}") == state(store, f"t{number}")
            for other in range(len(OWNERS)):
                assert (len(scoped.read(f"t{other}")) > 0) == (other == number)

    @ANYBODY_ELSES
    def test_a_foreign_thread_has_nothing_to_read(self, store: ChatStore, owner: str | None) -> None:
        ids = prepare_for(store, owner)
        bob = store.for_owner("bob")
        end = store.read("t").end
        assert state(bob, "t") == state(bob, "absent")
        assert bob.read("t") == bob.read("absent")
        assert whole(bob, "t") == []
        assert bob.window("t", max_tokens=1000) == bob.window("absent", max_tokens=1000)
        assert _refusal(lambda: bob.read("t", after=end)) == _refusal(lambda: bob.read("absent", after=end))
        for reading in (lambda: bob.get_thread("t"), lambda: bob.get_message("t", ids[0])):
            with pytest.raises(ThreadNotFound):
                reading()

    @ANYBODY_ELSES
    @every_mutation
    def test_a_foreign_thread_is_no_thread_to_a_mutation(
        self, store: ChatStore, owner: str | None, mutation: Mutation
    ) -> None:
        ids = prepare_for(store, owner)
        before = state(store, "t")
        bob = store.for_owner("bob")
        creates = mutation.name == "append"
        with supported(store, *mutation.needs):
            if mutation.name in {"delete_thread", "clear"}:
                assert not mutation.call(bob, ids)
            else:
                with pytest.raises(ThreadExists if creates else ThreadNotFound):
                    mutation.call(bob, ids)
        assert state(store, "t") == before

    @ANYBODY_ELSES
    def test_its_id_is_taken(self, store: ChatStore, owner: str | None) -> None:
        prepare_for(store, owner)
        before = state(store, "t")
        bob = store.for_owner("bob")
        for creating in (
            lambda: bob.create_thread("t"),
            lambda: bob.append("t", say("x")),
            lambda: bob.replace_all("t", [say("x")], create=True),
        ):
            with pytest.raises(ThreadExists):
                creating()
        assert state(store, "t") == before
        with pytest.raises(ThreadNotFound):
            bob.append("t", say("x"), create=False)

    @needs(Capability.FORK)
    def test_it_is_taken_for_a_fork_too(self, store: ChatStore) -> None:
        store.for_owner("ada").append("t", say("a"))
        bob = store.for_owner("bob")
        bob.append("own", say("b"))
        with pytest.raises(ThreadExists):
            bob.fork("own", "t")
        assert contents(whole(store, "t")) == ["a"]
        assert bob.fork("own", "copy").owner == "bob"
        assert contents(whole(bob, "copy")) == ["b"]

    @needs(Capability.EXPIRY)
    def test_it_is_free_again_when_the_thread_is_gone(self, store: ChatStore) -> None:
        ada, bob = store.for_owner("ada"), store.for_owner("bob")
        ada.append("t", say("a"))
        ada.delete_thread("t")
        bob.append("t", say("b"), ttl=60)
        assert contents(whole(bob, "t")) == ["b"]
        assert whole(ada, "t") == []

    def test_a_message_of_a_foreign_thread_cannot_be_named_in_an_own_one(self, store: ChatStore) -> None:
        ids = prepare_for(store, "ada")
        bob = store.for_owner("bob")
        bob.append("own", say("b"))
        with pytest.raises(MessageNotFound):
            bob.get_message("own", ids[0])

    @needs(Capability.LIST)
    def test_a_listing_is_the_owners(self, store: ChatStore) -> None:
        for owner in (*OWNERS, None):
            for number in range(2):
                store.create_thread(f"{owner} {number}", owner=owner, metadata={"a": 1})
        for owner in OWNERS:
            scoped = store.for_owner(owner)
            expected = {f"{owner} {number}" for number in range(2)}
            filters: tuple[dict[str, Any], ...] = ({}, {"metadata": {"a": 1}}, {"owner": owner})
            for given in filters:
                assert {thread.id for thread in scoped.iter_threads(**given)} == expected
            assert len(scoped.list_threads(limit=1)) == 1

    def test_another_owner_is_refused(self, store: ChatStore) -> None:
        ada = store.for_owner("ada")
        for call in (
            lambda: ada.create_thread("t", owner="bob"),
            lambda: ada.append("t", say("a"), owner="bob"),
            lambda: ada.replace_all("t", [say("a")], create=True, owner="bob"),
            lambda: ada.list_threads(owner="bob"),
            lambda: list(ada.iter_threads(owner="bob")),
            lambda: ada.erase("bob"),
        ):
            with pytest.raises(InvalidArgument):
                call()
        ada.append("t", say("a"), owner="ada")
        assert contents(whole(store, "t")) == ["a"]

    def test_an_owner_is_text_that_an_owner_can_be(self, store: ChatStore) -> None:
        for bad in ("", "x" * 257, "\ud800", 7):
            with pytest.raises(InvalidArgument):
                store.for_owner(bad)  # type: ignore[arg-type]

    @needs(Capability.REQUESTS)
    def test_request_ids_are_apart(self, store: ChatStore) -> None:
        ada, bob = store.for_owner("ada"), store.for_owner("bob")
        first = ada.create_thread("t", topic="x", request_id="r")
        with pytest.raises(ThreadExists):
            bob.create_thread("t", topic="x", request_id="r")
        with pytest.raises(ThreadExists):
            store.create_thread("t", topic="x", request_id="r")
        assert ada.create_thread("t", topic="x", request_id="r") == first
        with pytest.raises(RequestMismatch):
            ada.create_thread("t", topic="y", request_id="r")
        store.append("t", say("everybody's"), request_id="s")
        ada.append("t", say("own"), request_id="s")
        assert contents(whole(store, "t")) == ["everybody's", "own"]
        assert not bob.delete_thread("t", request_id="s").existed
        assert contents(whole(store, "t")) == ["everybody's", "own"]

    @needs(Capability.REQUESTS)
    def test_a_repetition_finds_nothing_of_another_owners(self, store: ChatStore) -> None:
        ada, bob = store.for_owner("ada"), store.for_owner("bob")
        ada.append("t", say("secret"), request_id="r")
        ada.delete_thread("t")
        bob.append("t", say("own"), request_id="r")
        assert contents(whole(bob, "t")) == ["own"]
        assert ada.append("t", say("secret"), request_id="r").messages[0].content == "secret"
        assert contents(whole(store, "t")) == ["own"]

    @needs(Capability.REQUESTS)
    def test_an_id_that_the_store_chooses_is_another_for_each(self, store: ChatStore) -> None:
        scopes = store, store.for_owner("ada"), store.for_owner("bob"), store.for_tenant("x").for_owner("ada")
        created = [scoped.create_thread(request_id="r") for scoped in scopes]
        assert len({thread.id for thread in created}) == len(scopes)
        assert [scoped.create_thread(request_id="r") for scoped in scopes] == created


def _refusal(call: Callable[[], object]) -> tuple[type[Exception], str]:
    with pytest.raises(Exception) as refused:  # noqa: PT011 - whichever it is, it must be the same
        call()
    return type(refused.value), str(refused.value)
