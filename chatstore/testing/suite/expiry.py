"""What has expired is not there, removed or not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from chatstore.contract import Capability
from chatstore.errors import (
    Conflict,
    CursorExpired,
    InvalidArgument,
    MessageNotFound,
    RequestExpired,
    ThreadNotFound,
)
from chatstore.store import ChatStore
from chatstore.testing.capabilities import needs, supported
from chatstore.testing.manual_clock import ManualClock
from chatstore.testing.samples import contents, say, state, whole

__all__ = ["Expiry"]

MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)


def fading(store: ChatStore) -> dict[str, str]:
    """Thread "t" with the messages a, b, c and d, of which b and d live for a minute; their ids."""
    ids = {}
    for name in "abcd":
        [message] = store.append("t", say(name), expires_in=MINUTE if name in "bd" else None).messages
        ids[name] = message.id or ""
    return ids


@needs(Capability.EXPIRY)
class Expiry:
    """`ttl` of threads and `expires_in` of messages."""

    def test_a_thread_is_there_until_its_time(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("a"), ttl=MINUTE)
        before = state(store, "t")
        clock.advance(MINUTE - MICROSECOND)
        assert state(store, "t") == before
        clock.advance(MICROSECOND)
        assert state(store, "t") == (None, None, ())

    def test_an_expired_thread_is_unknown_to_everything(self, store: ChatStore, clock: ManualClock) -> None:
        id = store.append("t", say("a"), ttl=MINUTE).messages[0].id or ""
        cursor = store.read("t").end
        clock.advance(MINUTE)
        calls: tuple[tuple[Callable[[], object], tuple[Capability, ...]], ...] = (
            (lambda: store.get_thread("t"), ()),
            (lambda: store.update_thread("t", ttl=None), ()),
            (lambda: store.append("t", say("x"), create=False), ()),
            (lambda: store.get_message("t", id), ()),
            (lambda: store.replace_all("t", []), ()),
            (lambda: store.insert("t", say("x"), after=id), (Capability.INSERT,)),
            (lambda: store.replace_message("t", id, say("x")), (Capability.EDIT,)),
            (lambda: store.delete_message("t", id), (Capability.EDIT,)),
            (lambda: store.pop("t"), (Capability.INDEX,)),
            (lambda: store.fork("t", "copy"), (Capability.FORK,)),
        )
        for call, capabilities in calls:
            with supported(store, *capabilities), pytest.raises(ThreadNotFound):
                call()
        assert store.read("t").items == store.window("t", max_tokens=99).items == ()
        assert whole(store, "t") == []
        assert (store.clear("t").existed, store.delete_thread("t").existed) == (False, False)
        with pytest.raises(CursorExpired):
            store.read("t", after=cursor)
        with pytest.raises(Conflict):
            store.append("t", say("x"), if_match="*")

    @needs(Capability.LIST)
    def test_an_expired_thread_is_not_listed(self, store: ChatStore, clock: ManualClock) -> None:
        store.create_thread("short", owner="ada", ttl=MINUTE, metadata={"a": 1})
        store.create_thread("long", owner="ada", ttl=MINUTE * 3, metadata={"a": 1})
        clock.advance(MINUTE)
        for filters in ({}, {"owner": "ada"}, {"metadata": {"a": 1}}, {"limit": 1}):
            page = store.list_threads(**filters)
            assert ([thread.id for thread in page], page.next) == (["long"], None)
        assert [thread.id for thread in store.iter_threads()] == ["long"]

    def test_an_append_to_an_expired_thread_starts_anew(self, store: ChatStore, clock: ManualClock) -> None:
        old = store.append("t", say("old"), owner="ada", ttl=MINUTE)
        store.update_thread("t", topic="x", metadata={"a": 1})
        clock.advance(MINUTE)
        new = store.append("t", say("new"), owner="bob")
        assert contents(whole(store, "t")) == ["new"]
        thread = store.get_thread("t")
        assert (thread.owner, thread.topic, dict(thread.metadata), thread.expires_at) == (
            "bob",
            None,
            {},
            None,
        )
        assert thread.created_at == clock.now
        assert new.etag != old.etag
        with pytest.raises(MessageNotFound):
            store.get_message("t", old.messages[0].id or "")

    def test_the_id_of_an_expired_thread_is_free(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("old"), ttl=MINUTE)
        store.append("u", say("old"), ttl=MINUTE)
        store.append("v", say("v"))
        clock.advance(MINUTE)
        assert store.create_thread("t").expires_at is None
        assert whole(store, "t") == []
        store.replace_all("u", [say("old"), say("new")], create=True)
        assert contents(whole(store, "u")) == ["old", "new"]

    @needs(Capability.FORK)
    def test_a_fork_may_take_the_id_of_an_expired_thread(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("old"), ttl=MINUTE)
        store.append("v", say("v"))
        clock.advance(MINUTE)
        store.fork("v", "t")
        assert contents(whole(store, "t")) == ["v"]

    def test_a_time_to_live_never_slides(self, store: ChatStore, clock: ManualClock) -> None:
        expires = store.create_thread("t", ttl=MINUTE).expires_at
        clock.advance(MINUTE / 2)
        store.append("t", say("a"), ttl=MINUTE)
        store.update_thread("t", topic="x")
        store.replace_all("t", [say("b")], create=True, ttl=MINUTE)
        store.clear("t")
        assert store.get_thread("t").expires_at == expires
        clock.advance(MINUTE / 2)
        with pytest.raises(ThreadNotFound):
            store.get_thread("t")

    @needs(Capability.REQUESTS)
    def test_a_repetition_does_not_bring_a_thread_back(self, store: ChatStore, clock: ManualClock) -> None:
        first = store.append("t", say("a"), ttl=MINUTE, request_id="r")
        clock.advance(MINUTE)
        assert store.append("t", say("a"), ttl=MINUTE, request_id="r") == first
        assert state(store, "t") == (None, None, ())

    def test_messages_are_there_until_their_time(self, store: ChatStore, clock: ManualClock) -> None:
        ids = fading(store)
        assert store.get_message("t", ids["b"]).expires_at == clock.now + MINUTE
        clock.advance(MINUTE - MICROSECOND)
        assert contents(whole(store, "t")) == ["a", "b", "c", "d"]
        clock.advance(MICROSECOND)
        assert contents(whole(store, "t")) == ["a", "c"]

    def test_expired_messages_are_in_no_read(self, store: ChatStore, clock: ManualClock) -> None:
        ids = fading(store)
        positions = {message.content: message.position for message in whole(store, "t")}
        first, newest = store.read("t", limit=2), store.read("t", last=1)
        clock.advance(MINUTE)
        assert contents(store.read("t")) == contents(store.read("t", last=2)) == ["a", "c"]
        assert contents(store.read("t", last=1)) == ["c"]
        assert contents(store.read("t", after=first.next)) == ["c"]
        assert contents(store.read("t", before=newest.next)) == ["a", "c"]
        assert contents(store.read("t", after=positions["b"])) == ["c"]
        assert contents(store.read("t", before=positions["d"], limit=1)) == ["c"]
        assert store.read("t", limit=2).next is None
        assert contents(store.window("t", max_tokens=10**6)) == ["a", "c"]
        for name in "bd":
            with pytest.raises(MessageNotFound):
                store.get_message("t", ids[name])

    @needs(Capability.INDEX)
    def test_expired_messages_have_no_index(self, store: ChatStore, clock: ManualClock) -> None:
        fading(store)
        clock.advance(MINUTE)
        with supported(store, Capability.INSERT):
            store.insert("t", say("x"), index=1)
            assert store.delete_message("t", index=1).content == "x"
        popped = store.pop("t")
        assert popped is not None
        assert popped.content == "c"
        assert store.delete_message("t", index=-1).content == "a"
        with pytest.raises(MessageNotFound):
            store.delete_message("t", index=0)
        assert store.pop("t") is None

    def test_expired_messages_cannot_be_named(self, store: ChatStore, clock: ManualClock) -> None:
        ids = fading(store)
        clock.advance(MINUTE)
        calls: tuple[tuple[Callable[[], object], Capability], ...] = (
            (lambda: store.replace_message("t", ids["b"], say("x")), Capability.EDIT),
            (lambda: store.delete_message("t", ids["b"]), Capability.EDIT),
            (lambda: store.insert("t", say("x"), before=ids["b"]), Capability.INSERT),
            (lambda: store.insert("t", say("x"), after=ids["d"]), Capability.INSERT),
            (lambda: store.fork("t", "copy", through=ids["b"]), Capability.FORK),
        )
        for call, capability in calls:
            with supported(store, capability), pytest.raises(MessageNotFound):
                call()
        assert contents(whole(store, "t")) == ["a", "c"]

    @needs(Capability.INSERT)
    def test_an_insert_beside_expired_messages(self, store: ChatStore, clock: ManualClock) -> None:
        ids = fading(store)
        clock.advance(MINUTE)
        store.insert("t", say("x"), after=ids["a"])
        store.insert("t", say("y"), before=ids["c"])
        store.insert("t", say("z"), after=ids["c"], expires_in=MINUTE)
        store.append("t", say("end"))
        assert contents(whole(store, "t")) == ["a", "x", "y", "c", "z", "end"]
        clock.advance(MINUTE)
        assert contents(whole(store, "t")) == ["a", "x", "y", "c", "end"]

    def test_a_history_is_compared_without_what_expired(self, store: ChatStore, clock: ManualClock) -> None:
        ids = fading(store)
        clock.advance(MINUTE)
        grown = store.replace_all("t", [say("a"), say("c"), say("e")], expires_in=MINUTE)
        assert (contents(grown.messages), grown.kept) == (["e"], 2)
        assert [message.id for message in whole(store, "t")] == [ids["a"], ids["c"], grown.messages[0].id]
        clock.advance(MINUTE)
        assert contents(whole(store, "t")) == ["a", "c"]

    @needs(Capability.EDIT)
    def test_a_replaced_message_keeps_its_time(self, store: ChatStore, clock: ManualClock) -> None:
        ids = fading(store)
        clock.advance(MINUTE / 2)
        store.replace_message("t", ids["b"], say("B"))
        clock.advance(MINUTE / 2)
        assert contents(whole(store, "t")) == ["a", "c"]

    @needs(Capability.FORK)
    def test_copies_expire_when_the_originals_do(self, store: ChatStore, clock: ManualClock) -> None:
        fading(store)
        store.update_thread("t", ttl=MINUTE * 2)
        clock.advance(MINUTE / 2)
        copy = store.fork("t", "copy")
        assert copy.expires_at == store.get_thread("t").expires_at
        assert contents(whole(store, "copy")) == ["a", "b", "c", "d"]
        clock.advance(MINUTE / 2)
        assert contents(whole(store, "copy")) == ["a", "c"]
        store.fork("t", "later")
        assert contents(whole(store, "later")) == ["a", "c"]
        clock.advance(MINUTE)
        assert state(store, "copy") == state(store, "later") == (None, None, ())

    def test_the_thread_outlives_its_messages(self, store: ChatStore, clock: ManualClock) -> None:
        store.append("t", say("a"), expires_in=MINUTE)
        clock.advance(MINUTE)
        assert whole(store, "t") == []
        store.append("t", say("b"), create=False)
        assert contents(whole(store, "t")) == ["b"]

    def test_each_message_of_a_turn_may_have_its_own_time(self, store: ChatStore, clock: ManualClock) -> None:
        lives = [60, None, timedelta(minutes=2)]
        store.append("t", say("a"), say("b"), say("c"), expires_in=lives)
        store.replace_all("u", [say("a"), say("b"), say("c")], expires_in=lives, create=True)
        for times, left in ((1, ["b", "c"]), (1, ["b"])):
            clock.advance(times * MINUTE)
            assert contents(whole(store, "t")) == contents(whole(store, "u")) == left
        for wrong in ([], [60], [60] * 4, [60, None, 0], [60, None, "60"]):
            given: dict[str, Any] = {"expires_in": wrong}
            with pytest.raises(InvalidArgument):
                store.append("t", say("a"), say("b"), say("c"), **given)
        assert contents(whole(store, "t")) == ["b"]

    def test_times_to_live_that_cannot_be_kept(self, store: ChatStore) -> None:
        for ttl in (0, -1, float("nan"), float("inf"), 1e-9, 1e30, timedelta(0), timedelta.max, True, "60"):
            given: dict[str, Any] = {"ttl": ttl}
            with pytest.raises(InvalidArgument):
                store.create_thread("t", **given)
            with pytest.raises(InvalidArgument):
                store.append("t", say("a"), **given)
            with pytest.raises(InvalidArgument):
                store.append("t", say("a"), expires_in=given["ttl"])
        assert state(store, "t") == (None, None, ())
        store.create_thread("t", ttl=MINUTE)

    @needs(Capability.REQUESTS, Capability.EDIT)
    def test_a_repetition_shows_nothing_that_has_expired(self, store: ChatStore, clock: ManualClock) -> None:
        """Neither before a sweep nor after it, nor where another thread of that id has begun."""
        forks = Capability.FORK in store.backend.capabilities
        store.create_thread("t", topic="a secret", ttl=MINUTE)
        for name in "ab":
            store.append("t", say(name))
        id = store.read("t").items[0].id or ""
        calls: list[Callable[[], object]] = [
            lambda: store.update_thread("t", metadata={"a": 1}, request_id="patch"),
            lambda: store.delete_message("t", id, request_id="delete"),
        ]
        if forks:
            calls.append(lambda: store.fork("t", "copy", request_id="fork"))
        first = [call() for call in calls]
        clock.advance(MINUTE - MICROSECOND)
        assert [call() for call in calls] == first
        clock.advance(MICROSECOND)

        def shows_nothing() -> None:
            for call in calls:
                with pytest.raises(RequestExpired):
                    call()

        shows_nothing()
        if Capability.SWEEP in store.backend.capabilities:
            while store.sweep().more:
                pass
            shows_nothing()
        store.append("t", say("a new life"))
        shows_nothing()
        assert contents(whole(store, "t")) == ["a new life"]

    @needs(Capability.REQUESTS, Capability.EDIT)
    def test_a_deletion_repeated_shows_no_message_that_has_expired(
        self, store: ChatStore, clock: ManualClock
    ) -> None:
        ids = fading(store)
        first = store.delete_message("t", ids["b"], request_id="r")
        assert store.delete_message("t", ids["b"], request_id="r") == first
        clock.advance(MINUTE)
        with pytest.raises(RequestExpired):
            store.delete_message("t", ids["b"], request_id="r")
