"""Exactly once: a mutation repeated under its request id gives its first result and does nothing more."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from chatstore.contract import Capability
from chatstore.errors import Conflict, InvalidArgument, RequestExpired, RequestMismatch, ThreadNotFound
from chatstore.ids import uuid7
from chatstore.store import ChatStore, RequestId
from chatstore.testing.backend_tests import Sample
from chatstore.testing.capabilities import needs, supported
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, state, whole
from chatstore.testing.suite.mutations import (
    MUTATIONS,
    Mutation,
    every_mutation,
    prepare,
    whatever_it_names,
)

__all__ = ["Requests"]

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # pragma: allowlist secret


def ulid(at: datetime) -> str:
    """A ULID of that time."""
    value = int(at.timestamp() * 1000)
    return "".join(_DIGITS[value >> 5 * place & 31] for place in range(9, -1, -1)) + "0123456789ABCDEF"


def uuid7_at(at: datetime) -> str:
    """A UUIDv7 of that time."""
    return uuid7(int(at.timestamp() * 1000))


def outcome(store: ChatStore, mutation: Mutation) -> object:
    """All that the mutation may have changed."""
    return state(store, "t"), state(store, "copy") if mutation.name == "fork" else None


class Requests:
    """`request_id`, on every mutation."""

    @every_mutation
    def test_a_repetition_gives_the_first_result(self, store: ChatStore, mutation: Mutation) -> None:
        ids = prepare(store)
        with supported(store, *mutation.needs, Capability.REQUESTS):
            first = mutation.call(store, ids, request_id="r")
            before = outcome(store, mutation)
            assert mutation.call(store, ids, request_id="r") == first
            assert mutation.call(store, ids, request_id="r") == first
            assert outcome(store, mutation) == before

    @every_mutation
    def test_also_after_other_changes(
        self, store: ChatStore, clock: ManualClock, mutation: Mutation, sample: Sample
    ) -> None:
        ids = prepare(store)
        with supported(store, *mutation.needs, Capability.REQUESTS):
            first = mutation.call(store, ids, request_id="r")
            changes = (
                lambda: store.append("t", say("later")),
                lambda: store.update_thread("t", topic="later"),
                lambda: store.clear("t"),
                lambda: store.delete_thread("t"),
                lambda: store.append("t", say("a new life")),
            )
            looked_at = sample.of(changes, MUTATIONS.index(mutation))
            for change in changes:
                clock.advance(timedelta(minutes=1))
                change()
                if change not in looked_at:
                    continue
                before = outcome(store, mutation)
                assert mutation.call(store, ids, request_id="r") == first
                assert outcome(store, mutation) == before

    @every_mutation
    def test_another_payload_is_refused(self, store: ChatStore, mutation: Mutation) -> None:
        ids = prepare(store)
        with supported(store, *mutation.needs, Capability.REQUESTS):
            mutation.call(store, ids, request_id="r")
            before = outcome(store, mutation)
            if mutation.other is not None:
                with pytest.raises(RequestMismatch) as refused:
                    mutation.other(store, ids, request_id="r")
                assert refused.value.request_id == "r"
            if mutation.name != "fork":
                with pytest.raises(RequestMismatch):
                    store.append("t", say("something else"), request_id="r")
            assert outcome(store, mutation) == before

    @every_mutation
    def test_its_condition_is_not_looked_at_again(self, store: ChatStore, mutation: Mutation) -> None:
        ids = prepare(store)
        with supported(store, *mutation.needs, Capability.REQUESTS):
            etag = whatever_it_names(store, ids, mutation)
            first = mutation.call(store, ids, request_id="r", if_match=etag)
            store.append("t", say("later"))
            for if_match in (etag, "*", "stale", None):
                assert mutation.call(store, ids, request_id="r", if_match=if_match) == first

    @every_mutation
    def test_a_failure_is_not_remembered(self, store: ChatStore, mutation: Mutation) -> None:
        ids = prepare(store)
        with supported(store, *mutation.needs, Capability.REQUESTS):
            with pytest.raises(Conflict):
                mutation.call(store, ids, request_id="r", if_match="stale")
            first = mutation.call(store, ids, request_id="r")
            assert mutation.call(store, ids, request_id="r") == first

    @needs(Capability.REQUESTS)
    def test_creating_a_thread(self, store: ChatStore) -> None:
        first = store.create_thread("t", topic="x", metadata={"b": 1, "a": [1.0]}, request_id="r")
        store.update_thread("t", topic="changed")
        assert store.create_thread("t", topic="x", metadata={"b": 1, "a": [1.0]}, request_id="r") == first
        assert store.get_thread("t").topic == "changed"
        with pytest.raises(RequestMismatch):
            store.create_thread("t", topic="x", metadata={"b": 1, "a": [1]}, request_id="r")

    @needs(Capability.REQUESTS)
    def test_an_id_that_the_store_chooses_is_the_same_again(self, store: ChatStore) -> None:
        first = store.create_thread(request_id="r")
        assert store.create_thread(request_id="r") == first
        assert store.create_thread(request_id="s").id != first.id
        assert store.for_tenant("other").create_thread(request_id="r").id != first.id

    @needs(Capability.REQUESTS, Capability.FORK)
    def test_a_fork_that_the_store_names_is_the_same_again(self, store: ChatStore) -> None:
        store.append("t", say("a"))
        first = store.fork("t", request_id="r")
        store.append("t", say("b"))
        assert store.fork("t", request_id="r") == first
        assert contents(whole(store, first.id)) == ["a"]
        store.delete_thread("t")
        assert store.fork("t", request_id="r") == first

    @needs(Capability.REQUESTS)
    def test_a_thread_that_the_first_made_is_not_made_again(self, store: ChatStore) -> None:
        first = store.append("t", say("a"), request_id="r")
        store.delete_thread("t")
        assert store.append("t", say("a"), request_id="r") == first
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")

    @needs(Capability.REQUESTS)
    def test_a_repetition_is_found_before_the_thread_is(self, store: ChatStore) -> None:
        with pytest.raises(ThreadNotFound):
            store.append("t", say("a"), create=False, request_id="r")
        store.create_thread("t")
        first = store.append("t", say("a"), create=False, request_id="r")
        store.delete_thread("t")
        assert store.append("t", say("a"), create=False, request_id="r") == first

    @needs(Capability.REQUESTS, Capability.EXPIRY)
    def test_a_thread_that_is_kept_after_all_still_shows_it(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        first = store.create_thread("t", ttl=timedelta(minutes=2), request_id="r")
        store.update_thread("t", ttl=None)
        clock.advance(timedelta(minutes=4))
        assert store.create_thread("t", ttl=timedelta(minutes=2), request_id="r") == first

    @needs(Capability.REQUESTS)
    def test_ids_are_of_a_thread_and_of_a_tenant(self, store: ChatStore) -> None:
        for scoped in (store, store.for_tenant("other")):
            for thread in ("t", "u"):
                scoped.append(thread, say(f"{scoped.tenant} {thread}"), request_id="r")
                assert contents(whole(scoped, thread)) == [f"{scoped.tenant} {thread}"]

    @needs(Capability.REQUESTS)
    def test_any_text_may_be_an_id(self, store: ChatStore) -> None:
        texts = [
            "r",
            "R",
            "r ",
            "\0",
            "r\0",
            "'",
            "%",
            "/",
            "\n",
            "\u00e9",
            "e\u0301",
            "x" * 256,
            "0",
            "a#b",
            uuid7(),
        ]
        for number, text in enumerate(texts):
            store.append("t", say(number), request_id=text)
        for number, text in enumerate(texts):
            store.append("t", say(number), request_id=text)
        assert contents(whole(store, "t")) == list(range(len(texts)))
        for bad in ("", "x" * 257, "\ud800", 7):
            with pytest.raises(InvalidArgument):
                store.append("t", say("x"), request_id=bad)  # type: ignore[arg-type]

    @needs(Capability.REQUESTS, Capability.INDEX)
    def test_that_there_was_nothing_is_remembered_too(self, store: ChatStore) -> None:
        store.create_thread("t")
        assert store.pop("t", request_id="r") is None
        store.append("t", say("a"))
        assert store.pop("t", request_id="r") is None
        assert contents(whole(store, "t")) == ["a"]
        assert store.delete_thread("u", request_id="r").existed is False
        store.create_thread("u")
        assert store.delete_thread("u", request_id="r").existed is False
        assert store.get_thread("u").id == "u"

    @needs(Capability.REQUESTS)
    def test_metadata_as_deep_as_can_be(self, store: ChatStore) -> None:
        deep: dict[str, object] = {}
        for _ in range(63):
            deep = {"in": deep}
        first = store.create_thread(
            "t", metadata=deep, participants=[{"id": "p", "metadata": deep}], request_id="r"
        )
        assert (
            store.create_thread(
                "t", metadata=deep, participants=[{"id": "p", "metadata": deep}], request_id="r"
            )
            == first
        )

    @needs(Capability.REQUESTS)
    def test_an_id_that_carries_its_time_is_remembered_for_the_window(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        sent, window = clock.now, store.backend.request_window
        requests = [uuid7_at(sent), uuid7_at(sent).upper(), ulid(sent), RequestId("opaque", sent)]
        firsts = [store.append("t", say(number), request_id=id) for number, id in enumerate(requests)]
        clock.advance(window - timedelta(minutes=1))
        assert [store.append("t", say(number), request_id=id) for number, id in enumerate(requests)] == firsts
        clock.advance(timedelta(minutes=2))
        for number, id in enumerate(requests):
            with pytest.raises(RequestExpired):
                store.append("t", say(number), request_id=id)
        assert contents(whole(store, "t")) == [0, 1, 2, 3]

    @needs(Capability.REQUESTS)
    def test_a_late_first_try_is_remembered_as_well(self, store: ChatStore, clock: ManualClock) -> None:
        id = uuid7_at(clock.now)
        clock.advance(store.backend.request_window - timedelta(hours=1))
        first = store.append("t", say("a"), request_id=id)
        clock.advance(timedelta(minutes=59))
        assert store.append("t", say("a"), request_id=id) == first

    @needs(Capability.REQUESTS)
    def test_an_opaque_id_is_remembered_for_ten_minutes_at_least(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        first = store.append("t", say("a"), request_id="opaque")
        clock.advance(timedelta(minutes=9, seconds=59))
        assert store.append("t", say("a"), request_id="opaque") == first

    @needs(Capability.REQUESTS)
    def test_an_id_from_the_future_is_refused(self, store: ChatStore, clock: ManualClock) -> None:
        soon, late = clock.now + timedelta(minutes=4, seconds=59), clock.now + timedelta(minutes=5, seconds=2)
        for number, id in enumerate((uuid7_at(soon), ulid(soon), RequestId("opaque", soon))):
            store.append("t", say(number), request_id=id)
        for id in (uuid7_at(late), ulid(late), RequestId("opaque too", late)):
            with pytest.raises(RequestExpired):
                store.append("t", say("x"), request_id=id)
        assert contents(whole(store, "t")) == [0, 1, 2]
